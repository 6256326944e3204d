"""A file that is being written; it is counted and hashed on its way to disk.

Before it appears, it is checked (``expect``).
"""

import hashlib
import os

from msgspec import Struct

from bandersnatch.errors import IntegrityError, StorageError
from bandersnatch.storage.shortcomings import Shortcomings

_READ_BYTES = 1024 * 1024


class Partial(Struct, frozen=True):
    """How a write resumes an earlier one: from which offset, and after which errors it can be resumed again."""

    offset: int = 0
    kept_after: tuple[type[Exception], ...] = ()


class FileWriter:
    """A file that is being written; it counts and hashes what passes through.

    It has no buffer, because callers write large chunks, or everything at once.
    """

    def __init__(self, path: str, descriptor: int, shortcomings: Shortcomings) -> None:
        self._path, self._descriptor, self._shortcomings = path, descriptor, shortcomings
        self._is_open, self._has_mode = True, False
        self._sha256 = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The hexadecimal digest of what was written so far."""
        return self._sha256.hexdigest()

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``.

        Raises:
            StorageError: the disk refused.
        """
        self._sha256.update(data)
        self.size += len(data)
        try:
            written = os.write(self._descriptor, data)
            # One call may write less than it was given, for example when the disk is nearly full.
            while written < len(data):
                written += os.write(self._descriptor, memoryview(data)[written:])
        except OSError as error:
            raise StorageError(self._path, "write", error) from error

    def take_over(self, offset: int) -> None:
        """Count and hash the first ``offset`` bytes, which are already there, and continue after them.

        Raises:
            StorageError: the disk refused.
        """
        try:
            while self.size < offset and (data := os.read(self._descriptor, min(_READ_BYTES, offset - self.size))):
                self._sha256.update(data)
                self.size += len(data)
            # The file may be longer than what the caller knows to be right.
            os.ftruncate(self._descriptor, self.size)
        except OSError as error:
            raise StorageError(self._path, "read", error) from error

    def flush_to_disk(self, mode: int | None) -> None:
        """Make what was written durable, with permissions ``mode``, or those of the umask if it is None.

        Raises:
            StorageError: the disk refused.
        """
        try:
            if mode is not None:
                self._shortcomings.set_mode(self._descriptor, mode)
                self._has_mode = True
            self._shortcomings.flush_file(self._descriptor)
        except OSError as error:
            raise StorageError(self._path, "flush", error) from error

    def close(self, mtime: float | None = None, mode: int | None = None) -> None:
        """Close the file, and set its modification time in seconds since 1970, and its permissions unless already set.

        A second call does nothing.

        Raises:
            StorageError: the disk refused.
        """
        if not self._is_open:
            return
        self._is_open = False
        try:
            try:
                if mode is not None and not self._has_mode:
                    self._shortcomings.set_mode(self._descriptor, mode)
                if mtime is not None:
                    self._shortcomings.set_times(self._descriptor, (mtime, mtime))
            finally:
                os.close(self._descriptor)
        except OSError as error:
            raise StorageError(self._path, "write", error) from error

    def expect(self, url: str, size: int | None, sha256: str) -> None:
        """Check what was written; its size only if that is known.

        Raises:
            IntegrityError: it has another size or digest; the file will not appear.
        """
        if size is not None and self.size != size:
            raise IntegrityError(url, "size", size, self.size)
        if self.sha256 != sha256:
            raise IntegrityError(url, "SHA-256", sha256, self.sha256)
