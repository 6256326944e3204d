"""Which projects list files whose names do not begin with their own: a table of the inventory, a row for each such file.

The name of any other file tells which projects may list it, so that before a file is deleted, their pages are read, and
those of these few.
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
"""Made in an inventory of before, too: no new version of the schema that would rebuild it."""


def are_known(connection: sqlite3.Connection) -> bool:
    """Return whether the inventory was made, or used, by code that knows of such files."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'stranger'"
    return connection.execute(query).fetchone() is not None


def strangers_of(project: NormalizedName, paths: Iterable[StoredPath]) -> tuple[StoredPath, ...]:
    """Return those of a project's files whose names do not begin with its own."""
    return tuple(path for path in paths if not belongs_to(path.rpartition("/")[2], project))


def note(cursor: sqlite3.Cursor, project: NormalizedName, paths: Iterable[StoredPath]) -> None:
    """Let these be all the strangers of a project."""
    cursor.execute("DELETE FROM stranger WHERE project = ?", (project,))
    for path in paths:
        cursor.execute("INSERT OR IGNORE INTO stranger VALUES (?, ?)", (project, path))


def projects_with(cursor: sqlite3.Cursor, path: StoredPath) -> list[NormalizedName]:
    """Return the projects that list a file as a stranger."""
    rows = cursor.execute("SELECT project FROM stranger WHERE path = ?", (path,))
    return [NormalizedName(project) for (project,) in rows]
