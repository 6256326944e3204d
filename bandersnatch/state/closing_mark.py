"""Detects whether anybody has written to a database since we closed it, by a table with the time of its file.

So hundreds of thousands of rows are validated only after others have written, or a run was killed.
"""

import os
import sqlite3
import time
from pathlib import Path

SCHEMA = "CREATE TABLE closed (at INTEGER NOT NULL)"
"""In nanoseconds since 1970."""
_SECOND = 1_000_000_000


def is_as_closed(connection: sqlite3.Connection, changed: int | None) -> bool:
    """Whether a database, whose file has the modification time ``changed``, is as we closed it."""
    return changed is not None and bool(connection.execute("SELECT at FROM closed LIMIT 2").fetchall() == [(changed,)])


def time_of(path: Path) -> int | None:
    """Return the modification time of a closed database; None if a killed run left a log beside it."""
    if any(os.path.lexists(f"{path}{suffix}") for suffix in ("-wal", "-journal")):
        return None
    return path.stat().st_mtime_ns


def close(connection: sqlite3.Connection, path: Path) -> None:
    """Mark a database and close it; if marking fails it is closed anyway, and counts as changed by others."""
    try:
        # A whole second, because some filesystems (exFAT, NTFS, ext3) do not store nanoseconds and would return another
        # time.
        closed = time.time_ns() // _SECOND * _SECOND
        connection.execute("DELETE FROM closed")
        connection.execute("INSERT INTO closed VALUES (?)", (closed,))
    finally:
        connection.close()
    os.utime(path, ns=(closed, closed), follow_symlinks=False)
