"""Which projects have changed since the static journal was written: tables of the inventory, maintained by triggers.

Unlike those of the root index (``index_record``), they record only what a follower would see: a project that is put
again with the same page and serial has not changed. The tables exist while there is a journal.
"""

import sqlite3
from typing import NamedTuple

from msgspec import Struct

from bandersnatch.changes import Position
from bandersnatch.names import NormalizedName
from bandersnatch.state.inventory_rows import Count, Serial, Text, checked, shown_name

TABLES = {"journal", "unjournaled"}
PREFIX = "journal_"
"""How the names of the triggers begin."""
_TABLES = (
    "CREATE TABLE IF NOT EXISTS journal (id TEXT PRIMARY KEY, number INTEGER NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS unjournaled (project TEXT PRIMARY KEY) WITHOUT ROWID",
)
_SAME = (
    "SELECT 1 FROM project WHERE name = new.name AND serial = new.serial AND display_name = new.display_name"
    " AND pages_digest IS new.pages_digest"
)
_EVENTS = {
    # Before, because INSERT OR REPLACE has deleted the old row afterwards.
    "journal_put": (f"BEFORE INSERT ON project WHEN NOT EXISTS ({_SAME})", "new.name"),
    "journal_changed": (
        "AFTER UPDATE OF serial, display_name ON project"
        " WHEN old.serial <> new.serial OR old.display_name <> new.display_name",
        "new.name",
    ),
    "journal_removed": ("AFTER DELETE ON project", "old.name"),
    "journal_quarantined": ("AFTER INSERT ON quarantined", "new.project"),
    "journal_released": ("AFTER DELETE ON quarantined", "old.project"),
}
"""What each trigger reacts to, and which project it records."""
_TRIGGERS = tuple(
    f"CREATE TRIGGER IF NOT EXISTS {name} {event} BEGIN INSERT OR IGNORE INTO unjournaled VALUES ({project}); END"  # noqa: S608 - ours
    for name, (event, project) in _EVENTS.items()
)
_CHANGED = (
    "SELECT unjournaled.project, display_name, serial,"
    " EXISTS (SELECT 1 FROM quarantined WHERE quarantined.project = unjournaled.project)"
    " FROM unjournaled LEFT JOIN project ON name = unjournaled.project"
    " ORDER BY serial, unjournaled.project LIMIT ?"
)


class _ChangedRow(NamedTuple):
    project: Text
    display_name: Text | None
    serial: Serial | None
    is_quarantined: Count


class ChangedProject(Struct, frozen=True):
    """A project that has changed, as it is now; ``serial`` is None if it is not held any more."""

    name: NormalizedName
    display_name: str
    serial: int | None
    is_quarantined: bool


def mend(connection: sqlite3.Connection) -> None:
    """Make missing tables, without which the triggers would let every write fail."""
    known = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if known & _EVENTS.keys() and not known >= TABLES:
        for statement in (*_TABLES, "DELETE FROM journal"):
            connection.execute(statement)


def position(cursor: sqlite3.Cursor) -> Position | None:
    """Return up to where the journal was written; None if there is none, or it can't be continued."""
    if not _is_there(cursor):
        return None
    rows = checked(tuple[Text, Count, Text], cursor.execute("SELECT id, number, digest FROM journal").fetchall())
    return Position(*rows[0]) if len(rows) == 1 else None


def changed(cursor: sqlite3.Cursor, most: int) -> list[ChangedProject] | None:
    """Return the projects that have changed since the journal was written; None if they are more than ``most``."""
    if not _is_there(cursor):
        return None
    rows = checked(_ChangedRow, cursor.execute(_CHANGED, (most + 1,)).fetchall())
    if len(rows) > most:
        return None
    return [
        ChangedProject(NormalizedName(name), shown_name(name, display_name or name), serial, bool(is_quarantined))
        for name, display_name, serial, is_quarantined in rows
    ]


def record(cursor: sqlite3.Cursor, written: Position | None) -> None:
    """Record that the journal has everything up to now; with None, that it can't be continued."""
    for statement in (*_TABLES, *_TRIGGERS, "DELETE FROM journal"):
        cursor.execute(statement)
    if written is not None:
        cursor.execute("INSERT INTO journal VALUES (?, ?, ?)", (written.id, written.number, written.digest))
        cursor.execute("DELETE FROM unjournaled")


def end(cursor: sqlite3.Cursor) -> None:
    """Record no changes any more."""
    for name in _EVENTS:
        cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
    for name in TABLES:
        cursor.execute(f"DROP TABLE IF EXISTS {name}")


def _is_there(cursor: sqlite3.Cursor) -> bool:
    query = "SELECT count(*) FROM sqlite_master WHERE name IN ('journal', 'unjournaled')"
    return bool(cursor.execute(query).fetchone() == (len(TABLES),))
