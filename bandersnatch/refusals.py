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
    refused = _refused(Path(error.filename if isinstance(error.filename, str) else path))
    try:
        found = os.lstat(refused)
    except OSError:
        return reason
    mode = f"mode {stat.S_IMODE(found.st_mode):04o}"
    return f"{reason}: {refused} belongs to {_user(found.st_uid)} ({mode}), this runs as {_user(os.geteuid())}"


def _refused(path: Path) -> Path:
    """Return the folder on the way to a path that we may not enter, or else the path, or the folder where it would be."""
    for folder in reversed(path.absolute().parents):
        if not os.access(folder, os.X_OK, effective_ids=True):
            return folder
    is_there = os.path.lexists(path)
    may_be_written = is_there and os.access(path, os.R_OK | os.W_OK, effective_ids=True)
    return path if is_there and not may_be_written else path.parent


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
