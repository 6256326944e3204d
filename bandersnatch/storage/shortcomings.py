"""What some filesystems can't do, and what we do instead; logged once per run, by whichever process finds it.

Only "not supported" counts here: a disk that is full or fails is always an error.
"""

import errno
import logging
import os
import stat
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from bandersnatch.refusals import reason_of

logger = logging.getLogger(__name__)

UNABLE = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EPERM})
"""What filesystems answer that do not know a call, or only for their owner, as network ones do."""
_COPIED_BYTES = 64 * 1024 * 1024


class Shortcomings:
    """Does what the filesystem of ``root`` may not support. Thread-safe, even if a forked process shares it."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._flushing, self._durability, self._times, self._modes = _Once(), _Once(), _Once(), _Once()
        self._others_times = _Once()

    def flush(self) -> None:
        """Make everything written to this filesystem durable; if it can't be flushed alone, flush all filesystems."""
        folder = os.open(self._root, os.O_RDONLY)
        try:
            if not self._is_done(
                self._flushing, "can't be flushed alone; all filesystems are", partial(_syncfs, folder)
            ):
                os.sync()
        finally:
            os.close(folder)

    def start_flush(self, descriptor: int, offset: int, size: int) -> None:
        """Let a part of an open file be written to disk from now on, without waiting for it, where the system can do that.

        The kernel begins to write what it is told will not be needed, and forgets of it only what is written already.
        """
        if sys.platform != "darwin":
            with suppress(OSError):  # an error of the disk comes to light where the file is flushed
                os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_DONTNEED)

    def flush_file(self, descriptor: int) -> None:
        """Make a file durable, or the directory entries of an open folder."""
        told = "can't flush single files or folders; it is flushed as a whole"
        if not self._is_done(self._durability, told, partial(os.fsync, descriptor)):
            self.flush()

    def flush_folder(self, path: str) -> None:
        """Make the directory entries of a folder durable."""
        folder = os.open(path, os.O_RDONLY)
        try:
            self.flush_file(folder)
        finally:
            os.close(folder)

    def set_times(self, file: int | str, seconds: tuple[float, float]) -> None:
        """Set access and modification time, in seconds since 1970."""
        told = "does not let this user set times: files have the time of their writing"
        self._is_done(self._times, told, partial(os.utime, file, seconds))

    def set_times_of(self, path: str, seconds: tuple[float, float]) -> None:
        """Do so for a file that has been there; that of another user keeps its own, which says nothing of the filesystem."""
        try:
            os.utime(path, seconds)
        except PermissionError as error:
            if os.stat(path).st_uid == os.geteuid():
                self.set_times(path, seconds)
            elif self._others_times.is_first():
                logger.warning("a wrong time is left as it is: %s", reason_of(error, path))

    def set_mode(self, descriptor: int, mode: int) -> None:
        """Set the permissions of an open file."""
        told = "does not let this user set permissions: files have its defaults"
        self._is_done(self._modes, told, partial(os.fchmod, descriptor, mode))

    def copy(self, source: int, target: int) -> None:
        """Copy an open file into an empty one: its bytes, permissions and times."""
        found = os.fstat(source)
        while os.sendfile(target, source, None, _COPIED_BYTES):
            pass
        self.set_mode(target, stat.S_IMODE(found.st_mode))
        self.set_times(target, (found.st_atime, found.st_mtime))

    def _is_done(self, once: "_Once", told: str, act: Callable[[], object]) -> bool:
        try:
            act()
        except OSError as error:
            if error.errno not in UNABLE:
                raise
            if once.is_first():
                logger.info("%s: this filesystem %s (%s)", self._root, told, error.strerror)
            return False
        return True


class _Once:
    """Whether something was logged, by us or a forked process; a pipe holds one token, which only one of them gets."""

    def __init__(self) -> None:
        self._token, giver = os.pipe()
        os.write(giver, b"1")
        os.close(giver)
        weakref.finalize(self, os.close, self._token)

    def is_first(self) -> bool:
        return os.read(self._token, 1) != b""


def _syncfs(folder: int) -> None:
    import ctypes  # noqa: PLC0415 - a run that writes nothing flushes nothing

    # Python has no os.syncfs, and not every system has the function.
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if syncfs(folder) != 0:
        code = ctypes.get_errno() or errno.EIO
        raise OSError(code, os.strerror(code))
