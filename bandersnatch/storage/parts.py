"""Temporary files: where they are while incomplete, and how they are opened, so that nobody else can plant one.

They lie in a folder of the mirror's directory that only its owner may enter, outside ``web/``, so that no web server shows
them. What lies there would be published without what a folder hands down to new files where that differs: filesystem,
group, ACL, SELinux label. Such a file lies beside its place, under a hidden name that a key in the folder makes. No link
is followed in either place.
"""

import errno
import os
import threading
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

from bandersnatch.errors import InterruptedRunError, StorageError
from bandersnatch.storage.folders import Folders
from bandersnatch.storage.layout import StoredPath
from bandersnatch.storage.private_folder import handed_down, is_ours, unlink
from bandersnatch.storage.shortcomings import Shortcomings
from bandersnatch.storage.unfinished_folder import UnfinishedFolder
from bandersnatch.storage.unfinished_names import PART_SUFFIX, PLAIN, area_of, name_inside, named, stem_of

_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_Place = tuple[str, int | None]


class Parts:
    """The half-written files of the mirror in ``root``, for one writer of them.

    Thread-safe, but for two threads that write one path.
    """

    def __init__(
        self, root: str, folders: Folders, shortcomings: Shortcomings, folder: UnfinishedFolder | None = None
    ) -> None:
        self._root, self._folders, self._shortcomings = root, folders, shortcomings
        self.folder = folder or UnfinishedFolder(root)
        self._guard = threading.Lock()
        self._is_beside: dict[str, bool] = {}
        self._dead: Sequence[str] = ()

    def twin(self, folders: Folders, token: str) -> "Parts":
        """Return the half-written files for another process of the same run, which was admitted with that token."""
        return Parts(self._root, folders, self._shortcomings, self.folder.guest(token))

    def open_new(self, path: StoredPath, *, may_be_kept: bool) -> int:
        """Return a descriptor of a new and empty file for ``path``; what may have been kept to be resumed is deleted."""
        stem, folder = self._stem(path)
        if may_be_kept:
            unlink(named(stem, PLAIN), folder)  # it may be of another document
        own = named(stem, self.folder.token)
        try:
            return self._open((own, folder), _NEW)
        except FileExistsError:  # of an attempt of ours
            unlink(own, folder)
        except FileNotFoundError:  # somebody has deleted the folder meanwhile
            self.folder.forget()
        return self._open(self._place(path, self.folder.token), _NEW)

    def open_again(self, path: StoredPath) -> int:
        """Return a descriptor of what was kept to be resumed, if it is a file that only we can have made.

        Raises:
            FileNotFoundError: it is none, or another process has taken it first.
        """
        stem, folder = self._stem(path)
        own = named(stem, self.folder.token)
        os.rename(named(stem, PLAIN), own, src_dir_fd=folder, dst_dir_fd=folder)
        try:
            descriptor = self._open((own, folder), _OPEN)
            if is_ours(os.fstat(descriptor)):
                return descriptor
            os.close(descriptor)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        unlink(own, folder)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def size(self, path: StoredPath) -> int:
        """Return how many bytes were kept to be resumed, or 0."""
        try:
            name, folder = self._place(path, PLAIN)
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return 0
        return found.st_size if is_ours(found) else 0

    def keep(self, path: StoredPath) -> None:
        """Keep what we have written to be resumed; if we were given up, another process may be resuming it, so delete it."""
        (own, folder), (plain, _) = self._place(path, self.folder.token), self._place(path, PLAIN)
        try:
            self.folder.check_admitted()
            os.rename(own, plain, src_dir_fd=folder, dst_dir_fd=folder)
        except (OSError, InterruptedRunError):
            unlink(own, folder)
        self.folder.need_key()

    def publish(self, path: StoredPath) -> None:
        """Put what was written in its place, by one rename.

        Raises:
            InterruptedRunError: we were given up.
        """
        target = f"{self._root}/{path}"
        name, folder = self._place(path, self.folder.token)
        self.folder.check_admitted()
        try:
            self._folders.rename_into(name, target, folder)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with self._guard:  # same st_dev, but two filesystems, as with bind mounts
                self._is_beside[area_of(path)] = True
            beside, _ = self._place(path, self.folder.token)
            self.folder.tell_beside()
            self._copy(name, folder, beside)
            self.folder.check_admitted()
            os.replace(beside, target)
            os.unlink(name, dir_fd=folder)

    def link(self, path: StoredPath, target: str) -> None:
        """Put a symbolic link in place by one rename."""
        self.delete(path)
        name, folder = self._place(path, self.folder.token)
        if folder is None:
            self.folder.tell_beside()
        os.symlink(target, name, dir_fd=folder)
        try:
            self.folder.check_admitted()
            os.replace(name, f"{self._root}/{path}", src_dir_fd=folder)
        except (OSError, InterruptedRunError) as error:
            unlink(name, folder)
            if not isinstance(error, OSError) or error.errno != errno.EXDEV:
                raise
            with self._guard:
                self._is_beside[area_of(path)] = True
            self.link(path, target)

    def discard(self, path: StoredPath) -> None:
        """Delete what we have half-written for ``path``."""
        with suppress(OSError, StorageError):
            unlink(*self._place(path, self.folder.token))

    def delete(self, path: StoredPath) -> bool:
        """Delete what we and dead writers have half-written for ``path``; return whether there was anything."""
        places: list[_Place] = [(self._old_name(path), None)]
        with suppress(OSError, StorageError):
            stem, folder = self._stem(path)
            tokens = (PLAIN, self.folder.token, *(self._dead if folder is None else ()))
            places += [(named(stem, token), folder) for token in tokens]
        return sum(unlink(*place) for place in places) > 0

    def beside(self, path: StoredPath) -> str | None:
        """Return the name that a kept file has beside its place; None where it lies in our folder."""
        return self._place(path, PLAIN)[0].rpartition("/")[2] if self._lies_beside(path) else None

    # What others have left

    def give_up(self, token: str, paths: Iterable[StoredPath], kept: Collection[StoredPath]) -> None:
        """Let another process put nothing in place any more, and delete what it has half-written.

        It may have written to ``paths``. What it has written for those that are ``kept`` is kept to be resumed.
        """
        self.folder.dismiss(token)
        for path in kept:
            self._keep_largest(path, (PLAIN, token))
        for path in paths:
            if self._lies_beside(path):
                unlink(*self._place(path, token))
        if self.folder.is_there():
            folder = self.folder.open()
            for name in os.listdir(folder):
                if name.endswith(f".{token}{PART_SUFFIX}"):
                    unlink(name, folder)

    def give_up_all(self, paths: Collection[StoredPath]) -> None:
        """Give up all other processes, which may have written to these paths."""
        for token in self.folder.other_writers():
            self.give_up(token, paths, ())

    def take_over(self, kept: Iterable[StoredPath]) -> None:
        """Keep what dead writers have left half-written for these paths; all other writers are dead.

        So is what an older version has left, in a place of which all could know.
        """
        self._dead = self.folder.other_writers()
        tokens = {*self._dead}
        if self.folder.is_there():
            names = [name for name in os.listdir(self.folder.open()) if name.endswith(PART_SUFFIX)]
            tokens.update(filter(None, (name.removesuffix(PART_SUFFIX).partition(".")[2] for name in names)))
        for path in kept:
            self._keep_largest(path, (PLAIN, *tokens), self._old_name(path))

    def sweep(self, kept: Iterable[StoredPath]) -> int:
        """Delete all that lies in our folder but for what is kept for these paths; return how much it was."""
        names = {name_inside(path) for path in kept}
        if names:
            self.folder.need_key()
        swept = self.folder.sweep(names)
        self.folder.forget_writers()
        self._dead = ()
        return swept

    def _keep_largest(self, path: StoredPath, tokens: Iterable[str], old_name: str | None = None) -> None:
        """Give the plain name to the largest of what there is for a path, and delete the others."""
        stem, folder = self._stem(path)
        plain = (named(stem, PLAIN), folder)
        places: list[_Place] = [(named(stem, token), folder) for token in tokens]
        if old_name is not None:
            places.append((old_name, None))
        sizes: dict[_Place, int] = {}
        for place in places:
            with suppress(OSError):
                found = os.stat(place[0], dir_fd=place[1], follow_symlinks=False)
                sizes[place] = found.st_size if is_ours(found) else -1
        best = max(sizes, key=lambda place: sizes[place], default=plain)
        for place, size in sizes.items():
            if place != best or size < 0:
                unlink(*place)
        if best != plain:
            try:
                os.rename(best[0], plain[0], src_dir_fd=best[1], dst_dir_fd=plain[1])
            except OSError:
                unlink(*best)
        if sizes:
            self.folder.need_key()

    # Names and places

    def _open(self, place: _Place, flags: int) -> int:
        name, folder = place
        if folder is None:
            self.folder.tell_beside()
            return self._folders.open_in(name, flags)
        return os.open(name, flags, 0o666, dir_fd=folder)

    def _place(self, path: StoredPath, token: str) -> _Place:
        """Return the name of a half-written file, and the descriptor of our folder if it lies there."""
        stem, folder = self._stem(path)
        return named(stem, token), folder

    def _stem(self, path: StoredPath) -> _Place:
        """Return what the names of a path's half-written files begin with, and our folder if they lie there."""
        if not self._lies_beside(path):
            return stem_of(path), self.folder.open()
        return f"{os.path.dirname(f'{self._root}/{path}')}/.{stem_of(path, self.folder.key())}", None

    def _lies_beside(self, path: StoredPath) -> bool:
        area = area_of(path)
        if (known := self._is_beside.get(area)) is not None:
            return known
        place = f"{self._root}/{area}"
        # A folder that is yet to be made will inherit from the nearest existing one.
        while not os.path.exists(place):
            place = os.path.dirname(place)
        self.folder.open()  # makes it
        inside = handed_down(self.folder.path)
        with self._guard:
            return self._is_beside.setdefault(area, handed_down(place) != inside)

    def _old_name(self, path: StoredPath) -> str:
        folder, _, name = f"{self._root}/{path}".rpartition("/")
        return f"{folder}/.{name}{PART_SUFFIX}"

    def _copy(self, name: str, folder: int | None, beside: str) -> None:
        unlink(beside, None)
        with (
            open(os.open(name, _OPEN, dir_fd=folder), "rb") as source,
            open(self._folders.open_in(beside, _NEW), "wb") as target,
        ):
            try:
                self._shortcomings.copy(source.fileno(), target.fileno())
            except BaseException:
                unlink(beside, None)
                raise
