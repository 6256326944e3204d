"""Starts a command, waits for it, and tells what it took: ``python -I -S launch.py COMMAND ...``.

It is a process of its own and imports little, because the kernel counts the memory of the process that starts a command as
the command's, until the command's own program begins. On standard output it writes a line with the number of
the command's process (which is that of its group, too), and after the command's end a line of JSON. The command's output
goes to standard error.
"""

import json
import os
import subprocess
import sys
import threading
import time

SAMPLE_SECONDS = 0.1


def children_of(pid: int) -> list[int]:
    """Return the processes that a process started, and those that they started."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as listed:
                found += map(int, listed.read().split())
    except OSError:  # it has ended
        return found
    return found + [further for child in found for further in children_of(child)]


def proportional_bytes(pid: int) -> int:
    """Return a process's memory, where what it shares with others counts in parts."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


class Sampler(threading.Thread):
    """Watches the memory of a command that has several processes; of a single one the kernel tells the peak."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._ended = pid, threading.Event()
        self.peak_bytes = 0

    def run(self) -> None:
        """Look, until told to end."""
        while not self._ended.wait(SAMPLE_SECONDS):
            children = children_of(self._pid)
            if children:
                total = sum(map(proportional_bytes, [self._pid, *children]))
                self.peak_bytes = max(self.peak_bytes, total)

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()
        self.join()


def main(command: list[str]) -> None:
    """Run the command and tell what it took."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
    print(process.pid, flush=True)
    sampler = Sampler(process.pid)
    sampler.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    sampler.end()
    taken = {
        "status": process.returncode,
        "wall_seconds": wall,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": max(usage.ru_maxrss * 1024, sampler.peak_bytes),
    }
    print(json.dumps(taken), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
