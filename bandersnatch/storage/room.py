"""Free space: all files in progress together must leave the reserve that the operator wants."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bandersnatch.amounts import size_of
from bandersnatch.errors import StorageError


class Room:
    """The free space on the filesystem of ``root``. Thread-safe."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._guard = threading.Lock()
        self._promised_bytes = 0

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
            try:
                found = os.statvfs(self._root)
            except OSError as error:
                raise StorageError(path, "look at the filesystem of", error) from error
            # f_bavail leaves out the blocks that only root may use.
            free = found.f_bavail * found.f_frsize - self._promised_bytes
            self._promised_bytes += size_bytes
        try:
            if free - size_bytes < reserve_bytes:
                wanted = f"{size_of(size_bytes)} more would not leave the reserve of {size_of(reserve_bytes)}"
                raise StorageError(path, "write", f"{size_of(free)} are free, and {wanted}")
            yield
        finally:
            with self._guard:
                self._promised_bytes -= size_bytes
