"""The folders of the mirror's directory: made when a file needs them, deleted when their last file has gone."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from bandersnatch.storage.layout import PACKAGES, SIMPLE, WEB

_TRIES = 100
_Result = TypeVar("_Result")
_KEPT_FOLDERS = frozenset({"", WEB, SIMPLE, PACKAGES})


class Folders:
    """The folders below ``root``. Thread-safe, even if other processes use them."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._guard = threading.Lock()
        self._last_made = ""
        """The folder that was missing when the last file that needed another one was put in place; empty if none was."""

    def open_in(self, file: str, flags: int) -> int:
        """Open a file and return its descriptor; its folder is made only if that fails, to save a call for most files."""
        return self._with_folder(file, lambda: os.open(file, flags, 0o666))

    def rename_into(self, name: str, target: str, source: int | None) -> None:
        """Rename a file from the folder ``source`` is open on; the target's folder is made if it is missing."""
        self._with_folder(target, lambda: os.replace(name, target, src_dir_fd=source))

    def _with_folder(self, file: str, act: Callable[[], _Result]) -> _Result:
        folder = file.rpartition("/")[0]
        # In a new mirror, each file needs a new folder; then it saves a call to make it first.
        if self._last_made not in ("", folder):
            with self._guard, suppress(OSError):  # if it fails, the error comes again below
                self._make(folder)
                return act()
        with suppress(FileNotFoundError):
            return act()
        with self._guard:  # no other thread may delete the empty folder before it is used
            for _ in range(_TRIES):  # but another process may
                with suppress(FileNotFoundError):
                    self._make(folder)
                    return act()
            return act()

    def _make(self, folder: str) -> None:
        self._last_made = folder if make_folder(folder) else ""

    def delete_empty(self, path: str) -> None:
        """Delete the folders above a path, from the lowest up, as far as they are empty; the root's own folders stay."""
        folder = os.path.dirname(path)
        with self._guard:
            while folder not in _KEPT_FOLDERS:
                try:
                    os.rmdir(f"{self._root}/{folder}")
                except FileNotFoundError:
                    pass  # a killed run may have got this far
                except OSError:
                    return  # usually not empty; or a link made by an operator
                folder = os.path.dirname(folder)


def make_folder(folder: str) -> bool:
    """Make a folder and its missing parents, which few are, so the lowest is tried first; return whether it was missing."""
    missing: list[str] = []
    while True:
        try:
            os.mkdir(folder)
            break
        except FileExistsError:
            if not missing:
                return False
            break
        except FileNotFoundError:
            above = folder.rpartition("/")[0]
            if not above:
                raise
            missing.append(folder)
            folder = above
    for each in reversed(missing):
        with suppress(FileExistsError):
            os.mkdir(each)
    return True
