"""The lock that a run holds on its directory from start to end."""

import errno
import logging
import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from bandersnatch.errors import LockHeldError, StorageError
from bandersnatch.storage.access import umask_of_process
from bandersnatch.storage.claims import claim, refuse_living, refuse_others
from bandersnatch.storage.layout import LOCK
from bandersnatch.storage.lock_holder import Holder, read_holder
from bandersnatch.storage.mirror_folder import require_directory
from bandersnatch.storage.set_aside import set_aside_others

logger = logging.getLogger(__name__)

_MODE = 0o664  # minus the umask; never writable for everybody
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})


@contextmanager
def run_lock(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory, which must exist; anything in it that can't be a record of ours is set aside.

    The lock file stays behind and says who held it last. Only the kernel's lock on it counts, and that ends with its
    process. On a filesystem without such locks, a claim takes its place (``storage/claims.py``).

    Raises:
        LockHeldError: another process holds it.
        MissingDirectoryError: the directory, or the mirror in it, is missing.
        StorageError: the directory can't be read or written.
    """
    require_directory(directory)
    path = directory / LOCK
    with ExitStack() as held:
        try:
            held.enter_context(_held(directory, path))
        except Timeout as error:
            raise LockHeldError(str(path), *_told(path)) from error
        except OSError as error:
            raise StorageError(str(path), "lock", error) from error
        set_aside_others(directory)
        yield


@contextmanager
def _held(directory: Path, path: Path) -> Iterator[None]:
    # Made here and not by filelock, so that no link is followed and the permissions are ours.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _MODE))
    _require_plain(path, os.lstat(path))
    descriptors: list[int] = []
    lock = FileLock(path, fallback_to_soft=False, on_acquired=descriptors.append)
    if _acquire(lock):
        with _signed(path, descriptors[0], lock):
            refuse_others(directory)  # a run that could not lock has left a claim
            yield
    else:
        with claim(directory):
            refuse_living(path)  # of a run that could lock, perhaps on another host, or another program
            yield


def _acquire(lock: BaseFileLock) -> bool:
    """Acquire a lock; return False if the filesystem does not support locks."""
    try:
        lock.acquire(timeout=0)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        logger.info(
            "%s: this filesystem has no file locks (flock: %s); a file beside it keeps other runs out",
            lock.lock_file, error.strerror,
        )  # fmt: skip
        return False
    return True


@contextmanager
def _signed(path: Path, descriptor: int, lock: BaseFileLock) -> Iterator[None]:
    """Write the holder into the lock file for the length of the block, then release the lock."""
    try:
        _prepare(path, descriptor)
        holder = Holder.of_this_process()
        _write(descriptor, holder.render())
        try:
            yield
        finally:
            with suppress(OSError):
                _write(descriptor, holder.render_ended())
    finally:
        lock.release()


def _prepare(path: Path, descriptor: int) -> None:
    """Check that the open file is nobody else's, and take away write permission for everybody."""
    found = os.fstat(descriptor)
    _require_plain(path, found)
    if found.st_mode & stat.S_IWOTH:
        with suppress(OSError):  # another user's file, or a filesystem without permissions
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & _MODE & ~umask_of_process())


def _require_plain(path: Path, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise StorageError(str(path), "lock", "it is a link, which is not followed; delete it")
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise StorageError(str(path), "lock", "it is not a plain file with one name; delete it")


def _write(descriptor: int, record: bytes) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, record, 0)


def _told(path: Path) -> tuple[str, float]:
    """Return who holds the lock, and for how many seconds; holders write the file when they get the lock."""
    try:
        return str(read_holder(path) or ""), time.time() - path.lstat().st_mtime
    except OSError:
        return "", 0.0
