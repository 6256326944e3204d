"""The processes that a test, a run in it, or a command has started."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path

from bandersnatch.storage.layout import LOCK

FOR_PROCESS = "X-For-Process"
"""The header field in which a server of the tests says for which process it passes a request on."""


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


def process_at(client_port: int, server_port: int) -> int | None:
    """Return the process at the other end of a connection on the loopback interface (proc(5)).

    That is this one or one that it has started; None is any other.
    """
    ends = f"0100007F:{client_port:04X} 0100007F:{server_port:04X} "
    lines = Path("/proc/net/tcp").read_text("ascii").splitlines() if Path("/proc/net/tcp").exists() else []
    sockets = {f"socket:[{line.split()[9]}]" for line in lines if ends in line}
    own = os.getpid()
    if not sockets or sockets.intersection(_open_files(own)):
        return own
    return next((pid for pid in children(own) if sockets.intersection(_open_files(pid))), None)


def _open_files(pid: int) -> Iterator[str]:
    with suppress(OSError):  # the process has ended
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):  # closed meanwhile
                yield os.readlink(f"/proc/{pid}/fd/{descriptor}")
