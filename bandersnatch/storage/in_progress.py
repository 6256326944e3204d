"""Files that this process is writing: each by one writer, until the run is abandoned.

An error says who is at fault: the name of the file, which fails its project alone, or the disk.
"""

import errno
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from bandersnatch.errors import InterruptedRunError, MirrorError, PartGoneError, PathConflictError
from bandersnatch.storage.file_writer import Partial
from bandersnatch.storage.layout import StoredPath
from bandersnatch.storage.parts import Parts

_OF_THE_NAME = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
"""Some filesystems allow only shorter names, or only UTF-8, or no colons."""


class FilesInProgress:
    """The half-written files of this process, with the paths that they will appear at. Thread-safe."""

    def __init__(self, root: str, parts: Parts, write_error: Callable[[StoredPath, OSError], MirrorError]) -> None:
        self._root, self._parts, self._write_error = root, parts, write_error
        self._partials: dict[StoredPath, Partial] = {}
        self._guard = threading.Lock()
        self._is_abandoned = False

    def __bool__(self) -> bool:
        with self._guard:
            return bool(self._partials)

    @contextmanager
    def claim(self, path: StoredPath, partial: Partial) -> Iterator[None]:
        """Let nobody else write the path during the block.

        Raises:
            InterruptedRunError: the run was abandoned.
            PathConflictError: somebody writes it already.
        """
        with self._guard:
            if self._is_abandoned:
                raise InterruptedRunError
            if path in self._partials:
                raise PathConflictError(path, "another project of this run writes it too")
            self._partials[path] = partial
        try:
            yield
        finally:
            with self._guard:
                self._partials.pop(path, None)

    @contextmanager
    def abandon(self) -> Iterator[Mapping[StoredPath, Partial]]:
        """Let nothing appear from now on; give what is being written, of which none ends during the block."""
        with self._guard:
            self._is_abandoned = True
            yield self._partials

    def open(self, path: StoredPath, partial: Partial) -> int:
        """Return a descriptor of a new file, or of what an earlier attempt left.

        Raises:
            PartGoneError: what the earlier attempt left is there no more.
            PathConflictError: something is in the way of its folder.
            StorageError: the disk refused.
        """
        is_new = partial.offset == 0
        try:
            if is_new:
                return self._parts.open_new(path, may_be_kept=partial.may_be_kept)
            return self._parts.open_again(path)
        except NotADirectoryError as error:
            raise PathConflictError(path, "a file is where its folder would be") from error
        except OSError as error:
            if not is_new and error.errno == errno.ENOENT:
                raise PartGoneError(f"{self._root}/{path}", "write", error) from error
            raise self._write_error(path, error) from error

    def publish(self, path: StoredPath) -> None:
        """Put what was written in its place.

        Raises:
            InterruptedRunError: the run was abandoned meanwhile, or this process was given up.
            PathConflictError: something is in the way of the file or its folder, or the filesystem refuses its name.
            StorageError: the disk refused.
        """
        if self._is_abandoned:
            raise InterruptedRunError
        try:
            self._parts.publish(path)
        except NotADirectoryError as error:
            raise PathConflictError(path, "a file is where its folder would be") from error
        except IsADirectoryError as error:
            raise PathConflictError(path, "a folder is where the file would be") from error
        except OSError as error:
            if error.errno in _OF_THE_NAME:
                raise PathConflictError(path, f"the filesystem does not allow this name: {error.strerror}") from error
            raise self._write_error(path, error) from error
