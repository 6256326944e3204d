"""Says on what the measuring is done, without naming the machine."""

import os
import platform
import re
import subprocess
from pathlib import Path


def describe(work: Path) -> dict[str, str]:
    """Return what the figures depend on, and its name for the record."""
    memory = re.search(r"MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text())
    processor = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    nginx = subprocess.run(["nginx", "-v"], check=True, capture_output=True, text=True).stderr
    return {
        "processor": processor[1] if processor else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{int(memory[1]) / 1024**2:.0f} GB" if memory else "unknown",
        "filesystem": _filesystem_of(work),
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "nginx": nginx.strip().rpartition("/")[2],
    }


def _filesystem_of(folder: Path) -> str:
    mounted = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    around = [(point, kind) for point, kind in mounted if folder.resolve().is_relative_to(point)]
    return max(around, key=lambda mount: len(mount[0]))[1]
