"""What the mirror holds, per project: serial, ETag, counts; and which files of unfinished projects may lie about.

A cache in SQLite: it can be deleted where there is no todo list, and is rebuilt from the pages under ``web/``
(``rebuild.py``). It serves the root index without a walk through all folders, conditional requests, and the clean-up
after a crash.

Before a project's files are touched, their paths are noted as *unsettled*; the note goes when the project is settled, its
page in place and its old files gone. So whatever a dead run left behind is found without a search.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple
from packaging.utils import NormalizedName

from bandersnatch import awaited, index_record, quarantines, strangers
from bandersnatch.awaited import Awaited
from bandersnatch.database_errors import cause_of
from bandersnatch.errors import StorageError
from bandersnatch.inventory_schema import INSERT, PROJECT_COLUMNS, SELECT, VERIFIED, VERSION, is_usable, make_tables
from bandersnatch.layout import StoredPath, is_noted_path
from bandersnatch.model import parse_project_name

_ROWS_AT_A_TIME = 10_000


class HeldProject(Struct, frozen=True):
    """A project whose pages are in place. ``etag`` is upstream's, and None where the next request must not be
    conditional; ``pages_digest`` is what all that was published of the project shall hash to, and None where nobody knows.
    ``strangers`` are its files whose names do not begin with its own, or None, which leaves those as they are noted, as it
    does with ``is_quarantined``.
    """

    name: NormalizedName
    display_name: str
    serial: int
    etag: str | None
    files: int
    size_bytes: int
    pages_digest: bytes | None = None
    strangers: tuple[StoredPath, ...] | None = None
    is_quarantined: bool | None = None


class Inventory:
    """The inventory of one mirror. Thread-safe. Times are what ``now`` tells, in seconds since 1970."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._path, self._now = path, now
        self._guard = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def open(self) -> bool:
        """Open the inventory, or make it anew where it is missing, unreadable or unfinished; return whether it was there.

        A new one must be filled with ``put_all`` before it counts.

        Raises:
            StorageError: it can't be made.
        """
        try:
            if self._path.exists() and self._connect_to_existing():
                return True
            self.close()
            for leftover in (self._path, Path(f"{self._path}-wal"), Path(f"{self._path}-shm")):
                leftover.unlink(missing_ok=True)
            make_tables(self._connect())
        except (sqlite3.Error, OSError) as error:
            raise StorageError(str(self._path), "make the inventory", cause_of(error)) from error
        return False

    def close(self) -> None:
        """Close the database; everything is committed already, and a thread that comes late gets an error."""
        with self._guard:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def get(self, project: NormalizedName) -> HeldProject | None:
        """Return what is held of a project, or None."""
        with self._cursor() as cursor:
            row = cursor.execute(f"{SELECT} WHERE name = ?", (project,)).fetchone()
        return None if row is None else HeldProject(*row)

    def projects(self) -> Iterator[HeldProject]:
        """Yield all projects that are held, in the order of their names; there may be hundreds of thousands."""
        return (HeldProject(*row) for row in self._in_order(PROJECT_COLUMNS))

    def names_and_serials(self) -> Iterator[tuple[NormalizedName, str, int]]:
        """Yield name, display name and serial of all held projects but the quarantined, in the order of their names."""
        quarantined = self.quarantined()
        return (row for row in self._in_order("name, display_name, serial") if row[0] not in quarantined)

    def quarantined(self) -> set[NormalizedName]:
        """Return the held projects that upstream has quarantined."""
        with self._cursor() as cursor:
            return quarantines.all_of(cursor)

    def without_files(self) -> list[NormalizedName] | None:
        """Return the projects that may be quarantined, where it is not known which are; else None."""
        with self._cursor() as cursor:
            if quarantines.are_known(cursor):
                return None
            return [NormalizedName(name) for (name,) in cursor.execute("SELECT name FROM project WHERE files = 0")]

    def begin_quarantines(self, projects: Iterable[NormalizedName]) -> None:
        """Record that these projects, and no others, are quarantined."""
        with self._transaction() as cursor:
            quarantines.begin(cursor, projects)

    def _in_order(self, columns: str) -> Iterator[Any]:
        last = ""
        query = f"SELECT {columns} FROM project WHERE name > ? ORDER BY name LIMIT ?"  # noqa: S608 - ours
        while True:
            with self._cursor() as cursor:
                rows = cursor.execute(query, (last, _ROWS_AT_A_TIME)).fetchall()
            yield from rows
            if len(rows) < _ROWS_AT_A_TIME:
                return
            last = rows[-1][0]

    def serials(self) -> dict[NormalizedName, int]:
        """Return the serials of all projects that are held."""
        with self._cursor() as cursor:
            return dict(cursor.execute("SELECT name, serial FROM project"))

    def totals(self) -> tuple[int, int]:
        """Return how many projects and how many files are held."""
        with self._cursor() as cursor:
            projects, files = cursor.execute("SELECT count(*), total(files) FROM project").fetchone()
        return int(projects), int(files)

    def index_record(self) -> index_record.IndexRecord | None:
        """Return what is known of the root index, or None where nothing is."""
        with self._cursor() as cursor:
            return index_record.load(cursor)

    def forget_index_record(self) -> None:
        """Know nothing of the root index, which is about to be written."""
        with self._transaction() as cursor:
            index_record.forget(cursor)

    def save_index_record(self, stamps: Mapping[StoredPath, str], lines: int, left: Collection[NormalizedName]) -> None:
        """Record a root index that was written with so many lines: all projects that are held, but those that are left."""
        with self._transaction() as cursor:
            index_record.save(cursor, stamps, lines, left)

    def put(self, *held: HeldProject) -> None:
        """Record projects whose pages are in place, as upstream has just said, and settle them."""
        with self._transaction() as cursor:
            now = self._now()
            for project in held:
                self._put(cursor, project, now)
                self._settle(cursor, project.name)

    def put_all(self, held: Iterable[HeldProject]) -> None:
        """Record all projects of a new inventory at once, and only then let it count as one."""
        with self._transaction() as cursor:
            for project in held:
                self._put(cursor, project, 0)
            cursor.execute(f"PRAGMA user_version = {VERSION}")

    def remove(self, project: NormalizedName) -> None:
        """Forget a project that is held no more, and settle it."""
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM project WHERE name = ?", (project,))
            strangers.note(cursor, project, ())
            quarantines.note(cursor, project, is_quarantined=False)
            self._settle(cursor, project)

    def forget_etags(self) -> None:
        """Make every next request for a page unconditional."""
        with self._transaction() as cursor:
            cursor.execute("UPDATE project SET etag = NULL")

    def forget_etags_of(self, projects: Iterable[NormalizedName]) -> None:
        """Make the next request for each of these pages unconditional."""
        with self._transaction() as cursor:
            cursor.executemany("UPDATE project SET etag = NULL WHERE name = ?", ((project,) for project in projects))

    def forget_serials(self) -> None:
        """Take the pages for older than any other: they are of another index, whose serials mean nothing here."""
        with self._transaction() as cursor:
            cursor.execute("UPDATE project SET etag = NULL, serial = 0")
            cursor.execute("DELETE FROM awaited")

    def with_stranger(self, path: StoredPath) -> list[NormalizedName]:
        """Return the projects that list a file whose name does not begin with theirs."""
        with self._cursor() as cursor:
            return strangers.projects_with(cursor, path)

    def lower_serials(self, serials: Mapping[NormalizedName, int]) -> None:
        """Record that pages are older than was believed, so that the next ones need not be newer than that."""
        with self._transaction() as cursor:
            rows = ((serial, project) for project, serial in serials.items())
            cursor.executemany("UPDATE project SET etag = NULL, serial = ? WHERE name = ?", rows)

    def note_unsettled(self, paths: Iterable[tuple[NormalizedName, StoredPath]]) -> None:
        """Note files of projects that are about to be written or deleted."""
        with self._transaction() as cursor:
            cursor.executemany("INSERT OR IGNORE INTO unsettled VALUES (?, ?)", paths)

    def unsettled(self, project: NormalizedName) -> set[StoredPath]:
        """Return the files that earlier runs may have left half-done for a project."""
        with self._cursor() as cursor:
            rows = cursor.execute("SELECT path FROM unsettled WHERE project = ?", (project,))
            return {StoredPath(path) for (path,) in rows if is_noted_path(path)}

    def all_unsettled(self) -> list[tuple[NormalizedName, StoredPath]]:
        """Return all files that earlier runs may have left half-done."""
        with self._cursor() as cursor:
            rows = cursor.execute("SELECT project, path FROM unsettled").fetchall()
        noted = [(NormalizedName(project), StoredPath(path)) for project, path in rows if is_noted_path(path)]
        return [(project, path) for project, path in noted if parse_project_name(project) == project]

    def note_partial(self, path: StoredPath, etag: str) -> None:
        """Note of which document the half-written file of that path is a part."""
        with self._transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO partial VALUES (?, ?)", (path, etag))

    def partial_etag(self, path: StoredPath) -> str | None:
        """Return the ETag of the document of which the half-written file of that path is a part, or None."""
        with self._cursor() as cursor:
            row = cursor.execute("SELECT etag FROM partial WHERE path = ?", (path,)).fetchone()
        return None if row is None else str(row[0])

    def longest_not_looked_at(self, number: int, before: float) -> list[tuple[NormalizedName, str, int]]:
        """Return name, display name and serial of so many projects that upstream was longest not asked for."""
        query = "SELECT name, display_name, serial FROM project WHERE looked_at < ? ORDER BY looked_at, name LIMIT ?"
        return self._rows(query, (before, number))

    def overdue(self, most: int) -> int:
        """Return how many projects must be looked at as soon as may be, since older code left some of their files out."""
        query = "SELECT count(*) FROM (SELECT 1 FROM project WHERE looked_at < 0 LIMIT ?)"
        [(number,)] = self._rows(query, (most,))
        return int(number)

    def mark_looked_at(self, projects: Iterable[NormalizedName], moment: float) -> None:
        """Record when upstream was asked for projects."""
        with self._transaction() as cursor:
            rows = ((moment, project) for project in projects)
            cursor.executemany("UPDATE project SET looked_at = ? WHERE name = ?", rows)

    def refreshed_up_to(self) -> tuple[float | None, int]:
        """Return up to when projects were looked at again, None where none ever was; and how many are held."""
        [(up_to, number)] = self._rows("SELECT (SELECT up_to FROM refreshed), (SELECT count(*) FROM project)", ())
        return up_to, number

    def save_refreshed(self, up_to: float) -> None:
        """Record up to when projects were looked at again."""
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM refreshed")
            cursor.execute("INSERT INTO refreshed VALUES (?)", (up_to,))

    def note_awaited(self, project: NormalizedName, what: Awaited) -> None:
        """Note what is awaited of a project that was asked for just now."""
        with self._transaction() as cursor:
            awaited.note(cursor, project, what, self._now())

    def awaited_serials(self) -> dict[NormalizedName, int]:
        """Return which serial is awaited of each project of which anything is; 0 where that is no newer page."""
        with self._cursor() as cursor:
            return awaited.serials(cursor)

    def due_awaited(self, now: float) -> list[tuple[NormalizedName, str, int]]:
        """Return name, display name and serial of the awaited projects that are to be asked for now."""
        with self._cursor() as cursor:
            return awaited.due(cursor, now)

    def end_asking(self, projects: Iterable[NormalizedName], moment: float) -> None:
        """Note when projects were asked for, if they are awaited; forget what is so no longer."""
        with self._transaction() as cursor:
            awaited.mark_asked(cursor, projects, moment)
            awaited.forget_old(cursor, moment)

    def begin_verification(self, moment: float) -> None:
        """Make room for the times of verification, which only ``verify`` asks for, and let none be later than ``moment``."""
        with self._transaction() as cursor:
            for statement in VERIFIED:
                cursor.execute(statement)
            cursor.execute("DELETE FROM verified WHERE project NOT IN (SELECT name FROM project)")
            cursor.execute("UPDATE verified SET at = ? - 1 WHERE at >= ?", (moment, moment))

    def verified_before(self, moment: float) -> Iterator[HeldProject]:
        """Yield the projects that were not verified since then: those that never were, and then the longest ago first."""
        last_name, last_at = "", 0.0
        never = f"{SELECT} WHERE name > ? AND name NOT IN (SELECT project FROM verified) ORDER BY name LIMIT ?"  # noqa: S608 - ours
        while rows := self._rows(never, (last_name, _ROWS_AT_A_TIME)):
            yield from (HeldProject(*row) for row in rows)
            last_name = rows[-1][0]
        last_name = ""
        earlier = (
            f"SELECT {PROJECT_COLUMNS}, at FROM verified JOIN project ON name = project"  # noqa: S608 - ours
            " WHERE (at, project) > (?, ?) AND at < ? ORDER BY at, project LIMIT ?"
        )
        while rows := self._rows(earlier, (last_at, last_name, moment, _ROWS_AT_A_TIME)):
            yield from (HeldProject(*row[:-1]) for row in rows)
            last_name, last_at = rows[-1][0], rows[-1][-1]

    def mark_verified(self, projects: Iterable[NormalizedName], moment: float) -> None:
        """Record that projects were verified."""
        with self._transaction() as cursor:
            rows = ((project, moment) for project in projects)
            cursor.executemany("INSERT OR REPLACE INTO verified VALUES (?, ?)", rows)

    def _rows(self, query: str, parameters: tuple[object, ...]) -> list[Any]:
        with self._cursor() as cursor:
            return cursor.execute(query, parameters).fetchall()

    def _discard(self) -> None:
        self._path.unlink(missing_ok=True)

    @staticmethod
    def _put(cursor: sqlite3.Cursor, held: HeldProject, looked_at: float) -> None:
        *row, paths, is_quarantined = astuple(held)
        cursor.execute(INSERT, (*row, looked_at))
        if paths is not None:
            strangers.note(cursor, held.name, paths)
        if is_quarantined is not None:
            quarantines.note(cursor, held.name, is_quarantined=is_quarantined)

    @staticmethod
    def _settle(cursor: sqlite3.Cursor, project: NormalizedName) -> None:
        cursor.execute("DELETE FROM partial WHERE path IN (SELECT path FROM unsettled WHERE project = ?)", (project,))
        cursor.execute("DELETE FROM unsettled WHERE project = ?", (project,))

    def _connect(self) -> sqlite3.Connection:
        # Autocommit, so that a killed run loses nothing that it was told; WAL with NORMAL writes without a flush for each
        # transaction, and the run's own flush of the filesystem makes them durable together with the data.
        self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        return self._connection

    def _connect_to_existing(self) -> bool:
        with suppress(sqlite3.DatabaseError):
            return is_usable(self._connect())
        return False

    @contextmanager
    def _cursor(self) -> Iterator[sqlite3.Cursor]:
        with self._guard:
            if self._connection is None:
                raise StorageError(str(self._path), "use the inventory", "the run has ended")
            cursor = self._connection.cursor()
            try:
                yield cursor
            except sqlite3.OperationalError as error:  # the disk, or another program that has it locked
                raise StorageError(str(self._path), "use the inventory", cause_of(error)) from error
            except sqlite3.Error as error:
                self._discard()
                reason = f"{error}; it was deleted, and the next run makes it anew"
                raise StorageError(str(self._path), "use the inventory", reason) from error
            finally:
                cursor.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                if cursor.connection.in_transaction:  # at some errors SQLite has rolled back by itself
                    cursor.execute("ROLLBACK")
                raise
