"""A run that goes on for as long as a test wants."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.fakepypi import FakePyPI, Stall
from tests.support.rig import Rig


@contextmanager
def stalled_run(rig: Rig, pypi: FakePyPI, path: str, after_bytes: int = 0) -> "Iterator[subprocess.Popen[str]]":
    """A run that waits for the rest of one file."""
    stall = Stall(after_bytes=after_bytes)
    pypi.fault(path, stall, times=None)
    process = rig.start_command("mirror", timeout="60")
    try:
        assert stall.started.wait(30)
        yield process
    finally:
        process.kill()
        process.communicate()
