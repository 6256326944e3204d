"""The mirror's directory as it is read: files, folders and links, by paths relative to it."""

import errno
import hashlib
import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bandersnatch.errors import InterruptedRunError, RefusedPlaceError, StorageError
from bandersnatch.model import StoredFile
from bandersnatch.refusals import refused_place
from bandersnatch.storage.layout import StoredPath, all_need

_READ_BYTES = 1024 * 1024
_MOST_BYTES = 1024**3
"""More than any page of ours has."""
_READ = os.O_RDONLY | os.O_NONBLOCK
"""A FIFO does not hold us, and is empty."""
_SEARCHED_BYTES = 256
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EILSEQ})
"""There is no such file; none is there of a name that the filesystem can't have."""
_NO_FOLDER = ABSENT - {errno.ENOTDIR}

logger = logging.getLogger(__name__)


class StoredTree:
    """A directory of the local filesystem, for reading. Thread-safe."""

    def __init__(self, root: Path) -> None:
        self._root, self._base = root, str(root)

    @property
    def root(self) -> Path:
        """The mirror's directory."""
        return self._root

    def read(self, path: StoredPath) -> bytes | None:
        """Return the bytes of a small file, or None where there is none."""
        return self.read_record(path, _MOST_BYTES)

    def read_record(self, path: StoredPath, most: int) -> bytes | None:
        """Return the bytes of a record of ours, or None where there is none; what can be none is told of, and left alone.

        Nothing is read before it is known to be a plain file, and not too large: a FIFO would wait for ever.
        """
        try:
            with open(os.open(self._absolute(path), _READ), "rb") as stream:
                found = os.fstat(stream.fileno())
                if stat.S_ISREG(found.st_mode) and found.st_size <= most:
                    return stream.read(found.st_size + 1)  # not ``most``: room for so much is made before
        except OSError as error:
            if error.errno in ABSENT or self.is_folder(path):
                return None
            raise self._error(path, "read", error) from error
        logger.warning("%s/%s is no plain file of %d bytes at most; it is not read", self._root, path, most)
        return None

    @contextmanager
    def open(self, path: StoredPath) -> Iterator[BinaryIO]:
        """Open a stored file for reading."""
        with self._translated(path, "read"), open(os.open(self._absolute(path), _READ), "rb") as stream:
            yield stream

    def pieces(self, path: StoredPath) -> Iterator[bytes]:
        """Yield the bytes of a file piece by piece."""
        return map(bytes, self._blocks(path))

    def _blocks(self, path: StoredPath) -> Iterator[memoryview]:
        """Yield the bytes of a file in one buffer, of which each piece holds only until the next one is asked for."""
        try:
            descriptor = os.open(self._absolute(path), _READ)
            try:
                left = os.fstat(descriptor).st_size
                buffer = memoryview(bytearray(min(left, _READ_BYTES)))  # most files are small
                while left > 0:
                    count = os.readv(descriptor, [buffer[:left]])
                    if count == 0:
                        raise StorageError(self._absolute(path), "read", f"it ended {left} bytes too early")
                    left -= count
                    yield buffer[:count]
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._error(path, "read", error) from error

    def stat(self, path: StoredPath) -> StoredFile | None:
        """Return size and modification time of a file, or None where there is none, but a folder perhaps."""
        try:
            found = os.stat(self._absolute(path))
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise self._error(path, "look at", error) from error
        return StoredFile(found.st_size, found.st_mtime) if not stat.S_ISDIR(found.st_mode) else None

    def stamp(self, path: StoredPath) -> str | None:
        """Return what changes when a file is replaced or written to, also where a power cut may have taken back what was
        written; None where there is no plain file.
        """
        try:
            found = os.lstat(self._absolute(path))
        except OSError:
            return None
        return f"{found.st_size} {found.st_mtime_ns} {found.st_ino} {_boot()}" if stat.S_ISREG(found.st_mode) else None

    @contextmanager
    def searched(self, path: StoredPath) -> Iterator["SearchedFile"]:
        """Open a stored file in which only a few places are looked at."""
        with self.open(path) as stream:
            yield SearchedFile(stream.fileno())

    def digest(self, path: StoredPath, algorithm: str, is_stopped: Callable[[], bool]) -> str:
        """Return the hexadecimal digest of a stored file.

        Raises:
            InterruptedRunError: ``is_stopped()`` became true on the way.
        """
        hasher = hashlib.blake2b(digest_size=32) if algorithm == "blake2b_256" else hashlib.new(algorithm)
        for piece in self._blocks(path):
            if is_stopped():
                raise InterruptedRunError
            hasher.update(piece)
        return hasher.hexdigest()

    def folders(self, path: StoredPath) -> Iterator[str]:
        """Yield the names of the folders in a folder."""
        with self._translated(path, "list"), _suppressed(_NO_FOLDER), os.scandir(self._absolute(path)) as entries:
            for entry in entries:
                if entry.is_dir():
                    yield entry.name

    def files(self, path: StoredPath) -> Iterator[str]:
        """Yield the names of the files in a folder, links and hidden ones included."""
        with self._translated(path, "list"), _suppressed(ABSENT), os.scandir(self._absolute(path)) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    yield entry.name

    def files_below(self, path: StoredPath, is_meant: Callable[[str], bool]) -> Iterator[StoredPath]:
        """Yield the files below a folder whose names are meant; links to folders are not followed."""
        for folder, _, names in os.walk(self._absolute(path)):
            for name in filter(is_meant, names):
                yield StoredPath(f"{os.path.relpath(folder, self._root)}/{name}")

    def link_target(self, path: StoredPath) -> str | None:
        """Return where a symbolic link leads, in its own words; None where there is no link."""
        try:
            return os.readlink(self._absolute(path))
        except OSError:
            return None

    def is_same(self, path: StoredPath, other: StoredPath) -> bool:
        """Whether two paths lead to one file or folder, as names that differ in case do on some filesystems."""
        try:
            return os.path.samefile(self._absolute(path), self._absolute(other))
        except OSError:
            return False

    def is_folder(self, path: StoredPath) -> bool:
        """Whether there is a folder, be it where a file was meant: upstream may name a file as it names a folder."""
        return os.path.isdir(self._absolute(path)) and not os.path.islink(self._absolute(path))

    def _plain_size(self, path: StoredPath) -> int | None:
        """Return the size of a file that is no link; what lies behind a link is not the file that is asked for."""
        try:
            found = os.lstat(self._absolute(path))
        except OSError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def _absolute(self, path: str) -> str:
        return f"{self._base}/{path}"

    def _error(self, path: str, doing: str, cause: OSError | str) -> StorageError:
        """Return the error for what the disk refused; one that is not to end the run, where only some projects need it."""
        absolute = self._absolute(path)
        refused = refused_place(cause, absolute) if isinstance(cause, OSError) else None
        is_shared = refused is None or all_need(os.path.relpath(refused, self._base))
        return (StorageError if is_shared else RefusedPlaceError)(absolute, doing, cause)

    @contextmanager
    def _translated(self, path: str, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._error(path, doing, error) from error


class SearchedFile:
    """The bytes of a file, of which no more is read than is looked at: a mapped one would count as memory of ours."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, span: slice) -> bytes:
        begin, end, _ = span.indices(self._size)
        return os.pread(self._descriptor, max(0, end - begin), begin)

    def find(self, sub: bytes, start: int, end: int) -> int:
        """Return where ``sub`` stands first between two places, or -1."""
        count = _SEARCHED_BYTES
        while start < end:
            block = os.pread(self._descriptor, min(count, end - start), start)
            if (place := block.find(sub)) >= 0:
                return start + place
            if len(block) < count:
                return -1
            start += len(block) - len(sub) + 1
            count = min(2 * count, _READ_BYTES)
        return -1


def _boot() -> str:
    """Return what the system is called since it was booted, or nothing where it has no name for that."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


@contextmanager
def _suppressed(codes: frozenset[int]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in codes:
            raise
