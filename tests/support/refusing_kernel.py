"""A kernel that refuses system calls as it is told, as filesystems do that lack something, are full, or break.

A command is started with a filter (seccomp) that has this process asked about some system calls before they happen, in the
command and in all of its workers. So what is tried is the whole command, and no part of it knows of the test.
"""

import array
import ctypes
import errno
import fcntl
import os
import platform
import select
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

# x86_64, aarch64; -1 where there is none.
NUMBERS = {
    "chmod": (90, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fcntl": (72, 25),
    "fdatasync": (75, 83),
    "flock": (73, 32),
    "fsync": (74, 82),
    "linkat": (265, 37),
    "link": (86, -1),
    "mkdir": (83, -1),
    "mkdirat": (258, 34),
    "mmap": (9, 222),
    "newfstatat": (262, 79),
    "openat": (257, 56),
    "pwrite64": (18, 68),
    "rename": (82, -1),
    "renameat": (264, 38),
    "symlink": (88, -1),
    "symlinkat": (266, 36),
    "syncfs": (306, 267),
    "utimensat": (280, 88),
    "write": (1, 64),
}
_MACHINES = {"x86_64": (0, 317), "aarch64": (1, 277)}
_NAMED_BY_PATH = {"chmod": 0, "link": 1, "mkdir": 0, "rename": 1, "symlink": 1}
"""Calls that name a file by a path alone, which is that argument."""
_NAMED_IN_FOLDER = {
    "fchmodat": 0,
    "linkat": 2,
    "mkdirat": 0,
    "newfstatat": 0,
    "openat": 0,
    "renameat": 2,
    "symlinkat": 1,
    "utimensat": 0,
}
"""Calls that name a file by a folder's descriptor, which is that argument, and a path, which is the next one."""
_NAMED_BY_DESCRIPTOR = {"mmap": 4}
"""Calls that name a file by its descriptor, which is that argument, and not the first one."""

_NO_NEW_PRIVILEGES, _SET_FILTER, _NEW_LISTENER = 38, 1, 8
_LOAD_NUMBER, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ASK, _ALLOW = 0x7FC00000, 0x7FFF0000
_RECEIVE, _SEND, _CONTINUE = 0xC0502100, 0xC0182101, 1
_QUESTION, _ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")


class Call(NamedTuple):
    """A system call that a process wants to make."""

    name: str
    path: str
    """The file that it is about, as far as that can be told."""


class Refusal(NamedTuple):
    """What is refused: calls of that name, with that error, where ``when`` says so."""

    name: str
    code: int
    when: Callable[[Call], bool] = lambda _: True


class RefusingKernel:
    """Starts commands whose system calls are refused; ``refused`` has what was."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self._refusals = refusals
        self._threads: list[threading.Thread] = []
        self.refused: list[Call] = []

    def start(self, command: Sequence[str], *, stdin: int | None = None) -> "subprocess.Popen[str]":
        """Start a command of Python's, ``[sys.executable, ...]``."""
        ours, theirs = socket.socketpair()
        names = ",".join({refusal.name for refusal in self._refusals})
        wrapped = [sys.executable, "-m", "tests.support.refusing_kernel", str(theirs.fileno()), names, *command]
        with ours:
            with theirs:
                process = subprocess.Popen(
                    wrapped,
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    pass_fds=[theirs.fileno()],
                )
            data, descriptors, *_ = socket.recv_fds(ours, 1, 1)
        if not data:
            process.communicate()
            pytest.skip("this system has no filters of system calls that ask another process")
        thread = threading.Thread(target=self._answer, args=(descriptors[0],), daemon=True)
        thread.start()
        self._threads.append(thread)
        return process

    def run(self, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        with self.start(command) as process:
            stdout, stderr = process.communicate(timeout=60)
            return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def wait(self) -> None:
        """Wait until all processes have ended."""
        for thread in self._threads:
            thread.join(timeout=30)

    def _answer(self, listener: int) -> None:
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        try:
            while all(event & select.POLLIN for _, event in poll.poll()):
                question = bytearray(_QUESTION.size)
                with suppress(OSError):  # whoever asked has ended
                    fcntl.ioctl(listener, _RECEIVE, question)
                    identity, pid, _, number, _, _, *arguments = _QUESTION.unpack(question)
                    code = self._decide(_call(pid, number, arguments))
                    fcntl.ioctl(listener, _SEND, _ANSWER.pack(identity, 0, -code, 0 if code else _CONTINUE))
        finally:
            os.close(listener)

    def _decide(self, call: Call) -> int:
        for refusal in self._refusals:
            if refusal.name == call.name and refusal.when(call):
                self.refused.append(call)
                return refusal.code
        return 0


@contextmanager
def refusing_kernel(*refusals: Refusal) -> Iterator[RefusingKernel]:
    """Have a kernel that refuses."""
    if platform.machine() not in _MACHINES or sys.platform != "linux":
        pytest.skip("the numbers of the system calls are known for Linux on x86_64 and aarch64 only")
    kernel = RefusingKernel(refusals)
    yield kernel
    kernel.wait()


def is_folder(call: Call) -> bool:
    """Whether a call is about a folder."""
    return Path(call.path).is_dir()


def _call(pid: int, number: int, arguments: Sequence[int]) -> Call:
    name = next(name for name, numbers in NUMBERS.items() if number == numbers[_MACHINES[platform.machine()][0]])
    if name in _NAMED_BY_PATH:
        return Call(name, _text(pid, arguments[_NAMED_BY_PATH[name]]))
    folder = arguments[_NAMED_IN_FOLDER.get(name, _NAMED_BY_DESCRIPTOR.get(name, 0))]
    path = _text(pid, arguments[_NAMED_IN_FOLDER[name] + 1]) if name in _NAMED_IN_FOLDER else ""
    link = "cwd" if ctypes.c_int(folder).value < 0 else f"fd/{ctypes.c_int(folder).value}"
    return Call(name, os.path.join(os.readlink(f"/proc/{pid}/{link}"), path).rstrip("/"))


def _text(pid: int, address: int) -> str:
    if address == 0:
        return ""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        data = b""
        with suppress(OSError):  # it ends with the page
            while b"\0" not in data:
                data += memory.read(256 - (address + len(data)) % 256)
    return os.fsdecode(data.partition(b"\0")[0])


def _begin(channel: int, names: Sequence[str], command: Sequence[str]) -> None:
    """Have this process's system calls asked about, and become the command."""
    column, number_of_seccomp = _MACHINES[platform.machine()]
    numbers = [NUMBERS[name][column] for name in names if NUMBERS[name][column] >= 0]
    steps = [(_LOAD_NUMBER, 0, 0, 0)]
    steps += [(_JUMP_IF_EQUAL, len(numbers) - place, 0, number) for place, number in enumerate(numbers)]
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ASK)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    with socket.socket(fileno=channel) as ours:
        listener = libc.syscall(number_of_seccomp, _SET_FILTER, _NEW_LISTENER, program)
        if listener < 0:
            sys.exit(f"no filter: {errno.errorcode[ctypes.get_errno()]}")
        ours.sendmsg([b"1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))])
    os.close(listener)
    os.execv(command[0], list(command))


if __name__ == "__main__":
    _begin(int(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:])
