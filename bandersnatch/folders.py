"""The folders of a mirror's directory: made when a file needs them, and deleted when the last one has gone."""

import os
import threading
from contextlib import suppress

from bandersnatch.layout import PACKAGES, SIMPLE, WEB

_TRIES = 100
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_KEPT_FOLDERS = frozenset({"", WEB, SIMPLE, PACKAGES})


class Folders:
    """The folders below ``root``. Thread-safe, also where other processes use them."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._guard = threading.Lock()

    def open_new(self, file: str) -> int:
        """Return a descriptor of a new file; its folder is only made where that fails, which saves a call for most files."""
        with suppress(FileNotFoundError):
            return os.open(file, _NEW_FILE, 0o666)
        with self._guard:  # no other thread deletes the folder, empty as it is, before it is used
            for _ in range(_TRIES):  # another process may
                with suppress(FileNotFoundError):
                    make_folder(file.rpartition("/")[0])
                    return os.open(file, _NEW_FILE, 0o666)
            return os.open(file, _NEW_FILE, 0o666)

    def delete_empty(self, path: str) -> None:
        """Delete the folders around a path below the root, from the lowest up, as far as they are empty."""
        folder = os.path.dirname(path)
        with self._guard:
            while folder not in _KEPT_FOLDERS:
                try:
                    os.rmdir(f"{self._root}/{folder}")
                except FileNotFoundError:
                    pass  # a run that was killed may have got this far
                except OSError:
                    return  # not empty, most of the time; or a link that an operator made
                folder = os.path.dirname(folder)


def make_folder(folder: str) -> None:
    """Make a folder, and those above it that are missing, of which there are few: so the lowest is tried first."""
    try:
        os.mkdir(folder)
    except FileExistsError:
        pass
    except FileNotFoundError:
        if not (above := folder.rpartition("/")[0]):
            raise
        make_folder(above)
        with suppress(FileExistsError):
            os.mkdir(folder)
