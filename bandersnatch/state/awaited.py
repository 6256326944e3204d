"""Which projects are still incomplete because of upstream, although a run took what there was: a table of the inventory.

A project may be listed at a serial that its page does not have. Most times only its owners have changed, and any page would
do; but a cache may also hold back a page that has one file more. Or a page promises core metadata that is not there yet, or
lists a file in a way that makes no sense, perhaps because of a byte that was wrong on its way. A run takes what there is,
and later ones ask again, ever more seldom, for little more than a day: no cache of PyPI's is older.
"""

import sqlite3
from collections.abc import Iterable

from msgspec import Struct
from packaging.utils import NormalizedName

from bandersnatch.state.inventory_rows import NamedRow, Seconds, Serial, Text, checked

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS awaited (project TEXT PRIMARY KEY, serial INTEGER NOT NULL,"
    " is_incomplete INTEGER NOT NULL, since REAL NOT NULL, asked REAL NOT NULL) WITHOUT ROWID"
)
"""Made in an inventory of before, too: no new version of the schema that would rebuild it."""

KEEP_SECONDS = 25 * 3600.0
_MOST_AT_A_TIME = 1000

# The time between two questions is as long as all the time before, and the last one comes when the time is over.
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
    """What a run did not get: the page of that serial, or 0 for none; and whether upstream did not serve all that it lists.

    None for ``is_incomplete`` leaves the note as it is.
    """

    serial: int
    is_incomplete: bool | None


def note(cursor: sqlite3.Cursor, project: NormalizedName, awaited: Awaited, now: float) -> None:
    """Note what is awaited of a project that was asked for just now; for what is newer than before, the time begins anew."""
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
    """Return name, display name and serial of the held projects that are to be asked for now.

    What was asked for later than ``latest``, as by a clock that was wrong, was not asked for.
    """
    return checked(NamedRow, cursor.execute(_DUE, {"now": now, "latest": latest}).fetchall())


def mark_asked(cursor: sqlite3.Cursor, projects: Iterable[NormalizedName], now: float) -> None:
    """Note that projects were asked for, whatever came of it."""
    rows = ((now, project) for project in projects)
    cursor.executemany("UPDATE awaited SET asked = ? WHERE project = ?", rows)


def forget_old(cursor: sqlite3.Cursor, now: float) -> None:
    """Forget what has come, and what is not to be waited for any longer."""
    if cursor.execute(f"SELECT 1 FROM awaited WHERE {_IS_OVER} LIMIT 1", {"now": now}).fetchone():  # noqa: S608 - ours
        cursor.execute(f"DELETE FROM awaited WHERE {_IS_OVER}", {"now": now})  # noqa: S608 - ours


def serials(cursor: sqlite3.Cursor) -> dict[NormalizedName, int]:
    """Return which serial is awaited of each project."""
    rows = checked(tuple[Text, Serial], cursor.execute("SELECT project, serial FROM awaited").fetchall())
    return {NormalizedName(project): serial for project, serial in rows}
