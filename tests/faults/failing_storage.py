"""A storage whose disk goes bad at its k-th operation, and stays so."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bandersnatch.errors import StorageError
from bandersnatch.model import StoredFile
from bandersnatch.storage.file_writer import FileWriter, Partial
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath


class FailingStorage(FilesystemStorage):
    """Real storage until the k-th operation that would write; from then on each of them fails with ``code``.

    With ``reads_too`` reading fails as well, as it does when a disk is gone.
    """

    def __init__(self, root: Path, fails_from: int, code: int = errno.ENOSPC, *, reads_too: bool = False) -> None:
        super().__init__(root)
        self._left = fails_from
        self._code, self._reads_too = code, reads_too
        self._counting = threading.Lock()
        self.has_failed = False

    def _operate(self, path: str) -> None:
        with self._counting:
            self._left -= 1
            if self._left <= 0:
                self.has_failed = True
                raise StorageError(path, "write", OSError(self._code, os.strerror(self._code)))

    @contextmanager
    def write(
        self, path: StoredPath, mtime: float | None = None, partial: Partial | None = None
    ) -> Iterator[FileWriter]:
        self._operate(path)
        with super().write(path, mtime, partial) as writer:
            yield writer
            self._operate(path)

    def delete(self, path: StoredPath) -> bool:
        self._operate(path)
        return super().delete(path)

    def set_mtime(self, path: StoredPath, mtime: float) -> None:
        self._operate(path)
        super().set_mtime(path, mtime)

    def flush(self) -> None:
        self._operate("web")
        super().flush()

    def read(self, path: StoredPath) -> bytes | None:
        if self._reads_too:
            self._operate(path)
        return super().read(path)

    def stat(self, path: StoredPath) -> StoredFile | None:
        if self._reads_too:
            self._operate(path)
        return super().stat(path)
