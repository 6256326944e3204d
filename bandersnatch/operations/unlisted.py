"""Finds files under ``web/packages`` that no page lists, in little memory, and in several attempts if necessary.

First all pages are read, then all folders are listed, and the findings are kept in a database. Pages may change between
two attempts; so the last step, which is done in one go, checks the times of all pages, and reads again those that have
changed. Nothing counts as unlisted if a single page or folder is unreadable: it might list the file.
"""

import hashlib
import os
import sqlite3
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from itertools import chain
from pathlib import Path

from bandersnatch.errors import InterruptedRunError, StorageError, UnreadablePageError
from bandersnatch.names import NormalizedName
from bandersnatch.operations.unlisted_database import open_database, remove_database
from bandersnatch.pages.rebuild_inventory import project_folders
from bandersnatch.pages.stored_page import read_listed_paths
from bandersnatch.plan.own_projects import OwnProjects
from bandersnatch.refusals import reason_of
from bandersnatch.state import closing_mark
from bandersnatch.state.database_errors import cause_of, is_damage
from bandersnatch.state.inventory import Inventory
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import HTML_PAGES, JSON_PAGE, PACKAGES, SIMPLE, StoredPath, is_metadata, page_path

_PLACES_AT_A_TIME = _ROWS_AT_A_TIME = 10_000
_COUNT = """
SELECT count(*) FROM unlisted AS each WHERE NOT is_metadata OR NOT EXISTS
(SELECT 1 FROM unlisted WHERE path = substr(each.path, 1, length(each.path) - length('.metadata')))
"""


class _Step(IntEnum):
    PAGES = 0
    FOLDERS = 1
    CHECK = 2


class UnlistedFiles:
    """The unlisted files of a mirror. Call ``find`` until it completes, and ``close`` last.

    The findings so far are kept in the file ``kept_at``, or nowhere; a search that was stopped is resumed from there,
    unless ``begins_anew``. ``tell_empty`` is called with each empty folder.
    """

    def __init__(
        self,
        storage: FilesystemStorage,
        inventory: Inventory,
        kept_at: Path | None,
        *,
        begins_anew: bool = False,
        tell_empty: Callable[[StoredPath], None] = lambda _: None,
    ) -> None:
        self._storage, self._kept_at = storage, kept_at
        self._inventories = (inventory, *inventory.beside)
        self._own = OwnProjects(storage, inventory)
        self._is_stopped: Callable[[], bool] = lambda: False
        self._is_forgotten, self._tell_empty = False, tell_empty
        with self._translated():
            if kept_at is not None and begins_anew:
                remove_database(kept_at)
            self._database = open_database(kept_at)

    def close(self) -> None:
        """Close the database; the file stays."""
        if self._kept_at is None or self._is_forgotten:
            self._database.close()
        else:
            with suppress(sqlite3.Error, OSError):  # without the mark, the next search starts again
                closing_mark.close(self._database, self._kept_at)

    def forget(self) -> None:
        """Make the next search start again: this one has served its purpose."""
        self._database.close()
        self._is_forgotten = True
        if self._kept_at is not None:
            remove_database(self._kept_at)

    def find(self, is_stopped: Callable[[], bool]) -> int:
        """Search for the files, and return how many there are; core metadata counts only without its file.

        Each call makes progress, however soon it is stopped; only the last step starts again.

        Raises:
            UnreadablePageError: the page of a project is unreadable or missing.
            StorageError: a folder can't be read.
            InterruptedRunError: time has run out.
        """
        self._is_stopped = is_stopped
        with self._translated():
            self._go_on(_Step.PAGES, self._read_pages)
            self._go_on(_Step.FOLDERS, self._list_folders)
            with self._transaction():
                self._check()
            return int(self._database.execute(_COUNT).fetchone()[0])

    def paths(self) -> Iterator[StoredPath]:
        """Yield the files, sorted by path."""
        query = "SELECT path FROM unlisted WHERE path > ? ORDER BY path LIMIT ?"
        last = b""
        with self._translated():
            while rows := self._database.execute(query, (last, _ROWS_AT_A_TIME)).fetchall():
                yield from (StoredPath(os.fsdecode(path)) for (path,) in rows)
                last = rows[-1][0]

    def _go_on(self, step: _Step, work: Callable[[bytes], Iterator[bytes]]) -> None:
        """Do the rest of a step, in batches; ``work`` gets the last place that was done, and yields the following ones."""
        at, last = self._database.execute("SELECT step, place FROM position").fetchone()
        if at > step:
            return
        places = work(last)
        is_over = False
        while not is_over:
            with self._transaction():
                number = 0
                while (place := next(places, None)) is not None:
                    number, last = number + 1, place
                    if self._is_stopped() or number == _PLACES_AT_A_TIME:
                        break
                is_over = place is None
                self._database.execute(
                    "UPDATE position SET step = ?, place = ?", (step + is_over, b"" if is_over else last)
                )
            if not is_over:
                self._check_time()

    def _read_pages(self, _: bytes) -> Iterator[bytes]:
        """Record what is listed by pages not read before, in the order in which the disk returns them."""
        own = self._own.names()
        for project, folder in project_folders(self._storage):
            if not self._has("page", "folder", folder):
                with suppress(UnreadablePageError):  # it may be repaired meanwhile; the check reads it again
                    self._read_page(folder, self._stamp(folder), is_ours=self._is_ours(project, own))
                yield b""

    def _is_ours(self, project: NormalizedName, own: Collection[NormalizedName]) -> bool:
        """Whether we wrote the page, so that it ends as ours do; others are the operator's."""
        return project not in own and any(each.get(project) is not None for each in self._inventories)

    def _read_page(self, folder: StoredPath, stamp: int | None, *, is_ours: bool) -> bool:
        """Record what the page in a folder lists; return whether there is one."""
        paths = read_listed_paths(self._storage, folder, must_be_whole=is_ours) if stamp is not None else None
        if paths is None:
            return False
        self._list(paths)
        self._database.execute("INSERT OR REPLACE INTO page VALUES (?, ?)", (_digest(folder), stamp))
        return True

    def _stamp(self, folder: StoredPath) -> int | None:
        """Return a number that changes with the page in a folder; None if there is no page."""
        for name in (JSON_PAGE, *HTML_PAGES):
            path = page_path(folder, name)
            try:
                found = os.stat(self._absolute(path))
            except FileNotFoundError:
                continue
            except OSError as error:
                reason = reason_of(error, self._absolute(path))
                raise UnreadablePageError(path, f"the page can't be read: {reason}") from error
            return _digest(f"{name} {found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}")
        return None

    def _list_folders(self, last: bytes) -> Iterator[bytes]:
        """Record unlisted files, folder by folder, sorted by name, each folder before its content."""
        self._database.execute("CREATE INDEX IF NOT EXISTS listed_digest ON listed (digest)")
        done = os.fsdecode(last).split("/") if last else []
        pending = [PACKAGES.split("/")]
        while pending:
            names = pending.pop()
            if names < done and names != done[: len(names)]:
                continue  # done, with everything below it
            is_new = names > done
            folders = self._list_folder("/".join(names), is_new=is_new)
            pending += ([*names, folder] for folder in sorted(folders, reverse=True))
            if is_new:
                yield os.fsencode("/".join(names))

    def _list_folder(self, folder: str, *, is_new: bool) -> list[str]:
        """Return the names of the folders in a folder; links to folders are the operator's, and left alone."""
        folders: list[str] = []
        is_empty = True
        try:
            with os.scandir(self._absolute(folder)) as entries:
                for entry in entries:
                    is_empty = False
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif is_new and not entry.is_dir():
                        self._note_unless_listed(StoredPath(f"{folder}/{entry.name}"))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StorageError(self._absolute(folder), "list", error) from error
        if is_empty:
            self._tell_empty(StoredPath(folder))
        return folders

    def _note_unless_listed(self, path: StoredPath) -> None:
        if not self._has("listed", "digest", path):
            row = (os.fsencode(path), is_metadata(path))
            self._database.execute("INSERT OR IGNORE INTO unlisted VALUES (?, ?)", row)

    def _check(self) -> None:
        """Check that the findings are still true, and that each held project has a readable page."""
        self._database.execute("CREATE TEMP TABLE IF NOT EXISTS has_page (project INTEGER PRIMARY KEY)")
        self._database.execute("DELETE FROM has_page")
        own = self._own.names()
        for project, folder in project_folders(self._storage):
            self._check_time()
            stamp = self._stamp(folder)
            known = self._database.execute("SELECT stamp FROM page WHERE folder = ?", (_digest(folder),)).fetchone()
            if known == (stamp,) or self._read_page(folder, stamp, is_ours=self._is_ours(project, own)):
                self._database.execute("INSERT OR IGNORE INTO has_page VALUES (?)", (_digest(project),))
        for held in chain.from_iterable(each.projects() for each in self._inventories):
            if not self._has("has_page", "project", held.name):
                raise UnreadablePageError(f"{SIMPLE}/.../{held.name}", "it is missing")
        # The next run may still need what an unfinished one has left, so these files count as listed.
        for _, path in chain.from_iterable(each.all_unsettled() for each in self._inventories):
            beside = self._storage.part_beside(path)
            self._list((path,) if beside is None else (path, f"{path.rpartition('/')[0]}/{beside}"))
        for path in self.paths():
            if self._has("listed", "digest", path) or not _is_file(self._absolute(path)):
                self._database.execute("DELETE FROM unlisted WHERE path = ?", (os.fsencode(path),))

    def _list(self, paths: Iterable[str]) -> None:
        self._database.executemany("INSERT INTO listed VALUES (?)", ((_digest(path),) for path in paths))

    def _absolute(self, path: str) -> str:
        return f"{self._storage.root}/{path}"  # no Path, which interns each part and so costs memory

    def _check_time(self) -> None:
        if self._is_stopped():
            raise InterruptedRunError

    def _has(self, table: str, column: str, text: str) -> bool:
        query = f"SELECT 1 FROM {table} WHERE {column} = ?"  # noqa: S608 - the names are constants of ours
        return self._database.execute(query, (_digest(text),)).fetchone() is not None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit what the block does, even if it is interrupted: everything recorded so far is true."""
        self._database.execute("BEGIN")
        try:
            yield
        finally:
            if self._database.in_transaction:  # after some errors SQLite has already rolled back
                self._database.execute("COMMIT")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if self._kept_at is not None and is_damage(error):
                self._is_forgotten = True
                remove_database(self._kept_at)
            raise StorageError(
                str(self._kept_at or "a temporary database"), "look for unlisted files", cause_of(error, self._kept_at)
            ) from error


def _is_file(path: str) -> bool:
    """Whether a file or a link is there; what has become a folder meanwhile must not be deleted."""
    try:
        return not stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _digest(text: str) -> int:
    """Return a 64-bit number for a path; in the unlikely case that two share one, a file is kept that could go."""
    found = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(found, signed=True)
