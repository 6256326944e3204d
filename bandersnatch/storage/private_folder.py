"""A folder that only its owner may enter, and files that nobody else can have tampered with.

Nothing is trusted in a folder that others could write to, nor a file that has another owner or another hard link.
"""

import errno
import os
import stat
from contextlib import suppress

from bandersnatch.errors import StorageError
from bandersnatch.storage.folders import make_folder

_HANDED_DOWN = ("system.posix_acl_default", "security.selinux")


def open_private_folder(root: str, name: str, *, is_checked: bool) -> int:
    """Return a descriptor of our folder in ``root``; it is made if it is missing, or remade if it is not as it should
    be.

    If this run has checked it already (``is_checked``), it is used as it is.
    """
    path = f"{root}/{name}"
    for _ in range(2):
        try:
            make_folder(root)
            os.mkdir(path, 0o700)
            is_new = True
        except FileExistsError:
            is_new = False
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            os.unlink(path)  # a link or a file that somebody put there
            continue
        found = os.fstat(folder)
        # Some filesystems give all files to one user, so that even a folder that we just made is not ours.
        if is_new or is_checked or (found.st_uid == os.geteuid() and handed_down(path) == handed_down(root)):
            if found.st_mode & 0o077 and not (is_new or is_checked):
                with suppress(OSError):
                    os.fchmod(folder, 0o700)
                if os.fstat(folder).st_mode & 0o077 == 0:  # otherwise the filesystem has no modes
                    _empty(folder)  # others may have written to it
            return folder
        _empty(folder)
        os.close(folder)
        with suppress(OSError):
            os.rmdir(path)
    raise StorageError(path, "use", "it is another user's, and must be ours alone; delete it")


def _empty(folder: int) -> None:
    for name in os.listdir(folder):
        unlink(name, folder)


def unlink(name: str, folder: int | None) -> bool:
    """Delete a file in an open folder; return whether it was deleted."""
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        return False
    return True


def is_ours(found: os.stat_result) -> bool:
    """Whether only we can have made a file, and it has no other name."""
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid()


def handed_down(folder: str) -> tuple[object, ...]:
    """Return what a new file inherits from a folder, and keeps when it is renamed."""
    found = os.stat(folder)
    group = found.st_gid if found.st_mode & stat.S_ISGID else None
    return found.st_dev, group, *(_attribute(folder, name) for name in _HANDED_DOWN)


def _attribute(folder: str, name: str) -> bytes | None:
    try:
        return os.getxattr(folder, name)
    except (OSError, AttributeError):  # no such attribute, or a system without them
        return None
