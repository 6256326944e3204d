"""Which process holds a lock, and whether it still runs, as far as we can tell from here.

A process id alone does not tell: after a kill another process may get it, and each host and container counts
separately. So the record also has the host, the boot of its kernel, the PID namespace, and the start time of the
process.
"""

import enum
import os
import re
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

_MAX_RECORD_BYTES = 4096
_START_FIELD = 19  # of the fields after the name in /proc/PID/stat
_GONE_STATES = (b"Z", b"X")
_GONE = "gone"
_OF_FILELOCK = re.compile(r"([1-9][0-9]{0,9})\n([^\n]+)\n(?:[0-9]+\n)?")


class Fate(enum.Enum):
    """What has become of a process."""

    RUNS = enum.auto()
    ENDED = enum.auto()
    UNKNOWN = enum.auto()
    """The process belongs to another host or container."""


class Holder(Struct, frozen=True):
    """A process that holds a lock."""

    pid: int
    host: str
    since: float
    machine: str = ""
    boot: str = ""
    namespace: str = ""
    start: str = ""

    @classmethod
    def of_this_process(cls) -> "Holder":
        """Return the holder that stands for this process from now on."""
        return cls(
            os.getpid(),
            socket.gethostname(),
            time.time(),
            _line_of("/etc/machine-id"),
            _line_of("/proc/sys/kernel/random/boot_id"),
            _namespace(),
            _start(os.getpid()) or "",
        )

    @classmethod
    def parse(cls, record: bytes, mtime: float) -> "Holder | None":
        """Parse a record, which may be one of filelock's own; return None if it names nobody."""
        if found := _OF_FILELOCK.fullmatch(record.decode(errors="replace")):
            return cls(int(found[1]), found[2].partition("?")[0], mtime)
        with suppress(msgspec.MsgspecError, ValueError):
            return msgspec.json.decode(record.partition(b"\n")[2], type=cls)
        return None

    def render(self) -> bytes:
        """Return the record: a line for people, and one for us."""
        return f"{self}\n".encode() + msgspec.json.encode(self) + b"\n"

    def render_ended(self) -> bytes:
        """Return the record of a holder that has released the lock: it names nobody."""
        return f"{self}, until {_moment(time.time())}\n".encode()

    def fate(self) -> Fate:
        """Return whether the process still runs."""
        here = Holder.of_this_process()
        # Two hosts may have the same name, so the machine-id must agree as well.
        if self.host != here.host or self.machine not in (here.machine, ""):
            return Fate.UNKNOWN
        if self.boot not in (here.boot, ""):  # rebooted, or another host of the same name
            is_older = self.machine and here.boot and self.since < _booted()
            # What has begun since we booted is of another machine: a copy of this one has its machine-id, too.
            return Fate.ENDED if is_older else Fate.UNKNOWN
        # In another container, the number belongs to another process.
        if self.namespace not in (here.namespace, ""):
            return Fate.UNKNOWN
        return Fate.RUNS if _runs(self.pid, self.start) else Fate.ENDED

    def __str__(self) -> str:
        # The record comes from another process, and must not break the line of a message.
        host = "".join(char if char.isprintable() and not char.isspace() else "?" for char in self.host)
        return f"process {self.pid}, since {_moment(self.since)}, on {host}"


def read_holder(path: Path) -> Holder | None:
    """Return who left a record, or None if it names nobody. It follows no link, and never blocks on a FIFO.

    Raises:
        OSError: it can't be read.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
        return Holder.parse(stream.read(_MAX_RECORD_BYTES), os.fstat(stream.fileno()).st_mtime)


def _moment(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return "an unknown time"


def _runs(pid: int, start: str) -> bool:
    now = _start(pid)
    # The pid was reused if the start times differ.
    if now == _GONE or (now is not None and start):
        return now == start
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it exists, but is another user's
        pass
    return True


def _start(pid: int) -> str | None:
    """Return when a process was started, in ticks since the boot; ``_GONE`` for a zombie, None if it is unknown."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            # The name in brackets may itself contain spaces and brackets, so cut after the last one.
            fields = stream.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if len(fields) <= _START_FIELD:
        return None
    return _GONE if fields[0] in _GONE_STATES else fields[_START_FIELD].decode(errors="replace")


def _booted() -> float:
    """Return when this machine was booted; where the system does not tell, nothing is known to have been before that."""
    try:
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    except (AttributeError, OSError):
        return float("-inf")


def _line_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.readline().strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
