"""Which projects have changed since the root index was written: tables of the inventory, maintained by triggers.

With them a run rewrites only the lines of those projects. The tables exist from the first root index on; before that,
or if its files are not as we left them, the root index is written in full.
"""

import sqlite3
from collections.abc import Iterable, Mapping

from msgspec import Struct

from bandersnatch.names import NormalizedName
from bandersnatch.state.inventory_rows import Count, Text, checked
from bandersnatch.storage.layout import StoredPath

_TABLES = (
    "CREATE TABLE IF NOT EXISTS indexed (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, lines INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS unindexed (project TEXT PRIMARY KEY) WITHOUT ROWID",
)
_EVENTS = {
    "project_added": ("INSERT ON project", "new.name"),
    "project_changed": ("UPDATE OF serial, display_name ON project", "new.name"),
    "project_removed": ("DELETE ON project", "old.name"),
    "quarantine_added": ("INSERT ON quarantined", "new.project"),
    "quarantine_removed": ("DELETE ON quarantined", "old.project"),
}
"""What each trigger reacts to, and which project it records."""
_TRIGGERS = tuple(
    f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {event} BEGIN INSERT OR IGNORE INTO unindexed VALUES ({project}); END"  # noqa: S608 - ours
    for name, (event, project) in _EVENTS.items()
)


class IndexRecord(Struct, frozen=True):
    """The ``stamps`` of the root index's files, how many ``lines`` each has, and which projects have changed since."""

    stamps: Mapping[StoredPath, str]
    lines: int
    changed: frozenset[NormalizedName]


def mend(connection: sqlite3.Connection) -> None:
    """Make missing tables, without which the triggers would let every write fail."""
    known = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if known & _EVENTS.keys() and not known >= {"indexed", "unindexed"}:
        for statement in (*_TABLES, "DELETE FROM indexed"):
            connection.execute(statement)


def load(cursor: sqlite3.Cursor, most: int) -> IndexRecord | None:
    """Return what is known about the root index; None if nothing is, or if more than ``most`` projects have changed."""
    if cursor.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('indexed', 'unindexed')").fetchone()[0] != 2:
        return None
    rows = checked(tuple[str, str, Count], cursor.execute("SELECT path, stamp, lines FROM indexed").fetchall())
    if not rows:
        return None
    query = "SELECT project FROM unindexed LIMIT ?"
    changed = checked(tuple[Text], cursor.execute(query, (most + 1,)).fetchall())
    if len(changed) > most:
        return None
    stamps = {StoredPath(path): stamp for path, stamp, _ in rows}
    return IndexRecord(stamps, rows[0][2], frozenset(NormalizedName(project) for (project,) in changed))


def forget(cursor: sqlite3.Cursor) -> None:
    """Forget the root index, because it is about to be written."""
    for statement in (*_TABLES, *_TRIGGERS):
        cursor.execute(statement)
    cursor.execute("DELETE FROM indexed")


def save(cursor: sqlite3.Cursor, stamps: Mapping[StoredPath, str], lines: int, left: Iterable[NormalizedName]) -> None:
    """Record that a root index was written with everything in the inventory except the projects in ``left``."""
    cursor.execute("DELETE FROM unindexed")
    cursor.executemany("INSERT OR IGNORE INTO unindexed VALUES (?)", ((project,) for project in left))
    rows = ((path, stamp, lines) for path, stamp in stamps.items())
    cursor.executemany("INSERT OR REPLACE INTO indexed VALUES (?, ?, ?)", rows)
