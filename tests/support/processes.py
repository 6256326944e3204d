"""The processes that a test, a run in it, or a command has started."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import wait
from pathlib import Path

from bandersnatch.storage.layout import LOCK


def children(parent: int) -> list[int]:
    """Return the processes that a process has started, and that have not ended (proc_pid_stat(5))."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            content = path.read_text()
        except OSError:  # it has ended meanwhile
            continue
        state, its_parent = content.rpartition(")")[2].split()[:2]
        if int(its_parent) == parent and state != "Z":
            pids.append(int(path.parent.name))
    return pids


@contextmanager
def awaited_end(pids: list[int]) -> Iterator[None]:
    """Wait, at the end of the block, for the end of processes that run now."""
    with ExitStack() as stack:
        descriptors = [os.pidfd_open(pid) for pid in pids]
        for descriptor in descriptors:
            stack.callback(os.close, descriptor)
        yield
        for descriptor in descriptors:
            assert wait([descriptor], 30), "a process has not ended"


def await_free_lock(directory: Path) -> None:
    """Wait for the end of the last process that holds a mirror's lock: workers have it, too, and may outlive their run."""
    with (directory / LOCK).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
