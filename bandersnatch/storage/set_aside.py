"""Renames whatever has the name of a record of ours, but can't be one.

Reading a FIFO would block for ever, a folder can't be replaced by a file, and SQLite would write through a link.
"""

import errno
import logging
import os
import stat
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from bandersnatch.errors import StorageError
from bandersnatch.storage.layout import INVENTORY, LAST_MODIFIED, RECORDS, UNLISTED

DATABASE_SUFFIXES = ("", "-wal", "-shm", "-journal")
"""The suffixes of the files that SQLite opens for one database."""

logger = logging.getLogger(__name__)


def set_aside_others(directory: Path) -> None:
    """Rename all such things in a mirror whose lock we hold.

    Raises:
        StorageError: the disk refused.
    """
    for path in (directory / name for name in (*RECORDS, LAST_MODIFIED)):
        _set_aside(path, may_be_link=True)
    for path in (directory / f"{name}{suffix}" for name in (INVENTORY, UNLISTED) for suffix in DATABASE_SUFFIXES):
        _set_aside(path, may_be_link=False)


def is_other_kind(path: Path, *, may_be_link: bool = False) -> bool:
    """Whether something other than a plain file is there; what is missing or can't be looked at does not count.

    A link may lead to a plain file, or to one that is yet to be made.
    """
    try:
        mode = path.lstat().st_mode
        if may_be_link and stat.S_ISLNK(mode):
            mode = path.stat().st_mode
    except OSError as error:
        return error.errno == errno.ELOOP
    return not stat.S_ISREG(mode)


def _set_aside(path: Path, *, may_be_link: bool) -> None:
    if not is_other_kind(path, may_be_link=may_be_link):
        return
    new = next(each for each in _names_beside(path) if not os.path.lexists(each))
    try:
        path.rename(new)
    except OSError as error:
        raise StorageError(str(path), "rename what is not a plain file", error) from error
    logger.warning("%s was not a plain file; it was renamed to %s, and a new one is made", path, new.name)


def _names_beside(path: Path) -> Iterator[Path]:
    return (path.with_name(f"{path.name}.set-aside{number or ''}") for number in count())
