"""Which held projects upstream has quarantined."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from bandersnatch.names import NormalizedName
from bandersnatch.state import quarantines

FOO, BAR = NormalizedName("foo"), NormalizedName("bar")


@pytest.fixture
def cursor() -> Iterator[sqlite3.Cursor]:
    with closing(sqlite3.connect(":memory:")) as connection:
        yield connection.cursor()


def test_an_inventory_of_older_code_does_not_know(cursor: sqlite3.Cursor) -> None:
    assert not quarantines.are_known(cursor)
    quarantines.begin(cursor, [FOO])
    assert quarantines.are_known(cursor)
    assert quarantines.all_of(cursor) == {FOO}


def test_beginning_again_loses_nothing(cursor: sqlite3.Cursor) -> None:
    quarantines.begin(cursor, [FOO])
    quarantines.begin(cursor, [FOO, BAR])
    assert quarantines.all_of(cursor) == {FOO, BAR}


def test_a_quarantine_is_noted_once_and_cleared(cursor: sqlite3.Cursor) -> None:
    quarantines.begin(cursor, [])
    for _ in range(2):
        quarantines.note(cursor, FOO, is_quarantined=True)
    quarantines.note(cursor, BAR, is_quarantined=False)
    assert quarantines.all_of(cursor) == {FOO}
    quarantines.note(cursor, FOO, is_quarantined=False)
    assert quarantines.all_of(cursor) == set()
