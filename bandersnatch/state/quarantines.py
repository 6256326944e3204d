"""Which held projects upstream has quarantined: a table of the inventory. They keep their pages, and no link."""

import sqlite3
from collections.abc import Iterable

from packaging.utils import NormalizedName

SCHEMA = "CREATE TABLE IF NOT EXISTS quarantined (project TEXT PRIMARY KEY) WITHOUT ROWID"
"""Made in an inventory of before, too: no new version of the schema that would rebuild it."""


def are_known(cursor: sqlite3.Cursor) -> bool:
    """Whether the table is there; it is not in an inventory of before."""
    return cursor.execute("SELECT 1 FROM sqlite_master WHERE name = 'quarantined'").fetchone() is not None


def begin(cursor: sqlite3.Cursor, projects: Iterable[NormalizedName]) -> None:
    """Make the table, with these projects in it."""
    cursor.execute(SCHEMA)
    cursor.executemany("INSERT OR IGNORE INTO quarantined VALUES (?)", ((project,) for project in projects))


def note(cursor: sqlite3.Cursor, project: NormalizedName, *, is_quarantined: bool) -> None:
    """Note whether a project is quarantined."""
    cursor.execute("DELETE FROM quarantined WHERE project = ?", (project,))
    if is_quarantined:
        cursor.execute("INSERT INTO quarantined VALUES (?)", (project,))


def all_of(cursor: sqlite3.Cursor) -> set[NormalizedName]:
    """Return the projects that are quarantined."""
    return {NormalizedName(project) for (project,) in cursor.execute("SELECT project FROM quarantined")}
