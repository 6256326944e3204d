"""The mirror's directory: whole files appear by one rename, or not at all.

A file is written under a temporary name beside its place (``.<name>.part``), checked, and renamed. Data is made durable in
groups by ``flush``, which must come before any record that speaks of the data; such records are written with ``save``.
"""

import ctypes
import errno
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from bandersnatch.errors import IntegrityError, InterruptedRunError, LockHeldError, StorageError
from bandersnatch.layout import LOCK, PACKAGES, SIMPLE, WEB, StoredPath
from bandersnatch.model import StoredFile

logger = logging.getLogger(__name__)

PART_SUFFIX = ".part"
_READ_BYTES = 1024 * 1024
_MKDIR_ATTEMPTS = 5
_KEPT_FOLDERS = frozenset({"", WEB, SIMPLE, PACKAGES})


class Sink:
    """A file that is being written; it counts and hashes what passes."""

    def __init__(self, path: StoredPath, stream: BinaryIO) -> None:
        self._path, self._stream = path, stream
        self._sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append ``data``.

        Raises:
            StorageError: the disk refused.

        """
        self._sha256.update(data)
        self.size += len(data)
        try:
            self._stream.write(data)
        except OSError as error:
            raise StorageError(self._path, "write", error) from error

    def flush_to_disk(self) -> None:
        """Wait until what was written is durable."""
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def expect(self, url: str, size: int, sha256: str) -> None:
        """Check what was written.

        Raises:
            IntegrityError: it has another size or digest, and so the file will not appear.

        """
        if self.size != size:
            raise IntegrityError(url, "size", size, self.size)
        if self._sha256.hexdigest() != sha256:
            raise IntegrityError(url, "SHA-256", sha256, self._sha256.hexdigest())


class FilesystemStorage:
    """A directory of the local filesystem. Thread-safe; two threads never write one path at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open_parts: set[str] = set()
        self._guard = threading.Lock()
        self._abandoned = False

    @property
    def root(self) -> Path:
        """The mirror's directory."""
        return self._root

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of the directory; the file stays behind and tells who held it last.

        Raises:
            LockHeldError: another process holds it.
            StorageError: the directory can't be made or written.

        """
        path = self._absolute(LOCK)
        lock = FileLock(path)
        with self._translated(path, "lock"):
            self._root.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout as error:
                raise LockHeldError(path, Path(path).read_text(errors="replace").strip()) from error
        try:
            with self._translated(path, "write"):
                Path(path).write_text(f"process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n")
            yield
        finally:
            lock.release()

    @contextmanager
    def write(self, path: StoredPath, mtime: float | None = None) -> Iterator[Sink]:
        """Write a file that appears, whole, when the block ends well, and not at all when it raises.

        Raises:
            StorageError: the disk refused.
            InterruptedRunError: the storage was abandoned meanwhile.

        """
        part = self._part_of(path)
        self._claim(part)
        try:
            with self._translated(path, "write"):
                stream = _open_new(part)
            try:
                yield Sink(path, stream)
                with self._translated(path, "write"):
                    stream.flush()
                    if mtime is not None:
                        os.utime(stream.fileno(), (mtime, mtime))
                    stream.close()
                    if self._abandoned:
                        raise InterruptedRunError
                    os.replace(part, self._absolute(path))
            finally:
                with suppress(OSError):
                    stream.close()
        except BaseException:
            with suppress(OSError):
                os.unlink(part)
            raise
        finally:
            with self._guard:
                self._open_parts.discard(part)

    def write_bytes(self, path: StoredPath, data: bytes, mtime: float | None = None) -> bool:
        """Write a small file, unless it is there with the same bytes; return whether it was written."""
        stored = self.stat(path)
        if stored is not None and stored.size == len(data) and self.read(path) == data:
            return False
        with self.write(path, mtime) as sink:
            sink.write(data)
        return True

    def save(self, path: StoredPath, data: bytes) -> None:
        """Replace a record of ours so that it survives a power cut right afterwards."""
        with self.write(path) as sink:
            sink.write(data)
            with self._translated(path, "flush"):
                sink.flush_to_disk()
        with self._translated(path, "flush"):
            folder = os.open(os.path.dirname(self._absolute(path)), os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def flush(self) -> None:
        """Make all that was written so far durable: one call for the whole filesystem, in place of one per file."""
        with self._translated(WEB, "flush"):
            folder = os.open(self._root, os.O_RDONLY)
            try:
                _sync_filesystem(folder)
            finally:
                os.close(folder)

    def read(self, path: StoredPath) -> bytes | None:
        """Return the bytes of a small file, or None where there is none."""
        try:
            with open(self._absolute(path), "rb") as stream:
                return stream.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StorageError(path, "read", error) from error

    @contextmanager
    def open(self, path: StoredPath) -> Iterator[BinaryIO]:
        """Open a stored file for reading."""
        with self._translated(path, "read"), open(self._absolute(path), "rb") as stream:
            yield stream

    def stat(self, path: StoredPath) -> StoredFile | None:
        """Return size and modification time of a file, or None where there is none."""
        try:
            found = os.stat(self._absolute(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StorageError(path, "look at", error) from error
        return StoredFile(found.st_size, found.st_mtime)

    def digest(self, path: StoredPath, algorithm: str, is_stopped: Callable[[], bool]) -> str:
        """Return the hexadecimal digest of a stored file.

        Raises:
            InterruptedRunError: ``is_stopped()`` became true on the way.

        """
        hasher = hashlib.blake2b(digest_size=32) if algorithm == "blake2b_256" else hashlib.new(algorithm)
        with self.open(path) as stream:
            while chunk := stream.read(_READ_BYTES):
                if is_stopped():
                    raise InterruptedRunError
                hasher.update(chunk)
        return hasher.hexdigest()

    def set_mtime(self, path: StoredPath, mtime: float) -> None:
        """Set the modification time of a stored file."""
        with self._translated(path, "set the time of"):
            os.utime(self._absolute(path), (mtime, mtime))

    def delete(self, path: StoredPath) -> bool:
        """Delete a file, and the folders that it leaves empty; return whether it was there."""
        absolute = self._absolute(path)
        try:
            os.unlink(absolute)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise StorageError(path, "delete", error) from error
        self._delete_empty_folders(path)
        return True

    def folders(self, path: StoredPath) -> Iterator[str]:
        """Yield the names of the folders in a folder."""
        with self._translated(path, "list"), suppress(FileNotFoundError), os.scandir(self._absolute(path)) as entries:
            for entry in entries:
                if entry.is_dir():
                    yield entry.name

    def sweep(self, paths: Iterator[StoredPath]) -> int:
        """Delete what dead runs left half-written for these paths; return how many there were."""
        return sum(self._sweep_one(path) for path in paths)

    def is_writing(self) -> bool:
        """Whether any file is half-written at this moment."""
        with self._guard:
            return bool(self._open_parts)

    def abandon(self) -> None:
        """Let no file appear from now on, and delete the half-written ones, whatever their writers do."""
        with self._guard:
            self._abandoned = True
            for part in self._open_parts:
                with suppress(OSError):
                    os.unlink(part)

    def _sweep_one(self, path: StoredPath) -> bool:
        try:
            os.unlink(self._part_of(path))
        except OSError:
            return False
        self._delete_empty_folders(path)
        return True

    def _claim(self, part: str) -> None:
        with self._guard:
            if self._abandoned:
                raise InterruptedRunError
            if part in self._open_parts:
                raise StorageError(part, "write", "another project of this run writes it too")
            self._open_parts.add(part)

    def _delete_empty_folders(self, path: StoredPath) -> None:
        folder = os.path.dirname(path)
        with suppress(OSError):  # not empty, most of the time; or a link that an operator made
            while folder not in _KEPT_FOLDERS:
                os.rmdir(self._absolute(folder))
                folder = os.path.dirname(folder)

    def _absolute(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _part_of(self, path: StoredPath) -> str:
        folder, _, name = self._absolute(path).rpartition("/")
        return f"{folder}/.{name}{PART_SUFFIX}"

    @staticmethod
    @contextmanager
    def _translated(path: str, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(path, doing, error) from error


def _open_new(part: str) -> BinaryIO:
    """Open a new file for writing; its folder is only made where the open fails, which saves a call for most files."""
    for _ in range(_MKDIR_ATTEMPTS):
        try:
            return open(part, "wb")
        except FileNotFoundError:
            # Another thread may delete the folder, empty as it is, before we get to use it: hence more than one attempt.
            os.makedirs(os.path.dirname(part), exist_ok=True)
    return open(part, "wb")


def _sync_filesystem(descriptor: int) -> None:
    """Flush the filesystem of an open folder, and no other; Python itself only has ``sync`` for all of them."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
    elif syncfs(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code or errno.EIO, os.strerror(code or errno.EIO))
