"""Which projects list files whose names do not begin with their own: a table of the inventory, one row per file.

Any other file's name tells which projects may list it. So before a file is deleted, only the pages of those projects,
and of the few in this table, are read.
"""

import sqlite3
from collections.abc import Iterable

from packaging.utils import NormalizedName

from bandersnatch.model import belongs_to
from bandersnatch.storage.layout import StoredPath

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS stranger (project TEXT, path TEXT, PRIMARY KEY (project, path)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS stranger_path ON stranger (path)",
)
"""Also added to existing inventories, without a new schema version, which would rebuild them."""


def are_known(connection: sqlite3.Connection) -> bool:
    """Return whether code that knows of such files made or used the inventory."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'stranger'"
    return connection.execute(query).fetchone() is not None


def strangers_of(project: NormalizedName, paths: Iterable[StoredPath]) -> tuple[StoredPath, ...]:
    """Return those of a project's files whose names do not begin with its own."""
    return tuple(path for path in paths if not belongs_to(path.rpartition("/")[2], project))


def note(cursor: sqlite3.Cursor, project: NormalizedName, paths: Iterable[StoredPath]) -> None:
    """Replace all recorded strangers of a project."""
    cursor.execute("DELETE FROM stranger WHERE project = ?", (project,))
    for path in paths:
        cursor.execute("INSERT OR IGNORE INTO stranger VALUES (?, ?)", (project, path))


def projects_with(cursor: sqlite3.Cursor, path: StoredPath) -> list[NormalizedName]:
    """Return the projects that list a file as a stranger."""
    rows = cursor.execute("SELECT project FROM stranger WHERE path = ?", (path,))
    return [NormalizedName(project) for (project,) in rows]
