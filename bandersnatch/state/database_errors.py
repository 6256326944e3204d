"""Why a database failed, as an error of the disk; or whether the database itself is damaged."""

import errno
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from bandersnatch.storage.set_aside import DATABASE_SUFFIXES

_DISK_ERRORS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EIO,
}
_OTHER_CAUSES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT)
_MAY_BE_REFUSED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN)


def cause_of(error: sqlite3.Error | OSError, path: Path | None = None) -> OSError | str:
    """Return the disk error that SQLite met at ``path``, or its own message."""
    if isinstance(error, OSError):
        return error
    code = _code(error)
    if code in _MAY_BE_REFUSED and path is not None and (refused := _refused(path)) is not None:
        return OSError(errno.EACCES, os.strerror(errno.EACCES), str(refused))
    if code == sqlite3.SQLITE_CANTOPEN:  # for any reason, such as too many open files
        return str(error)
    number = _DISK_ERRORS.get(code)
    return OSError(number, os.strerror(number)) if number is not None else str(error)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the database itself is damaged, as opposed to a disk error or a lock of another program."""
    code = _code(error)
    return code not in _DISK_ERRORS and code not in _OTHER_CAUSES


def remove_database(path: Path) -> None:
    """Delete a database, and its logs after it, since SQLite ignores a log without its database."""
    for suffix in DATABASE_SUFFIXES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _refused(path: Path) -> Path | None:
    """Return which of a database's files, or its folder, we lack permission for; None if that is not the reason."""
    # On a read-only filesystem, access() fails for every file, and permissions are not the reason.
    with suppress(OSError):
        if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
            return None
    for each in (*(Path(f"{path}{suffix}") for suffix in DATABASE_SUFFIXES), path.parent):
        if os.path.lexists(each) and not os.access(each, os.R_OK | os.W_OK, effective_ids=True):
            return each
    return None
