"""Keeps runs apart on filesystems without file locks: each run leaves a file that names it, and looks for those of others.

A claim has a name that is never used again, and appears whole, by one rename. Whoever has left one holds the directory if he
then sees no other claim of a process that may still run. Of two runs at the same time each sees the other's, or one of them
does; so both never hold it. A claim of a process that has ended can be deleted by anyone: nothing new takes its name. For
this, nothing is needed but that a file which was made is seen; filelock's own soft locks need a rename that exchanges two
files as well, to get rid of what a killed process has left (docs/decisions/0002-locks-without-flock.md).
"""

import os
import random
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bandersnatch.errors import LockHeldError
from bandersnatch.storage.layout import LOCK
from bandersnatch.storage.lock_holder import Fate, Holder, read_holder

_CLAIM = re.compile(re.escape(LOCK) + r"\.[0-9a-f]{32}")
_UNFINISHED = ".new"
_TRIES = 5
_LONGEST_WAIT_SECONDS = 0.2
_YOUNG_SECONDS = 5.0
"""One that is there for longer has not begun just now, and is not waited for."""


@contextmanager
def claim(directory: Path) -> Iterator[None]:
    """Hold a directory by a claim.

    Raises:
        LockHeldError: another process holds it, or may do so.
        OSError: the claim can't be written.
    """
    ours = _try_often(directory)
    try:
        _delete_unfinished(directory)
        yield
    finally:
        _unlink(ours)


def _try_often(directory: Path) -> Path:
    """Get a hold; of two that have begun at the same time, and have seen each other, one shall do so."""
    for _ in range(_TRIES - 1):
        try:
            return _try(directory)
        except LockHeldError as error:
            if error.held_seconds > _YOUNG_SECONDS:
                raise
        time.sleep(random.random() * _LONGEST_WAIT_SECONDS)  # noqa: S311 - nobody gains by guessing it
    return _try(directory)


def _try(directory: Path) -> Path:
    ours = _leave_claim(directory)
    try:
        refuse_others(directory, ours)
    except BaseException:
        _unlink(ours)
        raise
    return ours


def refuse_others(directory: Path, ours: Path | None = None) -> None:
    """See to it that nobody else has left a claim; those of processes that have ended are deleted.

    Raises:
        LockHeldError: somebody has, who still runs, or may do so.
    """
    for name in os.listdir(directory):
        path = directory / name
        if _CLAIM.fullmatch(name) and path != ours:
            refuse_living(path)
            _unlink(path)


def refuse_living(path: Path) -> None:
    """See to it that a record of a holder names nobody who still runs.

    Raises:
        LockHeldError: it names one that does, or that may do so.
    """
    try:
        holder = read_holder(path)
    except PermissionError as error:
        raise LockHeldError(str(path), "another user's, that can't be read") from error
    except OSError:
        return  # it is gone, or nothing that we write
    if holder is None:
        return
    match holder.fate():
        case Fate.RUNS:
            raise LockHeldError(str(path), str(holder), time.time() - holder.since)
        case Fate.UNKNOWN:
            told = f"{holder}, where alone it can be seen whether it still runs"
            raise LockHeldError(str(path), told, time.time() - holder.since, f"if it has ended: delete {path}")
        case Fate.ENDED:
            return


def _leave_claim(directory: Path) -> Path:
    path = directory / f"{LOCK}.{secrets.token_hex(16)}"
    unfinished = f"{path}{_UNFINISHED}"
    try:
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "wb") as stream:
            stream.write(Holder.of_this_process().render())
            stream.flush()
            with suppress(OSError):  # without it, a power cut may leave an empty claim, which nobody has made
                os.fsync(stream.fileno())
        os.rename(unfinished, path)
    except FileNotFoundError as error:
        raise LockHeldError(str(path), "") from error  # one that has got a hold meanwhile has cleaned up
    except BaseException:
        _unlink(Path(unfinished))
        raise
    return path


def _delete_unfinished(directory: Path) -> None:
    """Delete what runs have left that were killed while they wrote a claim; one that writes now is too late anyway."""
    for name in os.listdir(directory):
        if name.endswith(_UNFINISHED) and _CLAIM.fullmatch(name.removesuffix(_UNFINISHED)):
            _unlink(directory / name)


def _unlink(path: Path) -> None:
    with suppress(OSError):
        os.unlink(path)
