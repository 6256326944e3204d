"""The mirror's directory and inventory for a dry run: everything can be asked, and nothing that is told reaches the disk."""

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec import Struct

from bandersnatch.errors import StorageError
from bandersnatch.model import StoredFile
from bandersnatch.state.database_errors import cause_of
from bandersnatch.state.inventory import Inventory
from bandersnatch.storage.file_writer import FileWriter, Partial
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath
from bandersnatch.storage.set_aside import is_other_kind

_NOWHERE = ".moved-away"


class _Link(Struct, frozen=True):
    """A link that would be there, and where it would lead from its own folder."""

    target: str


class DryStorage(FilesystemStorage):
    """Keeps in memory what would be written, deleted or moved, which must be little.

    What is told of it is what would be there then: a folder that was moved has its files in its new place. The records of
    all that go by the *origin* of a path, which is where it lies on disk. A folder is moved once, and none that has moved
    ones in it.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._kept: dict[StoredPath, bytes | _Link | None] = {}
        self._names: dict[str, set[str]] = {}
        """The names of what is kept, by folder."""
        self._moved: dict[str, str] = {}
        """The origins of the folders that were moved, by their new places."""
        self._places: dict[str, str] = {}
        """The other way round."""
        self._made: dict[str, set[str]] = {}
        """The names of folders that would be there, by the folder that they are in."""

    @contextmanager
    def write(
        self, path: StoredPath, mtime: float | None = None, partial: Partial | None = None
    ) -> Iterator[FileWriter]:
        """Keep what is written in the block."""
        with tempfile.TemporaryFile() as stream:
            yield FileWriter(path, stream.fileno(), self._shortcomings)
            stream.seek(0)
            self._keep(path, stream.read())

    def write_bytes(self, path: StoredPath, data: bytes, mtime: float | None = None) -> bool:
        """Keep the bytes, unless they are what is there; return whether they are not."""
        if self.read(path) == data:
            return False
        self._keep(path, data)
        return True

    @contextmanager
    def rewrite(self, path: StoredPath) -> Iterator[FileWriter]:
        """Keep what is written in the block; bytes that are there already do no harm."""
        with self.write(path) as writer:
            yield writer

    def save(self, path: StoredPath, pieces: Iterable[bytes]) -> None:
        """Keep the record."""
        self._keep(path, b"".join(pieces))

    def flush(self) -> None:
        """Do nothing: there is nothing that could be made durable."""

    def read(self, path: StoredPath) -> bytes | None:
        """Return what was written last, here or on disk."""
        if (origin := self._origin(path)) not in self._kept:
            return super().read(path)
        kept = self._kept[origin]
        return self.read(_beside(path, kept.target)) if isinstance(kept, _Link) else kept

    def read_record(self, path: StoredPath, most: int) -> bytes | None:
        """Return what was written last, here or on disk."""
        return self.read(path) if self._origin(path) in self._kept else super().read_record(path, most)

    def stat(self, path: StoredPath) -> StoredFile | None:
        """Return the size and time of what was written last, here or on disk."""
        if (origin := self._origin(path)) not in self._kept:
            return super().stat(path)
        kept = self._kept[origin]
        if isinstance(kept, _Link):
            return self.stat(_beside(path, kept.target))
        return None if kept is None else StoredFile(len(kept), time.time())

    def folders(self, path: StoredPath) -> Iterator[str]:
        """Yield the names of the folders that would be in a folder."""
        origin = self._origin(path)
        made = self._made.get(origin, set())
        yield from made
        for name in super().folders(path):
            if name not in made and f"{origin}/{name}" not in self._places:
                yield name

    def files(self, path: StoredPath) -> Iterator[str]:
        """Yield the names of the files that would be in a folder."""
        origin = self._origin(path)
        names = self._names.get(origin, set())
        yield from [name for name in names if self._kept[StoredPath(f"{origin}/{name}")] is not None]
        for name in super().files(path):
            if name not in names:
                yield name

    def files_below(self, path: StoredPath, is_meant: Callable[[str], bool]) -> Iterator[StoredPath]:
        """Yield the files that were below a folder, where they would be, without those that would be gone."""
        for origin in super().files_below(path, is_meant):
            if self._kept.get(origin, b"") is not None:
                yield self._place(origin)

    def link_target(self, path: StoredPath) -> str | None:
        """Return where a symbolic link would lead, in its own words; None where there would be no link."""
        if (origin := self._origin(path)) not in self._kept:
            return super().link_target(path)
        kept = self._kept[origin]
        return kept.target if isinstance(kept, _Link) else None

    def set_mtime(self, path: StoredPath, mtime: float) -> None:
        """Do nothing."""

    def link(self, path: StoredPath, target: str) -> None:
        """Keep where the link would lead."""
        self._keep(path, _Link(target))

    def move_folder(self, path: StoredPath, new_path: StoredPath) -> bool:
        """Take the folder for moved from now on, unless something is there; return whether it is."""
        is_free = not any(self.files(new_path)) and not any(self.folders(new_path))
        if not is_free and not self.is_same(path, new_path):
            return False
        origin = self._origin(path)
        self._moved[new_path], self._places[origin] = origin, new_path
        folder = new_path
        while folder:
            parent, _, name = folder.rpartition("/")
            self._made.setdefault(self._origin(StoredPath(parent)), set()).add(name)
            folder = StoredPath(parent)
        return True

    def delete(self, path: StoredPath) -> bool:
        """Take the file for deleted from now on; return whether it was there."""
        was_there = self.stat(path) is not None
        self._keep(path, None)
        return was_there

    def sweep(self, paths: Iterable[StoredPath]) -> int:
        """Do nothing, and say so."""
        return 0

    def sweep_all(self, paths: Iterable[StoredPath], kept: Iterable[StoredPath]) -> int:
        """Do nothing, and say so."""
        return 0

    def _keep(self, path: StoredPath, kept: bytes | _Link | None) -> None:
        origin = self._origin(path)
        self._kept[origin] = kept
        folder, _, name = origin.rpartition("/")
        self._names.setdefault(folder, set()).add(name)

    def _absolute(self, path: str) -> str:
        return super()._absolute(self._origin(StoredPath(path)))

    def _origin(self, path: StoredPath) -> StoredPath:
        """Return where a file or folder lies on disk; a place where none does for what was moved away."""
        if not self._moved:
            return path
        origin = ""
        for name, folder in zip(path.split("/"), _with_folders(path), strict=True):
            origin = f"{origin}/{name}" if origin else name
            if folder in self._moved:
                origin = self._moved[folder]
            elif origin in self._places:
                return StoredPath(f"{_NOWHERE}/{path}")
        return StoredPath(origin)

    def _place(self, origin: StoredPath) -> StoredPath:
        """Return where a file would be that lies at ``origin`` on disk."""
        for folder in reversed(_with_folders(origin)):
            if folder in self._places:
                return StoredPath(f"{self._places[folder]}{origin[len(folder) :]}")
        return origin


def _beside(path: StoredPath, target: str) -> StoredPath:
    return StoredPath(f"{path.rpartition('/')[0]}/{target}")


def _with_folders(path: str) -> list[str]:
    """Return the folders that a path leads through, from the first one to the path itself."""
    ends = [index for index, letter in enumerate(path) if letter == "/"]
    return [path[:end] for end in (*ends, len(path))]


class InventoryCopy(Inventory):
    """A copy of the inventory in a temporary database; the original may be missing, read-only, or in use by a run."""

    def open(self) -> bool:
        """Copy the inventory, or begin an empty one where there is none that can be used; return whether there was one.

        Raises:
            StorageError: there is no room for the copy.
        """
        try:
            self._connection = self._temporary_database()
            if self._path.exists() and not is_other_kind(self._path) and self._copy_original(self._connection):
                return True
            self._make_anew()
        except (sqlite3.Error, OSError) as error:
            raise StorageError(str(self._path), "copy the inventory", cause_of(error)) from error
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
        return self._is_usable(lambda: target, self._path.stat().st_mtime_ns)

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._temporary_database()
        return self._connection

    def _remove(self) -> None:
        """Leave the original alone."""

    def _must_be_marked(self, connection: sqlite3.Connection) -> bool:
        """Leave the original alone."""
        return False

    def _give_up(self, connection: sqlite3.Connection) -> None:
        """Leave the original alone."""
