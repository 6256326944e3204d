"""A file that is being written; it is counted and hashed on its way to disk.

Before it appears, it is checked (``expect``).
"""

import hashlib
import os

from msgspec import Struct

from bandersnatch.errors import IntegrityError, StorageError
from bandersnatch.model import Checksum
from bandersnatch.storage.shortcomings import Shortcomings

_READ_BYTES = 1024 * 1024
_FLUSHED_BYTES = 8 * 1024 * 1024
"""After so many bytes of a large file, the kernel is told to begin to write them to disk: at the end of the run, where
everything must be durable, the disk would be waited for."""


class Partial(Struct, frozen=True):
    """How a write resumes an earlier one: from which offset, and after which errors it can be resumed again.

    ``algorithm`` is that of the digest which all of it is checked against. ``may_be_kept`` is False where no earlier attempt
    can have left anything: to look for it would take a call for each small file.
    """

    offset: int = 0
    kept_after: tuple[type[Exception], ...] = ()
    algorithm: str = "sha256"
    may_be_kept: bool = True


class FileWriter:
    """A file that is being written; it counts and hashes what passes through.

    It has no buffer, because callers write large chunks, or everything at once.
    """

    def __init__(self, path: str, descriptor: int, shortcomings: Shortcomings, algorithm: str = "sha256") -> None:
        self._path, self._descriptor, self._shortcomings = path, descriptor, shortcomings
        self._is_open, self._has_mode = True, False
        self._sha256 = hashlib.sha256()
        self._told = self._sha256 if algorithm == "sha256" else hashlib.new(algorithm, usedforsecurity=False)
        self.size = self._flushed_up_to = 0

    @property
    def sha256(self) -> str:
        """The hexadecimal digest of what was written so far."""
        return self._sha256.hexdigest()

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``.

        Raises:
            StorageError: the disk refused.
        """
        self._hash(data)
        try:
            written = os.write(self._descriptor, data)
            # One call may write less than it was given, for example when the disk is nearly full.
            while written < len(data):
                written += os.write(self._descriptor, memoryview(data)[written:])
        except OSError as error:
            raise StorageError(self._path, "write", error) from error
        if self.size - self._flushed_up_to >= _FLUSHED_BYTES:
            self._shortcomings.start_flush(self._descriptor, self._flushed_up_to, self.size - self._flushed_up_to)
            self._flushed_up_to = self.size

    def take_over(self, offset: int) -> None:
        """Count and hash the first ``offset`` bytes, which are already there, and continue after them.

        Raises:
            StorageError: the disk refused.
        """
        try:
            while self.size < offset and (data := os.read(self._descriptor, min(_READ_BYTES, offset - self.size))):
                self._hash(data)
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
                self._has_mode = True  # so `close` need not set it
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
        self._is_open = False  # whatever comes: after an error, the descriptor must not be closed again (close(2))
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

    def expect(self, url: str, size: int | None, checksum: Checksum | None) -> None:
        """Check what was written; its size and digest only if they are known.

        The digest must be of the algorithm that the writer was made for.

        Raises:
            IntegrityError: it has another size or digest; the file will not appear.
        """
        if size is not None and self.size != size:
            raise IntegrityError(url, "size", size, self.size)
        if checksum is not None and self._told.hexdigest() != checksum.digest:
            raise IntegrityError(url, checksum.algorithm_name, checksum.digest, self._told.hexdigest())

    def _hash(self, data: bytes | memoryview) -> None:
        self._sha256.update(data)
        if self._told is not self._sha256:
            self._told.update(data)
        self.size += len(data)
