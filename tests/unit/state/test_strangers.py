"""Which projects list files whose names do not begin with their own."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from bandersnatch.names import NormalizedName
from bandersnatch.state import strangers
from bandersnatch.storage.layout import StoredPath

FOO, BAR = NormalizedName("foo"), NormalizedName("bar")
OWN, STRANGE, OTHER = (
    StoredPath(f"web/packages/aa/{name}") for name in ("foo-1.0.tar.gz", "python-foo_1.deb", "x.zip")
)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        yield connection


@pytest.fixture
def cursor(connection: sqlite3.Connection) -> sqlite3.Cursor:
    for statement in strangers.SCHEMA:
        connection.execute(statement)
    return connection.cursor()


def test_an_inventory_of_older_code_does_not_know(connection: sqlite3.Connection) -> None:
    assert not strangers.are_known(connection)
    connection.execute(strangers.SCHEMA[0])
    assert strangers.are_known(connection)


def test_a_file_whose_name_begins_with_the_projects_is_no_stranger() -> None:
    assert strangers.strangers_of(FOO, [OWN, STRANGE, OTHER]) == (STRANGE, OTHER)


def test_several_projects_may_list_one_file(cursor: sqlite3.Cursor) -> None:
    strangers.note(cursor, FOO, [STRANGE, STRANGE, OTHER])
    strangers.note(cursor, BAR, [STRANGE])
    assert sorted(strangers.projects_with(cursor, STRANGE)) == [BAR, FOO]
    assert strangers.projects_with(cursor, OTHER) == [FOO]
    assert strangers.projects_with(cursor, OWN) == []


def test_what_a_project_no_longer_lists_is_forgotten(cursor: sqlite3.Cursor) -> None:
    strangers.note(cursor, FOO, [STRANGE, OTHER])
    strangers.note(cursor, FOO, [OTHER])
    assert strangers.projects_with(cursor, STRANGE) == []
    strangers.note(cursor, FOO, [])
    assert strangers.projects_with(cursor, OTHER) == []
