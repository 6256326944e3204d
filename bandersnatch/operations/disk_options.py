"""Applies the options about files: their permissions, and the lists of what a run has changed and deleted."""

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

from bandersnatch.config.option_groups import DiskConfig
from bandersnatch.config.parts import LIST_NAME
from bandersnatch.errors import StorageError
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import WEB, StoredPath

DELETED_SUFFIX = ".deleted"
_PIECE_BYTES = 1024 * 1024


@contextmanager
def as_configured(storage: FilesystemStorage, config: DiskConfig) -> Iterator[None]:
    """Let the storage write as the configuration wants it, for as long as the block lasts.

    The lists are written while the run goes on, a line at a time, so that they are there however the run ends.

    Raises:
        StorageError: a list can't be written.
    """
    if config.manages_permissions:
        storage.manage_permissions()
    try:
        with _listing(storage, config):
            yield
    finally:
        storage.tidy()


@contextmanager
def _listing(storage: FilesystemStorage, config: DiskConfig) -> Iterator[None]:
    if config.diff_file is None:
        yield
        return
    with _open_lists(config.diff_file, append_epoch=config.diff_append_epoch) as (changed, deleted):
        changes = _ChangeLists(changed, deleted, storage.root)
        storage.tell_changes(changes.add)
        try:
            yield
        finally:
            storage.tell_changes(None)
            changes.settle()


@contextmanager
def _open_lists(path: Path, *, append_epoch: bool) -> Iterator[tuple["_List", "_List"]]:
    """Open the list of changed files and the list of deleted ones, for the length of the block.

    If the first one is not a regular file, such as /dev/stdout, there is no second one.
    """
    with closing(_open_first(path, append_epoch=append_epoch)) as changed:
        is_file = stat.S_ISREG(os.fstat(changed.descriptor).st_mode) and changed.path.parent != Path("/dev")
        second = changed.path.with_name(f"{changed.path.name}{DELETED_SUFFIX}") if is_file else Path(os.devnull)
        with closing(_open(second, 0)) as deleted:
            yield changed, deleted


def _open_first(path: Path, *, append_epoch: bool) -> "_List":
    if not append_epoch:
        return _open(_place_of(path), 0)
    for epoch in count(
        int(time.time())
    ):  # of two runs within one second, the later one gets the next number that is free
        with suppress(FileExistsError):
            return _open(_place_of(path.with_name(f"{path.name}-{epoch}")), os.O_EXCL)
    raise AssertionError("unreachable: some number is free")


def _place_of(path: Path) -> Path:
    return path / LIST_NAME if path.is_dir() else path


def _open(path: Path, flags: int) -> "_List":
    """Open an empty list.

    Raises:
        FileExistsError: it exists already, and the flags ask for a new one.
        StorageError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _List(path, _descriptor_of(path, flags))
    except OSError as error:
        if flags and isinstance(error, FileExistsError) and os.path.lexists(path):
            raise
        raise StorageError(str(path), "write", error) from error


def _descriptor_of(path: Path, flags: int) -> int:
    """Return the descriptor of an empty file; a link in its place must belong to the system, as /dev/stdout, or to us."""
    flags |= os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with suppress(FileNotFoundError):
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode) and found.st_uid in (0, os.geteuid()):
            flags &= ~os.O_NOFOLLOW
    is_other = path.exists() and not stat.S_ISREG(path.stat().st_mode)  # a pipe must be opened for writing only
    return os.open(path, flags | (os.O_WRONLY if is_other else os.O_RDWR), 0o666)


class _List:
    """A list that is being written, line by line."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self.descriptor = path, descriptor
        self._is_open = True

    def add(self, line: str) -> None:
        """Add a line; after ``close``, do nothing.

        Raises:
            StorageError: the disk refused.
        """
        data = f"{line}\n".encode()
        with self._translated():
            while data and self._is_open:
                data = data[os.write(self.descriptor, data) :]

    def keep(self, is_right: Callable[[str], bool]) -> None:
        """Keep only the lines that are right, in place and in little memory: data only moves towards the beginning.

        Raises:
            StorageError: the disk refused.
        """
        if not stat.S_ISREG(os.fstat(self.descriptor).st_mode):
            return
        begin = end = 0
        rest = b""
        with self._translated():
            while data := os.pread(self.descriptor, _PIECE_BYTES, begin):
                begin += len(data)
                *lines, rest = (rest + data).split(b"\n")
                kept = b"".join(line + b"\n" for line in lines if is_right(os.fsdecode(line)))
                end += os.pwrite(self.descriptor, kept, end)
            os.ftruncate(self.descriptor, end)

    def close(self) -> None:
        self._is_open = False
        with self._translated():
            os.close(self.descriptor)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise  # its reader, such as head, has seen enough
        except OSError as error:
            raise StorageError(str(self.path), "write", error) from error


class _ChangeLists:
    """Writes absolute paths of files below ``web/``, one per line: existing ones, and deleted ones. Thread-safe."""

    def __init__(self, changed: _List, deleted: _List, root: Path) -> None:
        self._changed, self._deleted, self._root = changed, deleted, root
        self._has_deleted = False
        self._guard = threading.Lock()

    def add(self, path: StoredPath) -> None:
        if not path.startswith(f"{WEB}/"):
            return
        absolute = f"{self._root}/{path}"
        is_there = os.path.lexists(absolute)
        with self._guard:
            self._has_deleted = self._has_deleted or not is_there
            (self._changed if is_there else self._deleted).add(absolute)

    def settle(self) -> None:
        """Drop files that were written and deleted later, or deleted and written again: copying by the lists would fail."""
        with self._guard:
            if self._has_deleted:
                self._changed.keep(os.path.lexists)
                self._deleted.keep(lambda path: not os.path.lexists(path))
