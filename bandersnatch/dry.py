"""The mirror's directory and inventory for a dry run: everything can be asked, and nothing that is told reaches the disk."""

import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bandersnatch.errors import StorageError
from bandersnatch.inventory import Inventory
from bandersnatch.layout import StoredPath
from bandersnatch.model import StoredFile
from bandersnatch.sink import Partial, Sink
from bandersnatch.storage import FilesystemStorage


class DryStorage(FilesystemStorage):
    """Keeps in memory what would be written or deleted, which must be little."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._kept: dict[StoredPath, bytes | None] = {}

    @contextmanager
    def write(self, path: StoredPath, mtime: float | None = None, partial: Partial | None = None) -> Iterator[Sink]:
        """Keep what is written in the block."""
        with tempfile.TemporaryFile() as stream:
            yield Sink(path, stream.fileno())
            stream.seek(0)
            self._kept[path] = stream.read()

    def write_bytes(self, path: StoredPath, data: bytes, mtime: float | None = None) -> bool:
        """Keep the bytes, unless they are what is there; return whether they are not."""
        if self.read(path) == data:
            return False
        self._kept[path] = data
        return True

    def write_pieces(self, path: StoredPath, pieces: Iterable[bytes]) -> bool:
        """Keep the bytes, unless they are what is there; return whether they are not."""
        return self.write_bytes(path, b"".join(pieces))

    def save(self, path: StoredPath, pieces: Iterable[bytes]) -> None:
        """Keep the record."""
        self._kept[path] = b"".join(pieces)

    def flush(self) -> None:
        """Do nothing: there is nothing that could be made durable."""

    def read(self, path: StoredPath) -> bytes | None:
        """Return what was written last, here or on disk."""
        return self._kept[path] if path in self._kept else super().read(path)

    def stat(self, path: StoredPath) -> StoredFile | None:
        """Return the size and time of what was written last, here or on disk."""
        if path not in self._kept:
            return super().stat(path)
        data = self._kept[path]
        return None if data is None else StoredFile(len(data), time.time())

    def set_mtime(self, path: StoredPath, mtime: float) -> None:
        """Do nothing."""

    def link(self, path: StoredPath, target: str) -> None:
        """Keep what the link would lead to."""
        self._kept[path] = self.read(StoredPath(f"{path.rpartition('/')[0]}/{target}"))

    def move_folder(self, path: StoredPath, new_path: StoredPath) -> bool:
        """Do nothing, and say that there is nothing left to do."""
        return True

    def delete(self, path: StoredPath) -> bool:
        """Take the file for deleted from now on; return whether it was there."""
        was_there = self.stat(path) is not None
        self._kept[path] = None
        return was_there

    def sweep(self, paths: Iterable[StoredPath]) -> int:
        """Do nothing, and say so."""
        return 0


class InventoryCopy(Inventory):
    """A copy of the inventory in a temporary database; the original may be missing, read-only, or in use by a run."""

    def open(self) -> bool:
        """Copy the inventory, or begin an empty one where there is none that can be used; return whether there was one.

        Raises:
            StorageError: there is no room for the copy.
        """
        try:
            self._connection = self._temporary_database()
            if self._path.exists() and self._copy_original(self._connection):
                return True
            self._connection.close()
            self._connection = self._temporary_database()
            self._make_tables(self._connection)
        except sqlite3.Error as error:
            raise StorageError(str(self._path), "copy the inventory", str(error)) from error
        return False

    @staticmethod
    def _temporary_database() -> sqlite3.Connection:
        return sqlite3.connect("", isolation_level=None, check_same_thread=False)

    def _copy_original(self, target: sqlite3.Connection) -> bool:
        # To read a database with a log beside it, SQLite takes part in its locks; without one, it would make the log's files
        # anew, unless it is told that nothing changes here.
        is_in_use = Path(f"{self._path}-wal").exists()
        uri = f"{self._path.absolute().as_uri()}?{'mode=ro' if is_in_use else 'immutable=1'}"
        try:
            with closing(sqlite3.connect(uri, uri=True)) as source:
                source.backup(target)
        except sqlite3.DatabaseError:
            return False
        return self._is_usable(target)

    def _discard(self) -> None:
        """Leave the original alone."""
