"""Temporary files: where they are while incomplete, and how they are opened, so that nobody else can plant one.

They are in a folder of the mirror's directory that only its owner may enter, outside ``web/``, so that no web server
serves them. Their names are derived from the paths, so that the next run finds them. A rename does not change what a
new file takes from its folder: filesystem, group, ACL, SELinux label. Where these differ from the final folder's, the
temporary file is beside its final place instead, under a hidden name that needs a secret key. No link is followed in
either place.
"""

import errno
import hashlib
import os
import secrets
import stat
import threading
import weakref
from collections.abc import Iterable
from contextlib import suppress

from bandersnatch.errors import StorageError
from bandersnatch.storage.folders import Folders
from bandersnatch.storage.layout import StoredPath
from bandersnatch.storage.private_folder import handed_down, is_ours, open_private_folder, unlink
from bandersnatch.storage.shortcomings import Shortcomings

PARTS_FOLDER = ".unfinished"
PART_SUFFIX = ".part"
_KEY = "key"
_KEY_BYTES = 32
_COPIED_BYTES = 64 * 1024 * 1024
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class Parts:
    """The temporary files of the mirror in ``root``. Thread-safe, unless two threads write one path."""

    def __init__(
        self, root: str, folders: Folders, shortcomings: Shortcomings, *, is_folder_checked: bool = False
    ) -> None:
        self._root, self._folders, self._shortcomings = root, folders, shortcomings
        self._is_folder_checked = is_folder_checked
        self._guard = threading.Lock()
        self._opened: int | None = None
        self._is_beside: dict[str, bool] = {}
        self._is_key_needed = False

    def twin(self, folders: Folders) -> "Parts":
        """Return the same for another process of this run, which uses our folder without checking it again.

        That process must not empty it as a folder that others could write to: a filesystem without modes always shows
        it as open to everybody, and we are writing there at the same time.
        """
        with suppress(OSError, StorageError):
            self._folder()
        return Parts(self._root, folders, self._shortcomings, is_folder_checked=self._opened is not None)

    def open_new(self, path: StoredPath) -> int:
        """Return a descriptor of a new, empty file for ``path``; whatever has its temporary name is deleted."""
        try:
            return self._open(path, _NEW)
        except FileExistsError:
            self.delete(path)
        except FileNotFoundError:  # the folder was deleted meanwhile
            self._forget_folder()
        return self._open(path, _NEW)

    def open_again(self, path: StoredPath) -> int:
        """Return a descriptor of what an earlier attempt left, if only we can have made it."""
        descriptor = self._open(path, _OPEN)
        if not is_ours(os.fstat(descriptor)):
            os.close(descriptor)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return descriptor

    def size(self, path: StoredPath) -> int:
        """Return how many bytes an earlier attempt left, or 0."""
        try:
            name, folder = self._place(path)
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return 0
        return found.st_size if is_ours(found) else 0

    def publish(self, path: StoredPath) -> None:
        """Move the finished file into place by one rename."""
        target = f"{self._root}/{path}"
        name, folder = self._place(path)
        try:
            self._folders.rename_into(name, target, folder)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with self._guard:  # same st_dev, but two filesystems, as with bind mounts
                self._is_beside[_area(path)] = True
            beside, _ = self._place(path)
            self._copy(name, folder, beside)
            os.replace(beside, target)
            os.unlink(name, dir_fd=folder)

    def link(self, path: StoredPath, target: str) -> None:
        """Put a symbolic link in place by one rename."""
        self.delete(path)
        name, folder = self._place(path)
        os.symlink(target, name, dir_fd=folder)
        try:
            os.replace(name, f"{self._root}/{path}", src_dir_fd=folder)
        except OSError as error:
            os.unlink(name, dir_fd=folder)
            if error.errno != errno.EXDEV:
                raise
            with self._guard:
                self._is_beside[_area(path)] = True
            self.link(path, target)

    def delete(self, path: StoredPath) -> bool:
        """Delete the temporary file for ``path``, wherever it is; return whether there was one."""
        places: list[tuple[str, int | None]] = [(self._old_name(path), None)]
        with suppress(OSError, StorageError):
            places.append(self._place(path))
        return sum(unlink(name, folder) for name, folder in places) > 0

    def beside(self, path: StoredPath) -> str | None:
        """Return a file's temporary name in its own folder; None if it is written in our folder."""
        return self._place(path)[0].rpartition("/")[2] if self._lies_beside(path) else None

    def take_over(self, path: StoredPath) -> None:
        """Adopt a temporary file of an older version, which had a name that everybody could guess."""
        old = self._old_name(path)
        with suppress(OSError):
            if self.size(path) == 0 and is_ours(os.lstat(old)):
                name, folder = self._place(path)
                os.rename(old, name, dst_dir_fd=folder)
        unlink(old, None)

    def sweep(self, kept: Iterable[StoredPath]) -> int:
        """Delete everything in our folder except the temporary files for these paths; return how much it was."""
        if not os.path.lexists(f"{self._root}/{PARTS_FOLDER}"):
            return 0
        folder = self._folder()
        names = {_KEY, *(name_inside(path) for path in kept)}
        self._is_key_needed |= len(names) > 1
        return sum(unlink(name, folder) for name in os.listdir(folder) if name not in names)

    def leave(self) -> None:
        """Note that a temporary file, and so the key, must be kept for another run."""
        self._is_key_needed = True

    def tidy(self) -> None:
        """Delete our folder, unless another run needs something in it."""
        folder = f"{self._root}/{PARTS_FOLDER}"
        if not self._is_key_needed:
            unlink(f"{folder}/{_KEY}", None)
        with suppress(OSError):
            os.rmdir(folder)

    def _open(self, path: StoredPath, flags: int) -> int:
        name, folder = self._place(path)
        if folder is None:
            return self._folders.open_in(name, flags)
        return os.open(name, flags, 0o666, dir_fd=folder)

    def _place(self, path: StoredPath) -> tuple[str, int | None]:
        """Return the name of a temporary file, and the descriptor of our folder if it is there."""
        if not self._lies_beside(path):
            return name_inside(path), self._folder()
        name = hashlib.blake2b(path.encode("utf-8", "surrogateescape"), key=self._key(), digest_size=16).hexdigest()
        return f"{os.path.dirname(f'{self._root}/{path}')}/.{name}{PART_SUFFIX}", None

    def _lies_beside(self, path: StoredPath) -> bool:
        area = _area(path)
        if (known := self._is_beside.get(area)) is not None:
            return known
        place = f"{self._root}/{area}"
        # A folder that is yet to be made will inherit from the nearest existing one.
        while not os.path.exists(place):
            place = os.path.dirname(place)
        self._folder()  # makes it
        inside = handed_down(f"{self._root}/{PARTS_FOLDER}")
        with self._guard:
            return self._is_beside.setdefault(area, handed_down(place) != inside)

    def _old_name(self, path: StoredPath) -> str:
        folder, _, name = f"{self._root}/{path}".rpartition("/")
        return f"{folder}/.{name}{PART_SUFFIX}"

    def _folder(self) -> int:
        with self._guard:
            if self._opened is None:
                self._opened = open_private_folder(self._root, PARTS_FOLDER, is_checked=self._is_folder_checked)
                self._closing = weakref.finalize(self, os.close, self._opened)
            return self._opened

    def _forget_folder(self) -> None:
        with self._guard:
            if self._opened is not None:
                self._closing()
            self._opened = None

    def _key(self) -> bytes:
        """Return the secret from which names are made that nobody else can guess."""
        folder = self._folder()
        with self._guard:
            for _ in range(2):
                with suppress(FileNotFoundError):
                    descriptor = os.open(_KEY, _OPEN, dir_fd=folder)
                    with open(descriptor, "rb") as stream:
                        if is_ours(os.fstat(descriptor)) and len(key := stream.read(_KEY_BYTES)) == _KEY_BYTES:
                            return key
                    os.unlink(_KEY, dir_fd=folder)
                # Linked into place when complete, so that a helper never reads half a key.
                name = secrets.token_hex(16)
                with open(os.open(name, _NEW, 0o600, dir_fd=folder), "wb") as stream:
                    stream.write(secrets.token_bytes(_KEY_BYTES))
                try:
                    os.link(name, _KEY, src_dir_fd=folder, dst_dir_fd=folder)
                except FileExistsError:
                    pass
                except OSError:  # no hard links: of two processes, the later one's key wins
                    os.rename(name, _KEY, src_dir_fd=folder, dst_dir_fd=folder)
                unlink(name, folder)
        raise PermissionError(errno.EACCES, "the key of the names can't be kept")

    def _copy(self, name: str, folder: int | None, beside: str) -> None:
        unlink(beside, None)
        source = os.open(name, _OPEN, dir_fd=folder)
        try:
            target = self._folders.open_in(beside, _NEW)
            try:
                found = os.fstat(source)
                while os.sendfile(target, source, None, _COPIED_BYTES):
                    pass
                self._shortcomings.set_mode(target, stat.S_IMODE(found.st_mode))
                self._shortcomings.set_times(target, (found.st_atime, found.st_mtime))
            except BaseException:
                unlink(beside, None)
                raise
            finally:
                os.close(target)
        finally:
            os.close(source)


def name_inside(path: StoredPath) -> str:
    """Return the name of a temporary file in our folder."""
    return hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest() + PART_SUFFIX


def _area(path: StoredPath) -> str:
    """Return the folder whose inherited attributes stand for a path's: one of the few that an operator may have set up."""
    return "/".join(path.split("/")[:-1][:2])
