"""Which projects list files whose names do not begin with their own: a table of the inventory, one row per file.

Any other file's name tells which projects may list it. So before a file is deleted, only the pages of those projects,
and of the few in this table, are read.
"""

import sqlite3
from collections.abc import Iterable

from bandersnatch.names import NormalizedName, belongs_to, canonicalize_name
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
    return tuple(path for path in paths if not belongs_to(_name(path), project))


def note(cursor: sqlite3.Cursor, project: NormalizedName, paths: Iterable[StoredPath]) -> None:
    """Replace all recorded strangers of a project."""
    cursor.execute("DELETE FROM stranger WHERE project = ?", (project,))
    for path in paths:
        cursor.execute("INSERT OR IGNORE INTO stranger VALUES (?, ?)", (project, path))


def projects_with(cursor: sqlite3.Cursor, path: StoredPath) -> list[NormalizedName]:
    """Return the projects that list a file as a stranger."""
    rows = cursor.execute("SELECT project FROM stranger WHERE path = ?", (path,))
    return [NormalizedName(project) for (project,) in rows]


class KnownStrangers:
    """The files in the table by what their names begin with, in memory: so no job pays for a search.

    What was once noted stays known. Whoever asks reads the pages of the projects, which say what is listed now.
    """

    def __init__(self) -> None:
        self._by_word: dict[str, set[tuple[NormalizedName, StoredPath]]] | None = None

    def add(self, project: NormalizedName, paths: Iterable[StoredPath]) -> None:
        """Add files that a project lists."""
        if self._by_word is not None:
            for path in paths:
                self._by_word.setdefault(_first_word(_name(path)), set()).add((project, path))

    def named_as(self, project: NormalizedName, cursor: sqlite3.Cursor) -> dict[StoredPath, NormalizedName]:
        """Return the files with a name as those of this project have, each with another project that lists it."""
        if self._by_word is None:
            self._by_word = {}
            for other, path in cursor.execute("SELECT project, path FROM stranger").fetchall():
                self.add(NormalizedName(other), [StoredPath(path)])
        found = self._by_word.get(_first_word(project), ())
        return {path: other for other, path in found if other != project and belongs_to(_name(path), project)}


def _name(path: StoredPath) -> str:
    return path.rpartition("/")[2]


def _first_word(name: str) -> str:
    return canonicalize_name(name).partition("-")[0]
