"""Keeps runs apart on filesystems without file locks: each run leaves a file that names it, and looks for those of
others.

A claim has a unique name, and appears whole, by one rename. A run that has left its claim holds the directory if it
then sees no other claim of a process that may still run. Of two runs at the same time, at least one sees the other's
claim; so they never both hold it. Anyone may delete the claim of a process that has ended, because its name is never
used again. This needs nothing of the filesystem but that new files become visible; filelock's own soft locks also need
a rename that exchanges two files, to clean up after a killed process (docs/decisions/0002-locks-without-flock.md).
"""

import os
import random
import re
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
"""A claim older than this did not start at the same time as ours, so we do not retry."""


@contextmanager
def claim(directory: Path) -> Iterator[None]:
    """Hold a directory by a claim.

    Raises:
        LockHeldError: another process holds it, or may hold it.
        OSError: the claim can't be written.
    """
    ours = _try_often(directory)
    try:
        _delete_unfinished(directory)
        yield
    finally:
        _unlink(ours)


def _try_often(directory: Path) -> Path:
    """Try several times: of two runs that started together and saw each other, one should get the directory."""
    for _ in range(_TRIES - 1):
        try:
            return _try(directory)
        except LockHeldError as error:
            if error.held_seconds > _YOUNG_SECONDS:
                raise
        time.sleep(random.random() * _LONGEST_WAIT_SECONDS)  # noqa: S311 - not for security
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
    """Check that nobody else has left a claim; delete those of processes that have ended.

    Raises:
        LockHeldError: a claim belongs to a process that runs, or may run.
    """
    for name in os.listdir(directory):
        path = directory / name
        if _CLAIM.fullmatch(name) and path != ours:
            refuse_living(path)
            _unlink(path)


def refuse_living(path: Path) -> None:
    """Check that the process named in a record no longer runs.

    Raises:
        LockHeldError: it runs, or may run.
    """
    try:
        holder = read_holder(path)
    except PermissionError as error:
        raise LockHeldError(str(path), "another user's, that can't be read") from error
    except OSError:
        return  # it has gone, or is nothing that we wrote
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
    path = directory / f"{LOCK}.{os.urandom(16).hex()}"
    unfinished = f"{path}{_UNFINISHED}"
    try:
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "wb") as stream:
            stream.write(Holder.of_this_process().render())
            stream.flush()
            with suppress(OSError):  # not vital: after a power cut an empty claim is ignored
                os.fsync(stream.fileno())
        os.rename(unfinished, path)
    except FileNotFoundError as error:
        raise LockHeldError(str(path), "") from error  # the run that got the directory has cleaned up
    except BaseException:
        _unlink(Path(unfinished))
        raise
    return path


def _delete_unfinished(directory: Path) -> None:
    """Delete what runs left that were killed while writing a claim; a run that is writing one now is too late anyway."""
    for name in os.listdir(directory):
        if name.endswith(_UNFINISHED) and _CLAIM.fullmatch(name.removesuffix(_UNFINISHED)):
            _unlink(directory / name)


def _unlink(path: Path) -> None:
    with suppress(OSError):
        os.unlink(path)
