"""The database that keeps the findings of a search for unlisted files from one attempt to the next."""

import os
import sqlite3
from pathlib import Path

from bandersnatch.errors import StorageError
from bandersnatch.state import closing_mark
from bandersnatch.state.database_connection import connect
from bandersnatch.state.database_errors import is_damage

_SCHEMA_VERSION = 2
_SCHEMA = """
BEGIN;
CREATE TABLE listed (digest INTEGER NOT NULL);
CREATE TABLE page (folder INTEGER PRIMARY KEY, stamp INTEGER NOT NULL);
CREATE TABLE unlisted (path BLOB PRIMARY KEY, is_metadata INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE position (step INTEGER NOT NULL, place BLOB NOT NULL);
CREATE TABLE closed (at INTEGER NOT NULL);
INSERT INTO position VALUES (0, x'');
PRAGMA user_version = 2;
COMMIT;
"""
"""``listed`` only grows, even if pages list less later: then a file is kept that could go."""


def open_database(kept_at: Path | None) -> sqlite3.Connection:
    """Open the database, or make a new one if it is missing, or not as we closed it: files are deleted on its word."""
    if kept_at is not None and os.path.lexists(kept_at):
        if (found := _as_closed(kept_at)) is not None:
            return found
        remove_database(kept_at)
    # A nameless database is a temporary file that vanishes with its connection, even after kill -9.
    database = connect(kept_at) if kept_at is not None else sqlite3.connect("", isolation_level=None)
    database.executescript(_SCHEMA)
    return database


def _as_closed(path: Path) -> sqlite3.Connection | None:
    """Open the database if it is as we closed it."""
    changed = closing_mark.time_of(path)
    try:
        database = connect(path)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        return None
    try:
        is_known = database.execute("PRAGMA user_version").fetchone() == (_SCHEMA_VERSION,)
        if is_known and closing_mark.is_as_closed(database, changed):
            return database
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
    database.close()
    return None


def remove_database(path: Path) -> None:
    """Delete a database, then a killed run's journal, since SQLite ignores a journal without its database."""
    for each in (path, Path(f"{path}-journal")):
        try:
            each.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(str(each), "delete", error) from error
