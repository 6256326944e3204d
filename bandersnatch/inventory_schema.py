"""The tables of the inventory: made anew, or brought from an older version of them to this one without losing a row."""

import sqlite3

from bandersnatch import awaited, index_record, quarantines, strangers

VERSION = 3
PROJECT_COLUMNS = "name, display_name, serial, etag, files, bytes, pages_digest"
"""As ``HeldProject`` has them, in its order."""
SELECT = f"SELECT {PROJECT_COLUMNS} FROM project"  # noqa: S608 - ours
INSERT = f"INSERT OR REPLACE INTO project ({PROJECT_COLUMNS}, looked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - ours
VERIFIED = (
    "CREATE TABLE IF NOT EXISTS verified (project TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS verified_at ON verified (at, project)",
)
"""Made by the first verification, also in an inventory of before: no new version of the schema that would rebuild it."""

_VERSION_2 = (
    "CREATE TABLE project (name TEXT PRIMARY KEY, display_name TEXT NOT NULL, serial INTEGER NOT NULL, etag TEXT,"
    " files INTEGER NOT NULL, bytes INTEGER NOT NULL, pages_digest BLOB) WITHOUT ROWID",
    "CREATE TABLE unsettled (project TEXT NOT NULL, path TEXT NOT NULL, PRIMARY KEY (project, path)) WITHOUT ROWID",
    "CREATE TABLE partial (path TEXT PRIMARY KEY, etag TEXT NOT NULL) WITHOUT ROWID",
)
_SINCE_3 = (
    "ALTER TABLE project ADD COLUMN looked_at REAL NOT NULL DEFAULT 0",
    "CREATE INDEX project_looked_at ON project (looked_at)",
    "CREATE TABLE refreshed (up_to REAL NOT NULL)",
)
"""When upstream was asked for each project last, and up to when projects were looked at again, in seconds since 1970.

The index is what counts and orders hundreds of thousands of projects in milliseconds.
"""

_LOOK_AT_ALL = "UPDATE project SET etag = NULL, looked_at = -1"
"""Ask anew for what is held, without condition; see ``refresh.py``."""


def make_tables(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty database, which counts as an inventory when ``user_version`` says so."""
    for statement in (*_VERSION_2, *_SINCE_3, *strangers.SCHEMA, quarantines.SCHEMA, awaited.SCHEMA):
        connection.execute(statement)


def is_usable(connection: sqlite3.Connection) -> bool:
    """Return whether there is an inventory, after it was brought to this version."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == VERSION - 1:
        connection.execute("BEGIN")
        for statement in (*_SINCE_3, f"PRAGMA user_version = {VERSION}"):
            connection.execute(statement)
        connection.execute("COMMIT")
    elif version != VERSION:
        return False
    # Code that did not know of files with foreign names left them out, and would be told for ever that nothing has changed.
    left_some_out = not strangers.are_known(connection)
    connection.execute("BEGIN")
    for statement in (*strangers.SCHEMA, awaited.SCHEMA, *((_LOOK_AT_ALL,) if left_some_out else ())):
        connection.execute(statement)
    connection.execute("COMMIT")
    index_record.mend(connection)
    return True
