"""Why a database failed, in the words that the disk's other errors have."""

import errno
import os
import sqlite3

_DISK_ERRORS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_IOERR: errno.EIO,
}


def cause_of(error: sqlite3.Error | OSError) -> OSError | str:
    """Return the error of the disk that SQLite met, or what else it says."""
    if isinstance(error, OSError):
        return error
    code = _DISK_ERRORS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    return OSError(code, os.strerror(code)) if code is not None else str(error)
