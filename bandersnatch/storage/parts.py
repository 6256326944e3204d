"""Half-written files: where they lie until they are whole, and how they are opened, so that nobody else can plant one.

They lie in a folder of the mirror's directory that only its owner may enter, outside ``web/``, so that no web server shows
them. A name there comes from the path, so that the next run finds it. What lies there would be published without what a
folder hands down to new files where that differs: filesystem, group, ACL, SELinux label. Such a file lies beside its
place, under a hidden name that a key in the folder makes. No link is followed in either place.
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
    """The half-written files of the mirror in ``root``. Thread-safe, but for two threads that write one path."""

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
        """Return the half-written files for another process of the same run, which finds our folder as we have left it.

        It must not be emptied as what others could have written to: a filesystem without modes always shows it as open to
        all, and we write there at the same time.
        """
        with suppress(OSError, StorageError):
            self._folder()
        return Parts(self._root, folders, self._shortcomings, is_folder_checked=self._opened is not None)

    def open_new(self, path: StoredPath) -> int:
        """Return a descriptor of a new and empty file for ``path``; what lies in its place is deleted."""
        try:
            return self._open(path, _NEW)
        except FileExistsError:
            self.delete(path)
        except FileNotFoundError:  # somebody has deleted the folder meanwhile
            self._forget_folder()
        return self._open(path, _NEW)

    def open_again(self, path: StoredPath) -> int:
        """Return a descriptor of what an earlier attempt has left, if it is a file that only we can have made."""
        descriptor = self._open(path, _OPEN)
        if not is_ours(os.fstat(descriptor)):
            os.close(descriptor)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return descriptor

    def size(self, path: StoredPath) -> int:
        """Return how many bytes an earlier attempt has left, or 0."""
        try:
            name, folder = self._place(path)
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return 0
        return found.st_size if is_ours(found) else 0

    def publish(self, path: StoredPath) -> None:
        """Put what was written in its place, by one rename."""
        target = f"{self._root}/{path}"
        name, folder = self._place(path)
        try:
            self._folders.rename_into(name, target, folder)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with self._guard:  # two filesystems that look like one
                self._is_beside[_area(path)] = True
            beside, _ = self._place(path)
            self._copy(name, folder, beside)
            os.replace(beside, target)
            os.unlink(name, dir_fd=folder)

    def link(self, path: StoredPath, target: str) -> None:
        """Put a symbolic link in place, by one rename."""
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
        """Delete what is half-written for ``path``, wherever it lies; return whether there was anything."""
        places: list[tuple[str, int | None]] = [(self._old_name(path), None)]
        with suppress(OSError, StorageError):
            places.append(self._place(path))
        return sum(unlink(name, folder) for name, folder in places) > 0

    def beside(self, path: StoredPath) -> str | None:
        """Return the name that a half-written file has beside its place; None where it lies in our folder."""
        return self._place(path)[0].rpartition("/")[2] if self._lies_beside(path) else None

    def take_over(self, path: StoredPath) -> None:
        """Take for ours what an older version has left half-written, in a place of which all could know."""
        old = self._old_name(path)
        with suppress(OSError):
            if self.size(path) == 0 and is_ours(os.lstat(old)):
                name, folder = self._place(path)
                os.rename(old, name, dst_dir_fd=folder)
        unlink(old, None)

    def sweep(self, kept: Iterable[StoredPath]) -> int:
        """Delete all that lies in our folder but for what is half-written for these paths; return how much it was."""
        if not os.path.lexists(f"{self._root}/{PARTS_FOLDER}"):
            return 0
        folder = self._folder()
        names = {_KEY, *(name_inside(path) for path in kept)}
        self._is_key_needed |= len(names) > 1
        return sum(unlink(name, folder) for name in os.listdir(folder) if name not in names)

    def leave(self) -> None:
        """Know that something half-written stays behind for another run, and with it the key."""
        self._is_key_needed = True

    def tidy(self) -> None:
        """Delete our folder, if nothing is in it that another run needs."""
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
        """Return the name of a half-written file, and the descriptor of our folder if it lies there."""
        if not self._lies_beside(path):
            return name_inside(path), self._folder()
        name = hashlib.blake2b(path.encode("utf-8", "surrogateescape"), key=self._key(), digest_size=16).hexdigest()
        return f"{os.path.dirname(f'{self._root}/{path}')}/.{name}{PART_SUFFIX}", None

    def _lies_beside(self, path: StoredPath) -> bool:
        area = _area(path)
        if (known := self._is_beside.get(area)) is not None:
            return known
        place = f"{self._root}/{area}"
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
        """Return what makes names that nobody else can know."""
        folder = self._folder()
        with self._guard:
            for _ in range(2):
                with suppress(FileNotFoundError):
                    descriptor = os.open(_KEY, _OPEN, dir_fd=folder)
                    with open(descriptor, "rb") as stream:
                        if is_ours(os.fstat(descriptor)) and len(key := stream.read(_KEY_BYTES)) == _KEY_BYTES:
                            return key
                    os.unlink(_KEY, dir_fd=folder)
                # By a rename, so that a helper never meets a key of which a part is written.
                name = secrets.token_hex(16)
                with open(os.open(name, _NEW, 0o600, dir_fd=folder), "wb") as stream:
                    stream.write(secrets.token_bytes(_KEY_BYTES))
                try:
                    os.link(name, _KEY, src_dir_fd=folder, dst_dir_fd=folder)
                except FileExistsError:
                    pass
                except OSError:  # no hard links; then of two processes at once the later one's key is that of both
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
    """Return the name that a half-written file has in our folder."""
    return hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest() + PART_SUFFIX


def _area(path: StoredPath) -> str:
    """Return the folder for which it is looked at once what it hands down: one of the few of which an operator knows."""
    return "/".join(path.split("/")[:-1][:2])
