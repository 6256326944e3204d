"""The mirror's directory and inventory for a dry run: all can be read, and no write reaches the disk."""

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
from bandersnatch.storage.layout import WEB, StoredPath
from bandersnatch.storage.set_aside import is_other_kind
from bandersnatch.storage.unfinished_folder import UnfinishedFolder

_NOWHERE = ".moved-away"


class _Link(Struct, frozen=True):
    """A link that would exist, and its target relative to its folder."""

    target: str


class DryStorage(FilesystemStorage):
    """Keeps in memory what would be written, deleted or moved, which must be little.

    It answers as if all that had been done: a moved folder has its files in the new place. Internally, everything goes
    by the *origin* of a path, its place on disk. A folder is moved at most once, and contains no moved folders.

    ``web`` is where the link of that name would lead, if the directory is an index's that has had no run yet.
    """

    def __init__(self, root: Path, web: Path | None = None) -> None:
        super().__init__(root)
        self._web = web
        self._kept: dict[StoredPath, bytes | _Link | None] = {}
        self._names: dict[str, set[str]] = {}
        """The names of the files in ``_kept``, by folder."""
        self._moved: dict[str, str] = {}
        """The origins of moved folders, by their new places."""
        self._places: dict[str, str] = {}
        """The new places of moved folders, by their origins."""
        self._made: dict[str, set[str]] = {}
        """The names of folders that would exist, by parent folder."""

    @contextmanager
    def write(
        self, path: StoredPath, mtime: float | None = None, partial: Partial | None = None
    ) -> Iterator[FileWriter]:
        """Keep what is written in the block."""
        with tempfile.TemporaryFile() as stream:
            yield FileWriter(path, stream.fileno(), self._shortcomings, (partial or Partial()).algorithm)
            stream.seek(0)
            self._keep(path, stream.read())

    def write_bytes(self, path: StoredPath, data: bytes, mtime: float | None = None) -> bool:
        """Keep the bytes, unless the same are there; return whether they differ."""
        if self.read(path) == data:
            return False
        self._keep(path, data)
        return True

    @contextmanager
    def rewrite(self, path: StoredPath) -> Iterator[FileWriter]:
        """Keep what is written in the block, even if the same bytes are there."""
        with self.write(path) as writer:
            yield writer

    def save(self, path: StoredPath, pieces: Iterable[bytes]) -> None:
        """Keep the record."""
        self._keep(path, b"".join(pieces))

    def flush(self) -> None:
        """Do nothing: nothing was written to disk."""

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
        """Yield the files below a folder, in the places where they would be, without those that would be gone."""
        for origin in super().files_below(path, is_meant):
            if self._kept.get(origin, b"") is not None:
                yield self._place(origin)

    def link_target(self, path: StoredPath) -> str | None:
        """Return the target that a symbolic link would have, as written; None if there would be no link."""
        if (origin := self._origin(path)) not in self._kept:
            return super().link_target(path)
        kept = self._kept[origin]
        return kept.target if isinstance(kept, _Link) else None

    def set_mtime(self, path: StoredPath, mtime: float) -> None:
        """Do nothing."""

    def link(self, path: StoredPath, target: str) -> None:
        """Keep the link's target."""
        self._keep(path, _Link(target))

    def move_folder(self, path: StoredPath, new_path: StoredPath) -> bool:
        """Treat the folder as moved from now on, unless something is in the new place; return whether it is moved."""
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
        """Treat the file as deleted from now on; return whether it was there."""
        was_there = self.stat(path) is not None
        self._keep(path, None)
        return was_there

    def sweep(self, paths: Iterable[StoredPath]) -> int:
        """Do nothing; return 0."""
        return 0

    def sweep_all(self, paths: Iterable[StoredPath], kept: Iterable[StoredPath]) -> int:
        """Do nothing; return 0."""
        return 0

    @property
    def unfinished(self) -> UnfinishedFolder:
        """A folder that is not there: a dry run does not recover what workers have left."""
        return UnfinishedFolder(f"{self._root}/{_NOWHERE}")

    def _keep(self, path: StoredPath, kept: bytes | _Link | None) -> None:
        origin = self._origin(path)
        self._kept[origin] = kept
        folder, _, name = origin.rpartition("/")
        self._names.setdefault(folder, set()).add(name)

    def _absolute(self, path: str) -> str:
        origin = self._origin(StoredPath(path))
        if self._web is not None and origin.split("/", 1)[0] == WEB:
            return f"{self._web}{origin.removeprefix(WEB)}"
        return super()._absolute(origin)

    def _origin(self, path: StoredPath) -> StoredPath:
        """Return where a file or folder is on disk; if it was moved away from there, a path where nothing is."""
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
        """Return where a file would be that is at ``origin`` on disk."""
        for folder in reversed(_with_folders(origin)):
            if folder in self._places:
                return StoredPath(f"{self._places[folder]}{origin[len(folder) :]}")
        return origin


def _beside(path: StoredPath, target: str) -> StoredPath:
    return StoredPath(f"{path.rpartition('/')[0]}/{target}")


def _with_folders(path: str) -> list[str]:
    """Return the folders that a path leads through, from the top, and the path itself."""
    ends = [index for index, letter in enumerate(path) if letter == "/"]
    return [path[:end] for end in (*ends, len(path))]


class InventoryCopy(Inventory):
    """A copy of the inventory in a temporary database; the original may be missing, read-only, or in use by a run."""

    def open(self) -> bool:
        """Copy the inventory, or start an empty one if there is no usable one; return whether there was one.

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
        # To read a database with a log beside it, SQLite takes part in its locks; without a log, it would create the
        # log's files, unless it is told that the database is immutable.
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
