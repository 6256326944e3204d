"""Projects that are still incomplete because of upstream, although a run took what there was: a table of the inventory.

A project may be listed at a serial that its page does not have. Usually only its owners have changed, and any page
would do; but a cache may also hold back a page with one more file. Or a page promises core metadata that does not exist
yet, or lists a file in a way that makes no sense, perhaps because of a flipped byte. A run takes what there is, and
later runs ask again, less and less often, for a little more than a day: no cache of PyPI's lasts longer.
"""

import sqlite3
from collections.abc import Iterable

from msgspec import Struct

from bandersnatch.names import NormalizedName
from bandersnatch.state.inventory_rows import NamedRow, Seconds, Serial, Text, checked

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS awaited (project TEXT PRIMARY KEY, serial INTEGER NOT NULL,"
    " is_incomplete INTEGER NOT NULL, since REAL NOT NULL, asked REAL NOT NULL) WITHOUT ROWID"
)
"""Also added to existing inventories, without a new schema version, which would rebuild them."""

KEEP_SECONDS = 25 * 3600.0
_MOST_AT_A_TIME = 1000

# Exponential back-off: each interval is as long as all the time before it, and the last request comes at the end.
_DUE = f"""
SELECT name, display_name, project.serial FROM awaited JOIN project ON name = project
WHERE (awaited.serial > project.serial OR is_incomplete)
AND (asked > :latest OR asked < :now AND (asked - since <= :now - asked OR :now - since >= {KEEP_SECONDS}))
ORDER BY asked, name LIMIT {_MOST_AT_A_TIME}
"""  # noqa: S608 - ours
_IS_OVER = f"""
asked - since >= {KEEP_SECONDS} OR since > :now OR NOT EXISTS
(SELECT 1 FROM project WHERE name = awaited.project AND (awaited.serial > project.serial OR is_incomplete))
"""  # noqa: S608 - ours


class Awaited(Struct, frozen=True):
    """What a run did not get: the page of that serial (0: none is missing), and whether upstream served all that it
    lists.

    ``is_incomplete`` may be None, to leave it as recorded.
    """

    serial: int
    is_incomplete: bool | None


def note(cursor: sqlite3.Cursor, project: NormalizedName, awaited: Awaited, now: float) -> None:
    """Record what is awaited of a project that was just asked for; for a newer serial the time starts again."""
    found = cursor.execute("SELECT serial, is_incomplete, since FROM awaited WHERE project = ?", (project,)).fetchall()
    rows = checked(tuple[Serial, bool | int, Seconds], found)
    serial, is_incomplete, since = rows[0] if rows else (0, False, now)
    if awaited.serial > serial:
        serial, since = awaited.serial, now
    if awaited.is_incomplete is not None:
        is_incomplete = awaited.is_incomplete
    cursor.execute(
        "INSERT OR REPLACE INTO awaited VALUES (?, ?, ?, ?, ?)", (project, serial, is_incomplete, since, now)
    )


def due(cursor: sqlite3.Cursor, now: float, latest: float) -> list[NamedRow]:
    """Return name, display name and serial of the held projects that are due to be asked for.

    A request recorded later than ``latest``, by a clock that was wrong, does not count.
    """
    return checked(NamedRow, cursor.execute(_DUE, {"now": now, "latest": latest}).fetchall())


def mark_asked(cursor: sqlite3.Cursor, projects: Iterable[NormalizedName], now: float) -> None:
    """Record that projects were asked for, whatever the result."""
    rows = ((now, project) for project in projects)
    cursor.executemany("UPDATE awaited SET asked = ? WHERE project = ?", rows)


def forget_old(cursor: sqlite3.Cursor, now: float) -> None:
    """Forget what has arrived, and what has been awaited for too long."""
    # Most runs find nothing to delete, and then write nothing: not even a transaction.
    if cursor.execute(f"SELECT 1 FROM awaited WHERE {_IS_OVER} LIMIT 1", {"now": now}).fetchone():  # noqa: S608 - ours
        cursor.execute(f"DELETE FROM awaited WHERE {_IS_OVER}", {"now": now})  # noqa: S608 - ours


def serials(cursor: sqlite3.Cursor) -> dict[NormalizedName, int]:
    """Return the awaited serial of each project."""
    rows = checked(tuple[Text, Serial], cursor.execute("SELECT project, serial FROM awaited").fetchall())
    return {NormalizedName(project): serial for project, serial in rows}
