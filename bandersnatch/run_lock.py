"""The lock that a run holds on its directory from beginning to end."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from bandersnatch.errors import LockHeldError, StorageError
from bandersnatch.layout import LOCK


@contextmanager
def run_lock(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory, which is made where it is missing.

    The file stays behind and tells who held it last; only the lock that the kernel keeps on it counts, and that ends with
    its process.

    Raises:
        LockHeldError: another process holds it.
        StorageError: the directory can't be made or written.
    """
    path = directory / LOCK
    lock = FileLock(path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(str(directory), "make the directory", error) from error
    try:
        lock.acquire(timeout=0)
        path.write_text(f"process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n")
    except Timeout as error:
        raise LockHeldError(str(path), *_holder(path)) from error
    except OSError as error:
        lock.release()
        raise StorageError(str(path), "lock", error) from error
    try:
        yield
    finally:
        lock.release()


def _holder(path: Path) -> tuple[str, float]:
    """Return who holds the lock, and for how many seconds: each holder writes the file once, when it has the lock."""
    try:
        return path.read_text(errors="replace").strip(), time.time() - path.stat().st_mtime
    except OSError:
        return "", 0.0
