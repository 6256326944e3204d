"""Free space: all files in progress together must leave the reserve that the operator wants."""

import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bandersnatch.amounts import size_of
from bandersnatch.errors import StorageError

_PLACE_BYTES = 8


class Room:
    """The free space on the filesystem of ``root``, for all processes of a run. Thread-safe."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._guard = threading.Lock()
        self._promised_bytes = memoryview(bytearray(_PLACE_BYTES)).cast("q")
        """What each process has promised to files in progress, by its place; the main process has the first one."""
        self._place = 0

    def share(self, processes: int) -> None:
        """Count from now on what so many processes promise, too, which are forked later."""
        self._promised_bytes = memoryview(mmap.mmap(-1, (1 + processes) * _PLACE_BYTES)).cast("q")

    def take_place(self, place: int) -> None:
        """Be the process of that place, from 1 on."""
        self._place = place

    def give_back(self, place: int) -> None:
        """Take back what a process had promised that has ended."""
        self._promised_bytes[place] = 0

    @contextmanager
    def hold(self, path: str, size_bytes: int, reserve_bytes: int) -> Iterator[None]:
        """Reserve room for a file of that size for the length of the block.

        Raises:
            StorageError: with the reserve and all other files in progress, there is not enough.
        """
        if reserve_bytes == 0:
            yield
            return
        with self._guard:
            self._promised_bytes[self._place] += size_bytes
        try:
            # Only now, so that of two processes at least one sees what the other promises.
            try:
                found = os.statvfs(self._root)
            except OSError as error:
                raise StorageError(path, "look at the filesystem of", error) from error
            # f_bavail leaves out the blocks that only root may use.
            free = found.f_bavail * found.f_frsize - (sum(self._promised_bytes) - size_bytes)
            if free - size_bytes < reserve_bytes:
                wanted = f"{size_of(size_bytes)} more would not leave the reserve of {size_of(reserve_bytes)}"
                raise StorageError(path, "write", f"{size_of(free)} are free, and {wanted}")
            yield
        finally:
            with self._guard:
                self._promised_bytes[self._place] -= size_bytes
