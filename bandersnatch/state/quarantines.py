"""Which held projects upstream has quarantined: a table of the inventory. Their pages stay, without links."""

import sqlite3
from collections.abc import Iterable

from bandersnatch.names import NormalizedName

SCHEMA = "CREATE TABLE IF NOT EXISTS quarantined (project TEXT PRIMARY KEY) WITHOUT ROWID"
"""Also added to existing inventories, without a new schema version, which would rebuild them."""


def are_known(cursor: sqlite3.Cursor) -> bool:
    """Whether the table exists; older inventories lack it."""
    return cursor.execute("SELECT 1 FROM sqlite_master WHERE name = 'quarantined'").fetchone() is not None


def begin(cursor: sqlite3.Cursor, projects: Iterable[NormalizedName]) -> None:
    """Create the table with these projects."""
    cursor.execute(SCHEMA)
    cursor.executemany("INSERT OR IGNORE INTO quarantined VALUES (?)", ((project,) for project in projects))


def note(cursor: sqlite3.Cursor, project: NormalizedName, *, is_quarantined: bool) -> None:
    """Record whether a project is quarantined."""
    # Nothing is written where nothing changes: triggers take each row for a change.
    if is_quarantined:
        cursor.execute("INSERT OR IGNORE INTO quarantined VALUES (?)", (project,))
    else:
        cursor.execute("DELETE FROM quarantined WHERE project = ?", (project,))


def all_of(cursor: sqlite3.Cursor) -> set[NormalizedName]:
    """Return the quarantined projects."""
    return {NormalizedName(project) for (project,) in cursor.execute("SELECT project FROM quarantined")}
