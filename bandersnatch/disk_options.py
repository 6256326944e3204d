"""Puts the options about files into effect: their permissions, and the lists of what a run has changed and deleted."""

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TextIO

from bandersnatch.config import DiskConfig
from bandersnatch.errors import StorageError
from bandersnatch.layout import WEB, StoredPath
from bandersnatch.storage import FilesystemStorage

LIST_NAME = "mirrored-files"
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
def _open_lists(path: Path, *, append_epoch: bool) -> Iterator[tuple[TextIO, TextIO]]:
    """Give the list of what has changed, and the one of what was deleted.

    Where the first one is no file, as /dev/stdout may be, there is no second one.
    """
    changed, place = _open_first(path, append_epoch=append_epoch)
    with changed:
        is_file = stat.S_ISREG(os.fstat(changed.fileno()).st_mode) and place.parent != Path("/dev")
        second = place.with_name(f"{place.name}{DELETED_SUFFIX}") if is_file else Path(os.devnull)
        with _open_text(second, 0) as deleted:
            yield changed, deleted


def _open_first(path: Path, *, append_epoch: bool) -> tuple[TextIO, Path]:
    if not append_epoch:
        place = _place_of(path)
        return _open_text(place, 0), place
    for epoch in count(
        int(time.time())
    ):  # of two runs within one second, the later one gets the next number that is free
        place = _place_of(path.with_name(f"{path.name}-{epoch}"))
        with suppress(FileExistsError):
            return _open_text(place, os.O_EXCL), place
    raise AssertionError("unreachable: some number is free")


def _place_of(path: Path) -> Path:
    return path / LIST_NAME if path.is_dir() else path


def _open_text(path: Path, flags: int) -> TextIO:
    """Open an empty list.

    Raises:
        FileExistsError: it is there already, and the flags are those of a new one.
        StorageError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.fdopen(_open_list(path, flags), "w", encoding="utf-8", buffering=1)
    except OSError as error:
        if flags and isinstance(error, FileExistsError) and os.path.lexists(path):
            raise
        raise StorageError(str(path), "write", error) from error


def _open_list(path: Path, flags: int) -> int:
    """Return the descriptor of an empty file; a link in its place must be the system's, as /dev/stdout is, or our own."""
    flags |= os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with suppress(FileNotFoundError):
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode) and found.st_uid in (0, os.geteuid()):
            flags &= ~os.O_NOFOLLOW
    is_other = path.exists() and not stat.S_ISREG(path.stat().st_mode)  # a pipe is opened for writing only
    return os.open(path, flags | (os.O_WRONLY if is_other else os.O_RDWR), 0o666)


class _ChangeLists:
    """Writes the absolute paths of files below ``web/``, a line each: what is there, and what is gone. Thread-safe."""

    def __init__(self, changed: TextIO, deleted: TextIO, root: Path) -> None:
        self._changed, self._deleted, self._root = changed, deleted, root
        self._has_deleted = False
        self._guard = threading.Lock()

    def add(self, path: StoredPath) -> None:
        if not path.startswith(f"{WEB}/"):
            return
        absolute = f"{self._root}/{path}"
        is_there = os.path.lexists(absolute)
        with self._guard:
            stream = self._changed if is_there else self._deleted
            self._has_deleted = self._has_deleted or not is_there
            if not stream.closed:  # a thread that comes late changes nothing that counts
                stream.write(f"{absolute}\n")

    def settle(self) -> None:
        """Strike out what was written and deleted later, or deleted and written again: whoever copies would miss it."""
        with self._guard:
            if self._has_deleted:
                _keep(self._changed, os.path.lexists)
                _keep(self._deleted, lambda path: not os.path.lexists(path))


def _keep(stream: TextIO, is_right: Callable[[str], bool]) -> None:
    """Leave only the lines that are right, in place, and in little memory: none moves to behind where it is read."""
    descriptor = stream.fileno()
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return
    begin = end = 0
    rest = b""
    while data := os.pread(descriptor, _PIECE_BYTES, begin):
        begin += len(data)
        *lines, rest = (rest + data).split(b"\n")
        kept = b"".join(line + b"\n" for line in lines if is_right(os.fsdecode(line)))
        end += os.pwrite(descriptor, kept, end)
    os.ftruncate(descriptor, end)
