"""What the mirror holds, per project: serial, ETag, counts; and which files of unfinished projects may be left over.

It is a cache in SQLite, rebuilt from the pages under ``web/`` (``rebuild_inventory``). It serves the root index without
a walk through all folders, conditional requests, and the sweep after a crash.

Before a project's files are touched, their paths are recorded as *unsettled*; the record is deleted once the project is
settled, with its page in place and its old files gone. So whatever a killed run left behind is found without a search.
"""

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from msgspec.structs import astuple

from bandersnatch.changes import Position
from bandersnatch.http.entity_tags import entity_tag
from bandersnatch.names import NormalizedName, parse_project_name
from bandersnatch.state import change_record, index_record, quarantines, strangers
from bandersnatch.state.inventory_rows import (
    Count,
    HeldProject,
    NamedRow,
    Serial,
    Text,
    shown_name,
)
from bandersnatch.state.inventory_schema import INSERT, SELECT, VERSION
from bandersnatch.state.turns import ROWS_AT_A_TIME, Turns
from bandersnatch.storage.layout import StoredPath, is_noted_path

__all__ = ["HeldProject", "Inventory"]


class Inventory(Turns):
    """The inventory of one mirror. Thread-safe. Times are in seconds since 1970, from ``now``."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        super().__init__(path, now)
        self._known_strangers = strangers.KnownStrangers()
        self.beside: tuple[Inventory, ...] = ()
        """Those of other indexes whose projects are in the same tree: none may delete a file of theirs."""

    def get(self, project: NormalizedName) -> HeldProject | None:
        """Return what we hold of a project, or None."""
        return self.held_of([project]).get(project)

    def held_of(self, projects: Collection[NormalizedName]) -> dict[NormalizedName, HeldProject]:
        """Return what we hold of these projects, by their names."""
        found = self._held(f"{SELECT} WHERE name IN ({_places(projects)})", tuple(projects))
        return {held.name: held for held in found}

    def projects(self) -> Iterator[HeldProject]:
        """Yield all held projects by name; there may be hundreds of thousands."""
        # In batches, because a generator must not hold the connection's lock between two rows.
        last = ""
        query = f"{SELECT} WHERE name > ? ORDER BY name LIMIT ?"
        while rows := self._held(query, (last, ROWS_AT_A_TIME)):
            yield from rows
            last = rows[-1].name

    def names_and_serials(self) -> Iterator[tuple[NormalizedName, str, int]]:
        """Yield name, display name and serial of all held projects by name, without the quarantined ones."""
        quarantined = self.quarantined()
        last = ""
        query = "SELECT name, display_name, serial FROM project WHERE name > ? ORDER BY name LIMIT ?"
        while rows := self._rows(NamedRow, query, (last, ROWS_AT_A_TIME)):
            for name, display_name, serial in rows:
                if name not in quarantined:
                    yield NormalizedName(name), shown_name(name, display_name), serial
            last = rows[-1][0]

    def quarantined(self) -> set[NormalizedName]:
        """Return the held projects that upstream has quarantined."""
        with self._cursor() as cursor:
            return quarantines.all_of(cursor)

    def without_files(self) -> list[NormalizedName] | None:
        """Return the projects that may be quarantined, if that was never recorded; otherwise None."""
        with self._cursor() as cursor:
            if quarantines.are_known(cursor):
                return None
            return [NormalizedName(name) for (name,) in cursor.execute("SELECT name FROM project WHERE files = 0")]

    def begin_quarantines(self, projects: Iterable[NormalizedName]) -> None:
        """Record that these projects, and no others, are quarantined."""
        with self._transaction() as cursor:
            quarantines.begin(cursor, projects)

    def end_quarantines(self, projects: Collection[NormalizedName]) -> None:
        """Record that these projects are not quarantined."""
        if projects:
            with self._transaction() as cursor:
                for project in projects:
                    quarantines.note(cursor, project, is_quarantined=False)

    def serials(self) -> dict[NormalizedName, int]:
        """Return the serials of all held projects."""
        rows = self._rows(tuple[Text, Serial], "SELECT name, serial FROM project")
        return {NormalizedName(name): serial for name, serial in rows}

    def project_count(self) -> int:
        """Return how many projects we hold: as tallied, since to count hundreds of thousands of rows takes a while."""
        [(projects,)] = self._rows(tuple[Count], "SELECT projects FROM tally")
        return projects

    def totals(self) -> tuple[int, int]:
        """Return how many projects and how many files we hold; all rows are read for it."""
        [(projects, files)] = self._rows(tuple[Count, float], "SELECT count(*), total(files) FROM project")
        return int(projects), int(files)

    def index_record(self, most: int) -> index_record.IndexRecord | None:
        """Return what is known about the root index; None if nothing is, or if more than ``most`` projects have changed."""
        with self._cursor() as cursor:
            return index_record.load(cursor, most)

    def forget_index_record(self) -> None:
        """Forget the root index, because it is about to be written."""
        with self._transaction() as cursor:
            index_record.forget(cursor)

    def save_index_record(self, stamps: Mapping[StoredPath, str], lines: int, left: Collection[NormalizedName]) -> None:
        """Record that a root index with so many lines was written, with all held projects except those in ``left``."""
        with self._transaction() as cursor:
            index_record.save(cursor, stamps, lines, left)

    def journal_position(self) -> Position | None:
        """Return up to where the static journal was written; None if there is none, or it can't be continued."""
        with self._cursor() as cursor:
            return change_record.position(cursor)

    def unjournaled(self, most: int) -> list[change_record.ChangedProject] | None:
        """Return what has changed since the journal was written; None if that is more than ``most``, or unknown."""
        with self._cursor() as cursor:
            return change_record.changed(cursor, most)

    def record_journal(self, written: Position | None) -> None:
        """Record that the journal has everything up to now; with None, that it can't be continued."""
        with self._transaction() as cursor:
            change_record.record(cursor, written)

    def end_journal(self) -> None:
        """Record no changes for a journal any more."""
        with self._transaction() as cursor:
            change_record.end(cursor)

    def put(self, *held: HeldProject) -> None:
        """Record projects whose pages are in place and confirmed by upstream, and settle them."""
        with self._transaction() as cursor:
            names = {project.name for project in held}
            # The tally is kept apart from the rows, so that a lost row is noticed.
            query = f"SELECT count(*) FROM project WHERE name IN ({_places(names)})"  # noqa: S608 - ours
            (known,) = cursor.execute(query, tuple(names)).fetchone()
            cursor.execute("UPDATE tally SET projects = projects + ?", (len(names) - known,))
            now = self._now()
            cursor.executemany(INSERT, [_row(project, now) for project in held])
            for project in held:
                self._note_beside(cursor, project)
            self._settle(cursor, names)

    def put_all(self, held: Iterable[HeldProject]) -> None:
        """Record all projects of a new inventory in one transaction, which also makes it valid."""
        with self._transaction() as cursor:
            for project in held:
                # Time 0 puts them first in line for a refresh.
                cursor.execute(INSERT, _row(project, 0))
                self._note_beside(cursor, project)
            cursor.execute("UPDATE tally SET projects = (SELECT count(*) FROM project)")
            cursor.execute(f"PRAGMA user_version = {VERSION}")

    def remove(self, project: NormalizedName) -> None:
        """Forget a project that we no longer hold, and settle it."""
        with self._transaction() as cursor:
            self._drop(cursor, project)
            self._settle(cursor, [project])

    def drop_record(self, project: NormalizedName) -> None:
        """Forget a project whose pages are gone, but not what its removal may have left."""
        with self._transaction() as cursor:
            self._drop(cursor, project)

    def forget_etags(self) -> None:
        """Make the next request for every page unconditional."""
        with self._transaction() as cursor:
            cursor.execute("UPDATE project SET etag = NULL")

    def forget_etags_of(self, projects: Iterable[NormalizedName]) -> None:
        """Make the next request for each of these pages unconditional."""
        with self._transaction() as cursor:
            cursor.executemany("UPDATE project SET etag = NULL WHERE name = ?", ((project,) for project in projects))

    def forget_serials(self) -> None:
        """Treat all pages as older than any other: they come from another index, whose serials mean nothing here."""
        with self._transaction() as cursor:
            cursor.execute("UPDATE project SET etag = NULL, serial = 0")
            cursor.execute("DELETE FROM awaited")

    def with_stranger(self, path: StoredPath) -> list[NormalizedName]:
        """Return the projects that list this file although its name does not begin with theirs."""
        with self._cursor() as cursor:
            found = strangers.projects_with(cursor, path)
        return [*found, *(project for other in self.beside for project in other.with_stranger(path))]

    def files_of_others(
        self, projects: Iterable[NormalizedName]
    ) -> dict[NormalizedName, dict[StoredPath, NormalizedName]]:
        """Return, for each project, the files with a name as its own have that another one may list, with that other."""
        with self._cursor() as cursor:
            return {project: self._known_strangers.named_as(project, cursor) for project in projects}

    def lower_serials(self, serials: Mapping[NormalizedName, int]) -> None:
        """Record that pages are older than we believed, so that their successors need not be newer than that."""
        with self._transaction() as cursor:
            rows = ((serial, project) for project, serial in serials.items())
            cursor.executemany("UPDATE project SET etag = NULL, serial = ? WHERE name = ?", rows)

    def note_unsettled(self, paths: Iterable[tuple[NormalizedName, StoredPath]]) -> None:
        """Record files of projects that are about to be written or deleted."""
        with self._transaction() as cursor:
            cursor.executemany("INSERT OR IGNORE INTO unsettled VALUES (?, ?)", paths)

    def unsettled(self, project: NormalizedName) -> set[StoredPath]:
        """Return the files that earlier runs may have left unfinished for a project."""
        return set(self.unsettled_of([project]).get(project, ()))

    def unsettled_of(self, projects: Collection[NormalizedName]) -> dict[NormalizedName, dict[StoredPath, str | None]]:
        """Return those files of several projects; each with the ETag of the file that its temporary file is a part of,
        or None if that is not known.
        """
        query = "SELECT project, path, etag FROM unsettled LEFT JOIN partial USING (path) WHERE project IN ({})"
        with self._cursor() as cursor:
            rows = cursor.execute(query.format(_places(projects)), tuple(projects)).fetchall()
        found: dict[NormalizedName, dict[StoredPath, str | None]] = {}
        for project, path, etag in rows:
            if is_noted_path(path):
                noted = found.setdefault(NormalizedName(project), {})
                noted[StoredPath(path)] = None if etag is None else entity_tag(str(etag))
        return found

    def is_noted(self, project: NormalizedName, path: StoredPath) -> bool:
        """Whether earlier runs, of this index or another in the same tree, may have left a file unfinished."""
        return any(path in each.unsettled(project) for each in (self, *self.beside))

    def all_unsettled(self) -> list[tuple[NormalizedName, StoredPath]]:
        """Return all files that earlier runs may have left unfinished."""
        with self._cursor() as cursor:
            rows = cursor.execute("SELECT project, path FROM unsettled").fetchall()
        noted = [(NormalizedName(project), StoredPath(path)) for project, path in rows if is_noted_path(path)]
        return [(project, path) for project, path in noted if parse_project_name(project) == project]

    def note_partial(self, path: StoredPath, etag: str) -> None:
        """Record which version of a file the temporary file for that path is a part of."""
        with self._transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO partial VALUES (?, ?)", (path, etag))

    def _note_beside(self, cursor: sqlite3.Cursor, held: HeldProject) -> None:
        """Record what other tables have of a project that is put."""
        if held.strangers is not None:
            strangers.note(cursor, held.name, held.strangers)
            self._known_strangers.add(held.name, held.strangers)
        if held.is_quarantined is not None:
            quarantines.note(cursor, held.name, is_quarantined=held.is_quarantined)

    @staticmethod
    def _drop(cursor: sqlite3.Cursor, project: NormalizedName) -> None:
        cursor.execute("DELETE FROM project WHERE name = ?", (project,))
        cursor.execute("UPDATE tally SET projects = projects - ?", (cursor.rowcount,))
        strangers.note(cursor, project, ())
        quarantines.note(cursor, project, is_quarantined=False)

    @staticmethod
    def _settle(cursor: sqlite3.Cursor, projects: Iterable[NormalizedName]) -> None:
        names = [(project,) for project in projects]
        query = "DELETE FROM partial WHERE path IN (SELECT path FROM unsettled WHERE project = ?)"
        cursor.executemany(query, names)
        cursor.executemany("DELETE FROM unsettled WHERE project = ?", names)


def _row(held: HeldProject, looked_at: float) -> tuple[object, ...]:
    *row, _, _ = astuple(held)
    return (*row, looked_at)


def _places(values: Collection[object]) -> str:
    """Return a placeholder for each value: as many as a run has projects under way are far fewer than SQLite allows."""
    return ", ".join("?" * len(values))
