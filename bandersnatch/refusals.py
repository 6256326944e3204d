"""Why the system refuses a file to us: whose it is, and who we are."""

import errno
import os
import pwd
import stat
from pathlib import Path

_REFUSALS = frozenset({errno.EACCES, errno.EPERM})


def reason_of(error: OSError, path: str) -> str:
    """Return why an error came at ``path``; where it is a refusal, with the owner of what was refused, and ourselves."""
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
    """Return the file or folder that is refused to us, or None where none can be seen to be."""
    return _refused(_place(error, path)) if error.errno in _REFUSALS else None


def _place(error: OSError, path: str) -> Path:
    """Return where an error came, which may be above ``path``; but what has no folder is a name in an open one."""
    named = error.filename
    return Path(named if isinstance(named, str) and os.path.isabs(named) else path).absolute()


def _refused(path: Path) -> Path | None:
    """Return the first folder on the way to a path that we may not enter, or else the path or its folder, if refused."""
    folder = path.parent
    for each in reversed(path.parents):
        if not os.path.lexists(each):
            folder = each.parent  # where it was to be made
            break
        if not os.access(each, os.X_OK, effective_ids=True):
            return each
    is_there = os.path.lexists(path)
    if is_there and not os.path.islink(path) and not os.access(path, os.R_OK, effective_ids=True):
        return path
    if not os.access(folder, os.W_OK, effective_ids=True):
        return folder
    found = os.lstat(folder)
    is_others = is_there and os.geteuid() not in (found.st_uid, os.lstat(path).st_uid)
    return path if is_others and found.st_mode & stat.S_ISVTX else None  # as in /tmp


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
