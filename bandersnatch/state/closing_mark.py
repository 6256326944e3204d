"""Whether anybody has written to a database since we closed it: a table of it tells when that was, as does its file's time.

So a long look at hundreds of thousands of rows is taken only after others have written there, or a run was killed.
"""

import os
import sqlite3
import time
from pathlib import Path

SCHEMA = "CREATE TABLE closed (at INTEGER NOT NULL)"
"""In nanoseconds since 1970."""
_SECOND = 1_000_000_000


def is_as_closed(connection: sqlite3.Connection, changed: int | None) -> bool:
    """Whether a database, whose file has changed at that time, is as it was closed."""
    return changed is not None and bool(connection.execute("SELECT at FROM closed LIMIT 2").fetchall() == [(changed,)])


def time_of(path: Path) -> int | None:
    """Return when the file of a closed database has changed; None where a killed run has left a log beside it."""
    if any(os.path.lexists(f"{path}{suffix}") for suffix in ("-wal", "-journal")):
        return None
    return path.stat().st_mtime_ns


def close(connection: sqlite3.Connection, path: Path) -> None:
    """Close a database, and mark it; where that fails, it is closed all the same, and counts as written to by others."""
    try:
        # A whole second, since some filesystems (exFAT, NTFS, ext3) keep no nanoseconds: they would give another time back.
        closed = time.time_ns() // _SECOND * _SECOND
        connection.execute("DELETE FROM closed")
        connection.execute("INSERT INTO closed VALUES (?)", (closed,))
    finally:
        connection.close()
    os.utime(path, ns=(closed, closed), follow_symlinks=False)
