"""Says on what the measuring is done, without naming the machine."""

import mmap
import os
import platform
import re
import subprocess
from pathlib import Path


def describe(work: Path) -> dict[str, str]:
    """Return what the figures depend on, and its name for the record."""
    memory_bytes = _memory_bytes("MemTotal")
    processor = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    nginx = subprocess.run(["nginx", "-v"], check=True, capture_output=True, text=True).stderr
    return {
        "processor": processor[1] if processor else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory_bytes / 1024**3:.0f} GB",
        "filesystem": _filesystem_of(work),
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "nginx": nginx.strip().rpartition("/")[2],
    }


def touch_free_memory() -> None:
    """Use most of the memory that nobody uses, once.

    A virtual machine may get memory from its host only when it is used for the first time. Whoever fills the page cache with
    it would pay for that: on one machine 3 s for each GB, which is more than all else that a run does.
    """
    free = [_memory_bytes("MemFree"), *(limit // 2 for limit in _memory_limits())]
    size = int(0.95 * min(free))
    with mmap.mmap(-1, size) as memory:
        for begin in range(0, size, mmap.PAGESIZE):
            memory[begin] = 1


def _memory_limits() -> list[int]:
    """Return the limit that a container sets, where there is one."""
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return []
    return [int(limit)] if limit.isdigit() else []


def _memory_bytes(name: str) -> int:
    found = re.search(rf"{name}: +(\d+) kB", Path("/proc/meminfo").read_text())
    assert found is not None, f"Linux tells {name}"
    return int(found[1]) * 1024


def _filesystem_of(folder: Path) -> str:
    mounted = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    around = [(point, kind) for point, kind in mounted if folder.resolve().is_relative_to(point)]
    return max(around, key=lambda mount: len(mount[0]))[1]
