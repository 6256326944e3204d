"""Reads the mirror's directory: files, folders and links, by paths relative to it."""

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
"""Larger than any page of ours."""
_READ = os.O_RDONLY | os.O_NONBLOCK
"""With O_NONBLOCK, opening a FIFO does not block, and reading it returns nothing."""
_SEARCHED_BYTES = 256
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EILSEQ})
"""The errors for a missing file, or a link that leads nowhere; the last two are for names that the filesystem does not
allow."""
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
        """Return the bytes of a small file, or None if there is none."""
        return self.read_record(path, _MOST_BYTES)

    def read_record(self, path: StoredPath, most: int) -> bytes | None:
        """Return the bytes of a record of ours, or None if there is none; anything that can't be one is reported and
        left alone.

        It is read only once it is known to be a plain file of at most ``most`` bytes.
        """
        try:
            # By descriptor, with half of the calls that a file object makes: a resync reads three pages of each project.
            descriptor = os.open(self._absolute(path), _READ)
            try:
                found = os.fstat(descriptor)
                if stat.S_ISREG(found.st_mode) and found.st_size <= most:
                    return _read_all(descriptor, found.st_size)
                if stat.S_ISDIR(found.st_mode) and self.is_folder(path):
                    return None
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno in ABSENT or self.is_folder(path):
                return None
            if error.errno != errno.ENXIO:  # which is the error for opening a socket
                raise self._error(path, "read", error) from error
        logger.warning("%s/%s is not a plain file of at most %d bytes; it is not read", self._root, path, most)
        return None

    @contextmanager
    def open(self, path: StoredPath) -> Iterator[BinaryIO]:
        """Open a stored file for reading."""
        with self._translated(path, "read"), open(os.open(self._absolute(path), _READ), "rb") as stream:
            yield stream

    def pieces(self, path: StoredPath) -> Iterator[bytes]:
        """Yield the bytes of a file in chunks."""
        return map(bytes, self._blocks(path))

    def _blocks(self, path: StoredPath) -> Iterator[memoryview]:
        """Yield the bytes of a file in one reused buffer: each chunk is valid only until the next one is requested."""
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
        """Return a file's size and modification time; None if it is missing, or a folder."""
        try:
            found = os.stat(self._absolute(path))
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise self._error(path, "look at", error) from error
        return StoredFile(found.st_size, found.st_mtime) if not stat.S_ISDIR(found.st_mode) else None

    def stamp(self, path: StoredPath) -> str | None:
        """Return a text that changes when a file is replaced or written to, or when a power cut may have undone a
        write; None if it is not a plain file.
        """
        try:
            found = os.lstat(self._absolute(path))
        except OSError:
            return None
        return f"{found.st_size} {found.st_mtime_ns} {found.st_ino} {_boot()}" if stat.S_ISREG(found.st_mode) else None

    @contextmanager
    def searched(self, path: StoredPath) -> Iterator["SearchedFile"]:
        """Open a stored file of which only a few places are read."""
        with self.open(path) as stream:
            yield SearchedFile(stream.fileno())

    def digest(self, path: StoredPath, algorithm: str, is_stopped: Callable[[], bool]) -> str:
        """Return the hexadecimal digest of a stored file.

        Raises:
            InterruptedRunError: ``is_stopped()`` became true meanwhile.
        """
        # blake2b_256 is PyPI's name; hashlib knows the shortened form only by its parameter.
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
        """Yield the files below a folder whose names ``is_meant`` accepts; links to folders are not followed."""
        for folder, _, names in os.walk(self._absolute(path)):
            for name in filter(is_meant, names):
                yield StoredPath(f"{os.path.relpath(folder, self._root)}/{name}")

    def link_target(self, path: StoredPath) -> str | None:
        """Return the target of a symbolic link as written; None if it is not a link."""
        try:
            return os.readlink(self._absolute(path))
        except OSError:
            return None

    def is_same(self, path: StoredPath, other: StoredPath) -> bool:
        """Whether two paths are one file or folder, as names that differ only in case are on some filesystems."""
        try:
            return os.path.samefile(self._absolute(path), self._absolute(other))
        except OSError:
            return False

    def is_folder(self, path: StoredPath) -> bool:
        """Whether there is a folder, even if a file was expected: upstream may give a file the name of a folder."""
        return os.path.isdir(self._absolute(path)) and not os.path.islink(self._absolute(path))

    def is_below_broken_link(self, path: StoredPath) -> bool:
        """Whether a folder that only some projects need is a link that leads nowhere."""
        folders = [path[:end] for end, letter in enumerate(path) if letter == "/"]
        return any(
            not (os.path.exists(self._absolute(each)) or all_need(each))
            for each in folders
            if os.path.islink(self._absolute(each))
        )

    def _plain_size(self, path: StoredPath) -> int | None:
        """Return the size of a plain file, or None: what is behind a link is not the file that was asked for."""
        try:
            found = os.lstat(self._absolute(path))
        except OSError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def _absolute(self, path: str) -> str:
        return f"{self._base}/{path}"

    def _error(self, path: str, doing: str, cause: OSError | str) -> StorageError:
        """Return the error for a disk operation; it ends the run unless only some projects need the path."""
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
    """Reads parts of a file on demand. It is not mapped, because mapped pages count as memory of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, span: slice) -> bytes:
        begin, end, _ = span.indices(self._size)
        return os.pread(self._descriptor, max(0, end - begin), begin)

    def find(self, sub: bytes, start: int, end: int) -> int:
        """Return where ``sub`` first occurs between two offsets, or -1."""
        count = _SEARCHED_BYTES
        while start < end:
            block = os.pread(self._descriptor, min(count, end - start), start)
            if (place := block.find(sub)) >= 0:
                return start + place
            if len(block) < count:
                return -1
            # Overlapping, since the text may begin in one block and end in the next.
            start += len(block) - len(sub) + 1
            count = min(2 * count, _READ_BYTES)
        return -1


def _read_all(descriptor: int, size: int) -> bytes:
    """Return a file of that size, with one byte more if it has grown since."""
    body = os.read(descriptor, size + 1)
    while len(body) < size and (piece := os.read(descriptor, size + 1 - len(body))):
        body += piece
    return body


def _boot() -> str:
    """Return an id that the kernel makes at each boot, or an empty text if there is none."""
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
