"""Whose turn it is: when upstream was asked for each project, what is awaited of it, and when it was verified."""

from collections.abc import Iterable, Iterator

from bandersnatch.names import NormalizedName
from bandersnatch.state import awaited
from bandersnatch.state.awaited import Awaited
from bandersnatch.state.inventory_database import InventoryDatabase
from bandersnatch.state.inventory_rows import (
    Count,
    HeldProject,
    NamedRow,
    ProjectRow,
    Seconds,
    Text,
    checked,
    held_project,
    name_of,
    shown_name,
)
from bandersnatch.state.inventory_schema import SELECT, VERIFIED

ROWS_AT_A_TIME = 10_000


class Turns(InventoryDatabase):
    """The part of the inventory that says which projects are due. Thread-safe."""

    def longest_not_looked_at(self, number: int, before: float) -> list[tuple[NormalizedName, str, int]]:
        """Return name, display name and serial of the ``number`` projects for which upstream was not asked for longest.

        A time in the future, from a clock that was wrong, counts as never, and comes first.
        """
        query = "SELECT name, display_name, serial FROM project WHERE looked_at {} ? ORDER BY looked_at, name LIMIT ?"
        never = self._rows(NamedRow, query.format(">"), (max(before, self._now()), number))
        return _named([*never, *self._rows(NamedRow, query.format("<"), (before, number - len(never)))])

    def overdue(self, most: int) -> int:
        """Return how many projects, up to ``most``, must be checked soon since older code left out some of their files."""
        query = "SELECT count(*) FROM (SELECT 1 FROM project WHERE looked_at < 0 LIMIT ?)"
        [(number,)] = self._rows(tuple[Count], query, (most,))
        return number

    def mark_looked_at(self, projects: Iterable[NormalizedName], moment: float) -> None:
        """Record when upstream was asked for these projects."""
        with self._transaction() as cursor:
            rows = ((moment, project) for project in projects)
            cursor.executemany("UPDATE project SET looked_at = ? WHERE name = ?", rows)

    def refreshed_up_to(self) -> tuple[float | None, int]:
        """Return up to when projects were refreshed (None: never), and how many are held."""
        query = "SELECT (SELECT up_to FROM refreshed), (SELECT count(*) FROM project)"
        [(up_to, number)] = self._rows(tuple[Seconds | None, Count], query)
        return up_to, number

    def save_refreshed(self, up_to: float) -> None:
        """Record up to when projects were refreshed."""
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM refreshed")
            cursor.execute("INSERT INTO refreshed VALUES (?)", (up_to,))

    def note_awaited(self, project: NormalizedName, what: Awaited) -> None:
        """Record what is awaited of a project that was just asked for."""
        with self._transaction() as cursor:
            awaited.note(cursor, project, what, self._now())

    def awaited_serials(self) -> dict[NormalizedName, int]:
        """Return the awaited serial of each awaited project; 0 if it is not a newer page that is awaited."""
        with self._cursor() as cursor:
            return awaited.serials(cursor)

    def due_awaited(self, now: float) -> list[tuple[NormalizedName, str, int]]:
        """Return name, display name and serial of the awaited projects that are due to be asked for."""
        with self._cursor() as cursor:
            return _named(awaited.due(cursor, now, max(now, self._now())))

    def end_asking(self, projects: Iterable[NormalizedName], moment: float) -> None:
        """Record when awaited projects were asked for, and forget those that are no longer awaited."""
        with self._transaction() as cursor:
            awaited.mark_asked(cursor, projects, moment)
            awaited.forget_old(cursor, moment)

    def begin_verification(self, moment: float) -> None:
        """Create the table of verification times, which only ``verify`` uses; none may be later than ``moment``."""
        with self._transaction() as cursor:
            for statement in VERIFIED:
                cursor.execute(statement)
            cursor.execute("DELETE FROM verified WHERE project NOT IN (SELECT name FROM project)")
            cursor.execute("UPDATE verified SET at = ? - 1 WHERE at >= ?", (moment, moment))

    def verified_before(self, moment: float) -> Iterator[HeldProject]:
        """Yield the projects not verified since ``moment``: those never verified, then the longest ago first."""
        last_name, last_at = "", 0.0
        never = f"{SELECT} WHERE name > ? AND name NOT IN (SELECT project FROM verified) ORDER BY name LIMIT ?"  # noqa: S608 - ours
        while never_verified := self._held(never, (last_name, ROWS_AT_A_TIME)):
            yield from never_verified
            last_name = never_verified[-1].name
        last_name = ""
        earlier = (
            "SELECT name, at FROM verified JOIN project ON name = project"
            " WHERE (at, project) > (?, ?) AND at < ? ORDER BY at, project LIMIT ?"
        )
        while rows := self._rows(tuple[Text, Seconds], earlier, (last_at, last_name, moment, ROWS_AT_A_TIME)):
            for name, _ in rows:
                yield from self._held(f"{SELECT} WHERE name = ?", (name,))
            last_name, last_at = rows[-1]

    def mark_verified(self, projects: Iterable[NormalizedName], moment: float) -> None:
        """Record that projects were verified."""
        with self._transaction() as cursor:
            rows = ((project, moment) for project in projects)
            cursor.executemany("INSERT OR REPLACE INTO verified VALUES (?, ?)", rows)

    def _held(self, query: str, parameters: tuple[object, ...]) -> list[HeldProject]:
        with self._cursor() as cursor:
            rows = checked(ProjectRow, cursor.execute(query, parameters).fetchall())
            return [held_project(row) for row in rows]


def _named(rows: Iterable[NamedRow]) -> list[tuple[NormalizedName, str, int]]:
    return [(name_of(name), shown_name(name, display_name), serial) for name, display_name, serial in rows]
