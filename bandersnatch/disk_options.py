"""Puts the options about files into effect: their permissions, and the list of what a run has changed."""

import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from bandersnatch.config import DiskConfig
from bandersnatch.errors import StorageError
from bandersnatch.layout import WEB, StoredPath
from bandersnatch.storage import FilesystemStorage

LIST_NAME = "mirrored-files"


@contextmanager
def as_configured(storage: FilesystemStorage, config: DiskConfig) -> Iterator[None]:
    """Let the storage write as the configuration wants it, for as long as the block lasts.

    The list is written while the run goes on, a line at a time, so that it is there however the run ends.

    Raises:
        StorageError: the list can't be written.
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
    path = _list_path(config.diff_file, config.diff_append_epoch)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = os.fdopen(_open_list(path), "w", encoding="utf-8", buffering=1)
    except OSError as error:
        raise StorageError(str(path), "write", error) from error
    with stream:
        storage.tell_changes(_ChangeList(stream, storage.root).add)
        try:
            yield
        finally:
            storage.tell_changes(None)


def _open_list(path: Path) -> int:
    """Return the descriptor of an empty file; a link in its place must be the system's, as /dev/stdout is, or our own."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with suppress(FileNotFoundError):
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode) and found.st_uid in (0, os.geteuid()):
            return os.open(path, flags, 0o666)
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _list_path(path: Path, append_epoch: bool) -> Path:
    named = path.with_name(f"{path.name}-{int(time.time())}") if append_epoch else path
    return named / LIST_NAME if named.is_dir() else named


class _ChangeList:
    """Writes the absolute paths of files below ``web/``, a line each. Thread-safe."""

    def __init__(self, stream: TextIO, root: Path) -> None:
        self._stream, self._root = stream, root
        self._guard = threading.Lock()

    def add(self, path: StoredPath) -> None:
        if path.startswith(f"{WEB}/"):
            with self._guard:
                if not self._stream.closed:  # a thread that comes late changes nothing that counts
                    self._stream.write(f"{self._root}/{path}\n")
