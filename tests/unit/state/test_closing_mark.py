"""Whether a database is as it was closed, or somebody has written to it since."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bandersnatch.state.closing_mark import SCHEMA, close, is_as_closed, time_of


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "database.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(SCHEMA)
        connection.commit()
    connection = sqlite3.connect(path, isolation_level=None)
    close(connection, path)
    return path


def is_unchanged(path: Path) -> bool:
    changed = time_of(path)
    with closing(sqlite3.connect(path)) as connection:
        return is_as_closed(connection, changed)


def test_a_database_that_nobody_has_touched_is_as_it_was_closed(database: Path) -> None:
    assert is_unchanged(database)
    assert is_unchanged(database), "looking does not count as writing"


def test_its_time_is_a_whole_second_which_any_filesystem_stores(database: Path) -> None:
    assert database.stat().st_mtime_ns % 1_000_000_000 == 0


def test_a_write_is_seen(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE other (x)")
    assert not is_unchanged(database)


def test_another_time_of_the_file_is_seen(database: Path) -> None:
    os.utime(database)
    assert not is_unchanged(database)


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_the_log_of_a_killed_run_is_seen(database: Path, suffix: str) -> None:
    database.with_name(f"{database.name}{suffix}").touch()
    assert time_of(database) is None
    assert not is_unchanged(database)


def test_a_database_without_a_mark_counts_as_changed(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("DELETE FROM closed")
    assert not is_unchanged(database)


def test_it_can_be_closed_again(database: Path) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("CREATE TABLE other (x)")
    close(connection, database)
    assert is_unchanged(database)
