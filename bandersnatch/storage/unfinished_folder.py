"""The folder of half-written files as one process of a run has it open: its key, its writers, and small records.

Each process writes under a *token* of its own, which stands in the names of what it writes, so that two of them that
believe they own one file never write into one inode. A worker is *admitted* by a file ``<token>.writer`` before it
writes; without that file it puts nothing in place any more. So a worker that was given up, and comes back, harms nothing.
"""

import errno
import os
import shutil
import threading
import weakref
from contextlib import suppress

from bandersnatch.errors import InterruptedRunError, StorageError
from bandersnatch.storage.private_folder import is_ours, open_private_folder, unlink

UNFINISHED_FOLDER = ".unfinished"
_KEY = "key"
_KEY_BYTES = 32
_TOKEN_BYTES = 8
_WRITER, _GONE, _RECORD = ".writer", ".gone", ".reserved"
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class UnfinishedFolder:
    """The folder in ``root``, for the writer of one token. Thread-safe."""

    def __init__(self, root: str, token: str | None = None) -> None:
        self._root, self.path = root, f"{root}/{UNFINISHED_FOLDER}"
        self.token = token or os.urandom(_TOKEN_BYTES).hex()
        self._is_guest = self._is_checked = False
        self._guard = threading.Lock()
        self._opened: int | None = None
        self._has_told_beside = self._is_key_needed = False

    def guest(self, token: str) -> "UnfinishedFolder":
        """Return the folder for another process of the same run, which was admitted, and finds it as we have left it.

        It must not be emptied as what others could have written to: a filesystem without modes always shows it as open to
        all, and we write there at the same time.
        """
        guest = UnfinishedFolder(self._root, token)
        guest._is_guest, guest._is_checked = True, self._opened is not None
        return guest

    def is_there(self) -> bool:
        """Whether there is anything in the folder's place."""
        return os.path.lexists(self.path)

    def open(self) -> int:
        """Return the descriptor of the folder, which is made where it is missing."""
        if (opened := self._opened) is not None:  # without the lock, which would double the time of this
            return opened
        with self._guard:
            if self._opened is None:
                self._opened = open_private_folder(self._root, UNFINISHED_FOLDER, is_checked=self._is_checked)
                self._closing = weakref.finalize(self, os.close, self._opened)
            return self._opened

    def forget(self) -> None:
        """Open the folder anew at the next call: somebody has deleted it."""
        with self._guard:
            if self._opened is not None:
                self._closing()
            self._opened = None

    # Writers

    def admit(self) -> str:
        """Return a token for another process of this run. Where it can't be admitted, it puts nothing in place."""
        token = os.urandom(_TOKEN_BYTES).hex()
        with suppress(OSError, StorageError):
            os.close(os.open(f"{token}{_WRITER}", _NEW, 0o600, dir_fd=self.open()))
        return token

    def check_admitted(self) -> None:
        """Check that nobody has given us up.

        Raises:
            InterruptedRunError: somebody has.
        """
        if not self._is_guest:
            return
        try:
            os.stat(f"{self.token}{_WRITER}", dir_fd=self.open(), follow_symlinks=False)
        except OSError as error:
            raise InterruptedRunError from error

    def tell_beside(self) -> None:
        """Record, so that it survives a power cut, that we write files beside their places.

        Only who knows our token finds them again. The main process is admitted by this, too.

        Raises:
            InterruptedRunError: we were given up.
        """
        if self._has_told_beside:
            return
        flags = _OPEN if self._is_guest else _OPEN | os.O_CREAT
        folder = self.open()
        try:
            descriptor = os.open(f"{self.token}{_WRITER}", flags, 0o600, dir_fd=folder)
        except FileNotFoundError as error:
            raise InterruptedRunError from error
        with open(descriptor, "wb") as stream:
            stream.write(b"beside\n")
            stream.flush()
            with suppress(OSError):  # a filesystem that can't flush these has less to lose them by
                os.fsync(descriptor)
                os.fsync(folder)
        self._has_told_beside = True

    def dismiss(self, token: str) -> None:
        """Let a writer put nothing in place any more; its token stays known if it has written beside the places of files."""
        folder = self.open()
        with suppress(OSError):
            os.rename(f"{token}{_WRITER}", f"{token}{_GONE}", src_dir_fd=folder, dst_dir_fd=folder)
        self._forget_if_unneeded(f"{token}{_GONE}")

    def other_writers(self) -> list[str]:
        """Return the tokens of all other writers, of this run and of dead ones."""
        if not self.is_there():
            return []
        tokens = {name.partition(".")[0] for name in os.listdir(self.open()) if name.endswith((_WRITER, _GONE))}
        return sorted(tokens - {self.token})

    def forget_writers(self) -> None:
        """Forget all other writers; nothing of theirs is left."""
        for token in self.other_writers():
            for suffix in (_WRITER, _GONE):
                unlink(f"{token}{suffix}", self.open())

    def _forget_if_unneeded(self, name: str) -> None:
        folder = self.open()
        with suppress(OSError):
            if os.stat(name, dir_fd=folder, follow_symlinks=False).st_size == 0:
                os.unlink(name, dir_fd=folder)

    # The key, and the end

    def key(self) -> bytes:
        """Return what makes names that nobody else can know."""
        folder = self.open()
        with self._guard:
            for _ in range(2):
                with suppress(FileNotFoundError):  # then it must not be deleted: another process may be making it
                    if key := _read_key(folder):
                        return key
                    if not unlink(_KEY, folder):
                        shutil.rmtree(_KEY, ignore_errors=True, dir_fd=folder)
                # By a rename, so that a worker never meets a key of which a part is written.
                name = os.urandom(16).hex()
                with open(os.open(name, _NEW, 0o600, dir_fd=folder), "wb") as stream:
                    stream.write(os.urandom(_KEY_BYTES))
                try:
                    os.link(name, _KEY, src_dir_fd=folder, dst_dir_fd=folder)
                except FileExistsError:
                    pass
                except OSError:  # no hard links; then of two processes at once the later one's key is that of both
                    os.rename(name, _KEY, src_dir_fd=folder, dst_dir_fd=folder)
                unlink(name, folder)
        raise PermissionError(errno.EACCES, "the key of the names can't be kept")

    def need_key(self) -> None:
        """Know that something half-written stays behind for another run, and with it the key."""
        self._is_key_needed = True

    def sweep(self, kept: set[str]) -> int:
        """Delete all but these names, the key, our records, and what tells of writers; return how much it was."""
        if not self.is_there():
            return 0
        folder = self.open()
        names = (name for name in os.listdir(folder) if name not in kept and name != _KEY)
        return sum(unlink(name, folder) for name in names if not name.endswith((_WRITER, _GONE, _RECORD)))

    def tidy(self) -> None:
        """Delete what nobody needs any more: as a guest our own token, else all of the folder that no other run needs."""
        if not self.is_there():
            return
        if self._is_guest:
            self._end_guest()
            return
        unlink(f"{self.path}/{self.token}{_WRITER}", None)  # what we keep has no token
        self._has_told_beside = False
        with suppress(OSError, StorageError):
            for token in self.other_writers():
                self.dismiss(token)
            self._is_key_needed |= bool(self.other_writers())  # killed, or with something that can be resumed
        if not self._is_key_needed:
            unlink(f"{self.path}/{_KEY}", None)
        with suppress(OSError):
            os.rmdir(self.path)

    def _end_guest(self) -> None:
        if not (self._has_told_beside and self._is_key_needed):
            unlink(f"{self.path}/{self.token}{_WRITER}", None)

    # Records of ours, each in a file of its own

    def new_record(self, name: str) -> int:
        """Return the descriptor of a new record, to which lines are appended."""
        return os.open(f"{name}{_RECORD}", _NEW | os.O_APPEND, 0o600, dir_fd=self.open())

    def open_record(self, name: str) -> int:
        """Return the descriptor of a record for reading, if it is a file that only we can have made.

        Raises:
            OSError: it is none, or can't be read.
        """
        folder = self.open()
        descriptor = os.open(f"{name}{_RECORD}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        if not is_ours(os.fstat(descriptor)):
            os.close(descriptor)
            raise PermissionError(errno.EACCES, "others may have written it")
        return descriptor

    def record_size(self, name: str) -> int:
        """Return the size of a record in bytes, 0 where it can't be had."""
        with suppress(OSError, StorageError):
            return os.stat(f"{name}{_RECORD}", dir_fd=self.open(), follow_symlinks=False).st_size
        return 0

    def records(self) -> list[str]:
        """Return the names of all records, without looking whether anybody else has made them; nothing is changed."""
        names: list[str] = []
        with suppress(OSError):
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                with os.scandir(folder) as entries:
                    names = [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
            finally:
                os.close(folder)
        return sorted(name.removesuffix(_RECORD) for name in names if name.endswith(_RECORD))

    def path_of(self, name: str) -> str:
        """Return where a record lies, for messages."""
        return f"{self.path}/{name}{_RECORD}"

    def delete_record(self, name: str) -> bool:
        """Delete a record; return whether that was done."""
        return unlink(f"{name}{_RECORD}", self.open())


def _read_key(folder: int) -> bytes:
    """Return the key, or nothing if what has its name is none: a link, a folder, or cut short."""
    try:
        descriptor = os.open(_KEY, _OPEN, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError:
        return b""
    with open(descriptor, "rb") as stream:
        key = stream.read(_KEY_BYTES) if is_ours(os.fstat(descriptor)) else b""
    return key if len(key) == _KEY_BYTES else b""
