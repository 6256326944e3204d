"""Explains why the system denies us a file: who owns it, and who we run as."""

import errno
import os
import pwd
import stat
from pathlib import Path

_REFUSALS = frozenset({errno.EACCES, errno.EPERM})


def reason_of(error: OSError, path: str) -> str:
    """Return the reason for an error at ``path``; a permission error comes with the owner and our own user."""
    reason = error.strerror or str(error)
    if error.errno not in _REFUSALS:
        return reason
    place = _place(error, path)
    refused = _refused(place) or (place if os.path.lexists(place) else place.parent)
    try:
        found = os.lstat(refused)
    except OSError:
        return reason
    mode = f"mode {stat.S_IMODE(found.st_mode):04o}"
    return f"{reason}: {refused} belongs to {_user(found.st_uid)} ({mode}), this runs as {_user(os.geteuid())}"


def refused_place(error: OSError, path: str) -> Path | None:
    """Return the file or folder that we lack permission for, or None if we can't tell which one."""
    return _refused(_place(error, path)) if error.errno in _REFUSALS else None


def _place(error: OSError, path: str) -> Path:
    """Return the path that an error names, which may be above ``path``."""
    named = error.filename  # relative if the call used dir_fd: then ``path`` is better
    return Path(named if isinstance(named, str) and os.path.isabs(named) else path).absolute()


def _refused(path: Path) -> Path | None:
    """Return the first folder of a path that we may not enter; else the path or its folder, if that is denied."""
    folder = path.parent
    for each in reversed(path.parents):
        if not os.path.lexists(each):
            folder = each.parent  # where the missing folder was to be made
            break
        if not os.access(each, os.X_OK, effective_ids=True):
            return each
    is_there = os.path.lexists(path)
    if is_there and not os.path.islink(path) and not os.access(path, os.R_OK, effective_ids=True):
        return path
    if not os.access(folder, os.W_OK, effective_ids=True):
        return folder
    found = os.lstat(folder)
    # In a folder with the sticky bit, such as /tmp, only the owner of the folder or the file may rename or delete a
    # file.
    is_others = is_there and os.geteuid() not in (found.st_uid, os.lstat(path).st_uid)
    return path if is_others and found.st_mode & stat.S_ISVTX else None


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
