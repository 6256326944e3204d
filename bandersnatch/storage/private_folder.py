"""A folder that only its owner may enter, and files of which nobody else can have a hand in.

What lies in a folder to which others could write is not to be trusted; nor is a file that has another owner or name.
"""

import errno
import os
import stat
from contextlib import suppress

from bandersnatch.errors import StorageError
from bandersnatch.storage.folders import make_folder

_HANDED_DOWN = ("system.posix_acl_default", "security.selinux")


def open_private_folder(root: str, name: str, *, is_checked: bool) -> int:
    """Return a descriptor of our folder in ``root``, which is made where it is missing, or not what it should be.

    Where it ``is_checked`` by this run already, it is taken as it is.
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
            os.unlink(path)  # a link or a file that somebody has put there
            continue
        found = os.fstat(folder)
        # A filesystem may give all files to one user, so that even what we make is not ours.
        if is_new or is_checked or (found.st_uid == os.geteuid() and handed_down(path) == handed_down(root)):
            if found.st_mode & 0o077 and not (is_new or is_checked):
                with suppress(OSError):
                    os.fchmod(folder, 0o700)
                if os.fstat(folder).st_mode & 0o077 == 0:  # else the filesystem has no modes, and always shows it so
                    _empty(folder)  # others may have written there
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
    """Delete a file in an open folder; return whether that was done."""
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        return False
    return True


def is_ours(found: os.stat_result) -> bool:
    """Whether a file is one that nobody else has made, or can have under another name."""
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid()


def handed_down(folder: str) -> tuple[object, ...]:
    """Return what a new file in a folder takes from it, and keeps when it is renamed."""
    found = os.stat(folder)
    group = found.st_gid if found.st_mode & stat.S_ISGID else None
    return found.st_dev, group, *(_attribute(folder, name) for name in _HANDED_DOWN)


def _attribute(folder: str, name: str) -> bytes | None:
    try:
        return os.getxattr(folder, name)
    except (OSError, AttributeError):  # none, or none on this system
        return None
