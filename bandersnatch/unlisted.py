"""Finds the files under ``web/packages`` that no page lists, in little memory, however many there are.

What all pages list is put into a temporary database, then the tree is walked. Nothing counts as unlisted where a single
page, or a folder, could not be read: a file may be listed there.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from bandersnatch.errors import InterruptedRunError, StorageError, UnreadablePageError
from bandersnatch.held_page import read_listed_paths
from bandersnatch.inventory import Inventory
from bandersnatch.layout import PACKAGES, SIMPLE, StoredPath, is_metadata
from bandersnatch.rebuild import project_folders
from bandersnatch.storage import PART_SUFFIX, FilesystemStorage

_ROWS_AT_A_TIME = 10_000


class UnlistedFiles:
    """The unlisted files of a mirror; ``find`` comes first, ``close`` last."""

    def __init__(self, storage: FilesystemStorage, inventory: Inventory, is_stopped: Callable[[], bool]) -> None:
        self._storage, self._inventory, self._is_stopped = storage, inventory, is_stopped
        # A nameless database is a temporary file that is gone with its connection, also after kill -9.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("CREATE TABLE listed (digest INTEGER PRIMARY KEY)")
        self._database.execute("CREATE TABLE page (digest INTEGER PRIMARY KEY)")
        self._database.execute(
            "CREATE TABLE unlisted (path BLOB PRIMARY KEY, is_metadata INTEGER NOT NULL) WITHOUT ROWID"
        )

    def close(self) -> None:
        """Forget what was found."""
        self._database.close()

    def find(self) -> int:
        """Look for the files, and return how many there are, core metadata not counted by itself.

        Raises:
            UnreadablePageError: a page of a project can't be read, or is missing.
            StorageError: a folder can't be read.
            InterruptedRunError: there is no time left.
        """
        try:
            self._insert("INSERT OR IGNORE INTO listed VALUES (?)", ((_digest(path),) for path in self._listed()))
            self._check_pages()
            unlisted = (path for path in self._walk() if not self._has("listed", path))
            self._insert("INSERT INTO unlisted VALUES (?, ?)", ((os.fsencode(p), is_metadata(p)) for p in unlisted))
            found = self._database.execute("SELECT count(*) FROM unlisted WHERE NOT is_metadata")
            return int(found.fetchone()[0])
        except sqlite3.Error as error:
            raise StorageError("a temporary database", "look for unlisted files", str(error)) from error

    def paths(self) -> Iterator[StoredPath]:
        """Yield the files, in the order of their paths."""
        for (path,) in self._database.execute("SELECT path FROM unlisted ORDER BY path"):
            yield StoredPath(os.fsdecode(path))

    def _listed(self) -> Iterator[str]:
        """Yield all that pages list, and what unfinished projects are at."""
        for _, path in self._inventory.all_unsettled():
            yield path
            folder, _, name = path.rpartition("/")
            yield f"{folder}/.{name}{PART_SUFFIX}"
        for project, folder in project_folders(self._storage):
            self._check_time()
            paths = read_listed_paths(self._storage, folder)
            if paths is not None:
                self._database.execute("INSERT OR IGNORE INTO page VALUES (?)", (_digest(project),))
                yield from paths

    def _check_pages(self) -> None:
        """See that each project that is held has a page, from which its files are known."""
        for held in self._inventory.projects():
            if not self._has("page", held.name):
                raise UnreadablePageError(f"{SIMPLE}/.../{held.name}", "it is missing")

    def _walk(self) -> Iterator[StoredPath]:
        """Yield all files below the folder; links to folders are the operator's, and left alone."""
        root = self._storage.root
        folders = [os.fspath(root / PACKAGES)]
        while folders:
            folder = folders.pop()
            self._check_time()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                        elif not entry.is_dir():
                            yield StoredPath(Path(entry.path).relative_to(root).as_posix())
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StorageError(folder, "list", error) from error

    def _check_time(self) -> None:
        if self._is_stopped():
            raise InterruptedRunError

    def _insert(self, statement: str, rows: Iterator[tuple[object, ...]]) -> None:
        while batch := list(islice(rows, _ROWS_AT_A_TIME)):
            self._database.execute("BEGIN")
            self._database.executemany(statement, batch)
            self._database.execute("COMMIT")

    def _has(self, table: str, text: str) -> bool:
        query = f"SELECT 1 FROM {table} WHERE digest = ?"  # noqa: S608 - the names of tables are all written here
        return self._database.execute(query, (_digest(text),)).fetchone() is not None


def _digest(text: str) -> int:
    """Return a number for a path: where two share one, which is unlikely, a file is kept that might go."""
    found = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(found, signed=True)
