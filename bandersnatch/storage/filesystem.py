"""The mirror's directory: whole files appear by one atomic rename, or not at all.

A file is written under a temporary name (``storage/parts.py``), checked, and renamed. ``flush`` makes all data durable
at once, and must come before any record that refers to the data; such records are written with ``save``.
"""

import errno
import logging
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from bandersnatch.errors import InterruptedRunError, MirrorError, PathConflictError, StorageError
from bandersnatch.storage.access import umask_of_process
from bandersnatch.storage.file_writer import FileWriter, Partial
from bandersnatch.storage.folders import Folders, make_folder
from bandersnatch.storage.in_progress import FilesInProgress
from bandersnatch.storage.layout import WEB, StoredPath
from bandersnatch.storage.parts import Parts
from bandersnatch.storage.room import Room
from bandersnatch.storage.shortcomings import UNABLE, Shortcomings
from bandersnatch.storage.tree import ABSENT, StoredTree
from bandersnatch.storage.unfinished_folder import UnfinishedFolder

logger = logging.getLogger(__name__)

PUBLIC_MODE = 0o644


class _UnchangedError(Exception):
    """Raised in a ``write`` block to leave the stored file alone, because it has the same bytes already."""


class FilesystemStorage(StoredTree):
    """A directory of the local filesystem. Thread-safe, provided that two threads never write one path at a time."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._folders = Folders(str(root))
        self._shortcomings = Shortcomings(str(root))
        self._write_with(Parts(str(root), self._folders, self._shortcomings))
        self._room = Room(root)
        self._file_mode: int | None = None
        self._tell: Callable[[StoredPath], None] | None = None

    def manage_permissions(self) -> None:
        """From now on, make files readable for everybody and writable for their owner only, whatever the umask."""
        is_needed = 0o666 & ~umask_of_process() != PUBLIC_MODE
        # Otherwise the umask gives that mode anyway, and a call per file is saved.
        self._file_mode = PUBLIC_MODE if is_needed else None

    def tell_changes(self, tell: Callable[[StoredPath], None] | None) -> None:
        """From now on, call ``tell`` with the path of each file that appears, changes or goes, from any thread."""
        self._tell = tell

    def tell(self, paths: Iterable[StoredPath]) -> None:
        """Pass on changes that another process made in the directory, with a ``twin``."""
        if self._tell is not None:
            for path in paths:
                self._tell(path)

    @property
    def unfinished(self) -> UnfinishedFolder:
        """The folder of half-written files, which has records of workers, too."""
        return self._parts.folder

    def admit(self) -> str:
        """Return a token for another process of this run, with which its ``twin`` may write until it is given up."""
        return self._parts.folder.admit()

    def twin(self, token: str | None = None) -> "FilesystemStorage":
        """Return a storage for another process, which writes to the same directory in the same way.

        The token is the one that it was admitted with; without one, it is admitted here.
        """
        twin = type(self)(self._root)
        twin._file_mode = self._file_mode  # noqa: SLF001 - it is of our own class
        twin._shortcomings = self._shortcomings  # noqa: SLF001 - as above; what one process tells, the others need not
        twin._write_with(self._parts.twin(twin._folders, token or self.admit()))  # noqa: SLF001 - as above
        twin._room = self._room  # noqa: SLF001 - as above
        return twin

    @contextmanager
    def write(
        self, path: StoredPath, mtime: float | None = None, partial: Partial | None = None
    ) -> Iterator[FileWriter]:
        """Write a file that appears, whole, if the block succeeds, and not at all if it raises.

        With ``partial`` the writing goes on from what an earlier attempt left, and what is written is kept to be resumed
        where the block ends with an error that ``partial`` names.

        Raises:
            PartGoneError: what the earlier attempt left is there no more.
            StorageError: the disk refused.
            InterruptedRunError: the storage was abandoned meanwhile, or this process was given up.
        """
        partial = partial or Partial()
        with self._in_progress.claim(path, partial):
            writer: FileWriter | None = None
            try:
                part = self._in_progress.open(path, partial)
                writer = FileWriter(self._absolute(path), part, self._shortcomings, partial.algorithm)
                if partial.offset:
                    writer.take_over(partial.offset)
                yield writer
                writer.close(mtime, self._file_mode)
                # It fails after the end of the run: a thread that still waited for upstream must not publish anything.
                self._in_progress.publish(path)
                if self._tell is not None:
                    self._tell(path)
            except BaseException as error:
                self._leave(path, partial, writer, error)
                raise

    def partial_size(self, path: StoredPath) -> int:
        """Return how many bytes of a file an earlier attempt has left, or 0."""
        return self._parts.size(path)

    def part_beside(self, path: StoredPath) -> str | None:
        """Return the temporary name of a file that is written in its own folder; None if it is written elsewhere."""
        return self._parts.beside(path)

    @property
    def room(self) -> Room:
        """The free space, which the processes of a run share."""
        return self._room

    def room_for(self, path: StoredPath, size_bytes: int, reserve_bytes: int) -> AbstractContextManager[None]:
        """Reserve room for a file of that size, on top of all others in progress and of ``reserve_bytes``.

        Raises:
            StorageError: there is not enough.
        """
        return self._room.hold(self._absolute(path), size_bytes, reserve_bytes)

    def write_bytes(self, path: StoredPath, data: bytes, mtime: float | None = None) -> bool:
        """Write a small file, unless the same bytes are there; return whether it was written.

        An unchanged file keeps its time, so that web servers and caches go on using it.
        """
        if self._plain_size(path) == len(data) and self.read(path) == data:
            return False
        with self.write(path, mtime) as writer:
            writer.write(data)
        return True

    @contextmanager
    def rewrite(self, path: StoredPath) -> Iterator[FileWriter]:
        """Write a large file, as ``write`` does, unless the same bytes are there."""
        with suppress(_UnchangedError), self.write(path) as writer:
            yield writer
            if self._is_same(path, writer):
                raise _UnchangedError

    def save(self, path: StoredPath, pieces: Iterable[bytes]) -> None:
        """Replace a record of ours durably: it survives a power cut right afterwards. It keeps its permissions."""
        mode = self._mode(path)
        with self.write(path) as writer:
            for piece in pieces:
                writer.write(piece)
            writer.flush_to_disk(mode)
        with self._translated(path, "flush"):
            self._shortcomings.flush_folder(os.path.dirname(self._absolute(path)))

    def flush(self) -> None:
        """Make everything written so far durable: one call for the whole filesystem instead of one per file."""
        with self._translated(WEB, "flush"):
            self._shortcomings.flush()

    def set_mtime(self, path: StoredPath, mtime: float) -> None:
        """Set the modification time of a stored file."""
        with self._translated(path, "set the time of"):
            self._shortcomings.set_times_of(self._absolute(path), (mtime, mtime))

    def delete(self, path: StoredPath) -> bool:
        """Delete a file, and the folders that become empty; return whether it was there."""
        absolute = self._absolute(path)
        try:
            os.unlink(absolute)
            was_there = True
        except OSError as error:
            # A folder with this name is not the file that was meant.
            if error.errno not in ABSENT and not self.is_folder(path):
                raise self._error(path, "delete", error) from error
            was_there = False
        self._folders.delete_empty(path)
        if was_there and self._tell is not None:
            self._tell(path)
        return was_there

    def link(self, path: StoredPath, target: str) -> None:
        """Put a symbolic link in place by one rename; ``target`` is relative to the link's folder."""
        try:
            self._parts.link(path, target)
        except OSError as error:
            cause: OSError | str = error
            if error.errno in UNABLE:
                cause = f"keep_index_versions needs symbolic links, and this filesystem has none ({error.strerror})"
            raise self._error(path, "link", cause) from error
        if self._tell is not None:
            self._tell(path)

    def move_folder(self, path: StoredPath, new_path: StoredPath) -> bool:
        """Move a folder by one rename; return False if something is in the new place."""
        with self._translated(path, "rename"):
            make_folder(os.path.dirname(self._absolute(new_path)))
            try:
                os.rename(self._absolute(path), self._absolute(new_path))
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    return False
                raise
        self._folders.delete_empty(path)
        return True

    def sweep(self, paths: Iterable[StoredPath]) -> int:
        """Delete the temporary files of earlier runs for these paths; return how many there were."""
        return sum(self._sweep_one(path) for path in paths)

    def sweep_all(self, paths: Iterable[StoredPath], kept: Iterable[StoredPath]) -> int:
        """Delete the temporary files of earlier runs, for these paths and wherever else they are found, except
        ``kept``.

        Nobody else may be writing.
        """
        goes_on = set(kept)
        with self._translated(WEB, "clean up"):
            self._parts.take_over(goes_on)
            swept = self.sweep(path for path in paths if path not in goes_on)
            return swept + self._parts.sweep(goes_on)

    def give_up(self, token: str, paths: Iterable[StoredPath] = (), kept: Collection[StoredPath] = ()) -> None:
        """Let the ``twin`` of that token put nothing in place any more, and delete what it has half-written.

        It may have written to ``paths``, which need not be told where they are not known. What it has written for those that
        are ``kept`` is kept to be resumed; that is only safe if its process is known to be dead.
        """
        paths = set(paths)
        with self._translated(WEB, "clean up"):
            self._parts.give_up(token, paths, kept)
        for path in paths.difference(kept):
            self._folders.delete_empty(path)

    def is_writing(self) -> bool:
        """Whether any file is being written right now."""
        return bool(self._in_progress)

    def abandon(self) -> None:
        """Let no file appear from now on, of ours or a ``twin``'s; delete the half-written ones that can't be resumed."""
        with self._in_progress.abandon() as partials:
            paths = tuple(partials)
            for path, partial in partials.items():
                if issubclass(InterruptedRunError, partial.kept_after):
                    self._parts.keep(path)
                else:
                    self._parts.discard(path)
        with suppress(OSError, StorageError):
            self._parts.give_up_all(paths)
        self.tidy()

    def tidy(self) -> None:
        """Leave nothing of what was needed to write, when all that is to be written is; what comes late does no harm."""
        self._parts.folder.tidy()

    def _write_with(self, parts: Parts) -> None:
        self._parts = parts
        self._in_progress = FilesInProgress(self._base, parts, self._write_error)

    def _leave(self, path: StoredPath, partial: Partial, writer: FileWriter | None, error: BaseException) -> None:
        """Keep what was written before an error, if it can be resumed, or else delete it."""
        if writer is not None:
            with suppress(StorageError):
                writer.close()
        if isinstance(error, partial.kept_after) and writer is not None and writer.size:
            self._parts.keep(path)
        else:
            self._parts.discard(path)
            self._folders.delete_empty(path)

    def _sweep_one(self, path: StoredPath) -> bool:
        is_deleted = self._parts.delete(path)
        if is_deleted:
            self._folders.delete_empty(path)
        return is_deleted

    def _write_error(self, path: StoredPath, error: OSError) -> MirrorError:
        if self.is_below_broken_link(path):
            return PathConflictError(path, "a link that leads nowhere is where its folder would be")
        return self._error(path, "write", error)

    def _is_same(self, path: StoredPath, writer: FileWriter) -> bool:
        return self._plain_size(path) == writer.size and self.digest(path, "sha256", lambda: False) == writer.sha256

    def _mode(self, path: StoredPath) -> int | None:
        try:
            return stat.S_IMODE(os.stat(self._absolute(path)).st_mode)
        except OSError:
            return None
