"""Opens a database of ours, also where the filesystem has none of what SQLite needs to share it among processes.

SQLite locks parts of a file (``fcntl``), and in WAL mode its processes share memory (``mmap``). Filesystems without
``flock`` often have neither. We do not need them: the lock of the directory keeps all other runs out.
"""

import errno
import logging
import mmap
import os
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, lockf
from pathlib import Path

logger = logging.getLogger(__name__)

_UNABLE = frozenset(
    {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENODEV, errno.EACCES, errno.EPERM}
)
_WAIT_MILLISECONDS = 5000
"""As long as Python waits for another's lock where nothing else is said."""
_READ = "SELECT count(*) FROM sqlite_master"
"""Before the first reading, nothing is locked or shared."""


def connect_in_wal(path: Path) -> sqlite3.Connection:
    """Open a database with a write-ahead log, in autocommit mode, for several threads.

    Raises:
        sqlite3.Error: it is damaged, or the disk refused.
    """
    return _connect(path, ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", _READ))


def connect(path: Path) -> sqlite3.Connection:
    """Open a database with a journal, in autocommit mode; raises as ``connect_in_wal`` does."""
    return _connect(path, (_READ,))


def _connect(path: Path, statements: Sequence[str]) -> sqlite3.Connection:
    with suppress(sqlite3.OperationalError):  # without waiting: where there are no locks, it looks like another's lock
        return _opened(path, statements, waits=False)
    missing = _what_is_missing(path.parent)
    if missing is None:
        return _opened(path, statements)
    logger.info("%s: this filesystem can't share a database (%s); it is opened for this process alone", path, missing)
    # Without locks and shared memory: the index of the log is in the memory of this process.
    alone = f"{path.absolute().as_uri()}?vfs=unix-none"
    return _opened(alone, ("PRAGMA locking_mode = EXCLUSIVE", *statements))


def _opened(path: Path | str, statements: Sequence[str], *, waits: bool = True) -> sqlite3.Connection:
    connection = sqlite3.connect(path, uri=isinstance(path, str), isolation_level=None, check_same_thread=False)
    try:
        if not waits:
            connection.execute("PRAGMA busy_timeout = 0")
        for statement in statements:
            connection.execute(statement)
        if not waits:
            connection.execute(f"PRAGMA busy_timeout = {_WAIT_MILLISECONDS}")
    except BaseException:
        connection.close()
        raise
    return connection


def _what_is_missing(folder: Path) -> str | None:
    """Return the error of the first of these two that the filesystem does not support; None if it has both."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=".", dir=folder)
    except OSError:
        return None
    try:
        os.unlink(name)
        os.ftruncate(descriptor, mmap.PAGESIZE)
        return _refused("fcntl", lambda: lockf(descriptor, LOCK_EX | LOCK_NB)) or _refused(
            "mmap", lambda: mmap.mmap(descriptor, mmap.PAGESIZE).close()
        )
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _refused(name: str, call: Callable[[], None]) -> str | None:
    try:
        call()
    except OSError as error:
        if error.errno in _UNABLE:
            return f"{name}: {error.strerror}"
        raise
    return None
