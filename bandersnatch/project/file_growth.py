"""Limits the size of a file while it arrives: to the size on its page or, if there is none, to what the disk has room for.

For a file of unknown size, disk space is reserved for what its answer promises (Content-Length), or else step by step. So
an endless file, or an absurd promise, fails its project only: it does not use up the reserve or fill the disk, which would
stop the run.
"""

from contextlib import AbstractContextManager

from bandersnatch.amounts import size_of
from bandersnatch.errors import IntegrityError, OversizedFileError, StorageError
from bandersnatch.plan.file_plan import FileTask
from bandersnatch.storage.filesystem import FilesystemStorage

STEP_BYTES = 1024 * 1024
MAX_UNKNOWN_BYTES = 16 * 1024**3
"""No file on PyPI is nearly as large."""


class FileGrowth:
    """The disk space of one file, reserved while it arrives.

    A class rather than a context manager made from a generator, which for a small file takes as long as its writing.
    """

    def __init__(self, storage: FilesystemStorage, task: FileTask, url: str, reserve_bytes: int) -> None:
        """Reserve what the file needs; of a file of unknown size, what it needs first.

        Raises:
            StorageError: there is no room for the file.
        """
        self._storage, self._task, self._url, self._reserve_bytes = storage, task, url, reserve_bytes
        self._held_bytes = STEP_BYTES if task.file.size is None else task.file.size
        self._held: AbstractContextManager[None] | None = None
        if reserve_bytes:
            self._hold(self._held_bytes, reserve_bytes)

    def promise(self, size: int, offset: int) -> None:
        """Reserve disk space for all of a file of unknown size, of which ``offset`` bytes are there already.

        Raises:
            OversizedFileError: there is no room for it.
        """
        if size > self._held_bytes:
            self._hold_unknown(size - offset, size, f"{size_of(size)} would come, which")
            self._held_bytes = size

    def check(self, size: int) -> None:
        """Check that the file may have that size; called before each write.

        Raises:
            IntegrityError: the file is larger than its page says.
            OversizedFileError: a file of unknown size grows larger than there is room for.
        """
        if size <= self._held_bytes:
            return
        if self._task.file.size is not None:
            raise IntegrityError(self._url, "size", self._task.file.size, f"{size} or more")
        self._hold_unknown(STEP_BYTES, size, f"{size_of(size)} came, and more")
        self._held_bytes = size + STEP_BYTES

    def _hold_unknown(self, size_bytes: int, whole: int, what: str) -> None:
        if whole > MAX_UNKNOWN_BYTES:
            raise OversizedFileError(self._url, f"more than {size_of(MAX_UNKNOWN_BYTES)}")
        self.close()  # what has arrived is on the disk now, and no longer needs a reservation
        try:
            # With a reserve of 0, `room_for` would not look at the disk at all.
            self._hold(size_bytes, max(self._reserve_bytes, 1))
        except StorageError as error:
            if isinstance(error.cause, OSError):
                raise  # the filesystem itself failed, which is not the file's fault
            room = f"leave the reserve of {size_of(self._reserve_bytes)}" if self._reserve_bytes else "fit on the disk"
            raise OversizedFileError(self._url, f"{what} would not {room}") from error

    def close(self) -> None:
        """Give back what is reserved. A second call does nothing."""
        held, self._held = self._held, None
        if held is not None:
            held.__exit__(None, None, None)

    def _hold(self, size_bytes: int, reserve_bytes: int) -> None:
        held = self._storage.room_for(self._task.path, size_bytes, reserve_bytes)
        held.__enter__()
        self._held = held
