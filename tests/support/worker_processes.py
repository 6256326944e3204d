"""What tests of worker processes share."""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bandersnatch.workers.link import WORKER
from tests.support.fakepypi import FakePyPI, UploadedFile
from tests.support.rig import Rig


def add_projects(pypi: FakePyPI) -> list[UploadedFile]:
    return [
        pypi.add_file(f"project-{name}", f"{number}.0", kind="wheel" if number % 2 else "sdist")
        for name in range(5)
        for number in range(1, 8)
    ]


def stored(rig: Rig, file: UploadedFile) -> Path:
    return rig.web / file.url_path[1:]


def half_written(rig: Rig) -> list[Path]:
    return list(rig.directory.rglob("*.part"))


def workers() -> list[int]:
    """Return the worker processes of a run in this process, but for those that wait to replace one."""
    children = multiprocessing.active_children()
    return [process.pid for process in children if process.pid is not None and process.name == WORKER]


def reserved(rig: Rig) -> list[Path]:
    """Return what is left of what workers have written down before they touched anything."""
    return list(rig.directory.rglob("*.reserved"))


@contextmanager
def told(rig: Rig) -> Iterator[tuple[Path, threading.Thread]]:
    """A FIFO, and the thread that ends when a worker has told through it that it waits in the middle of a file."""
    fifo = rig.folder / "told"
    os.mkfifo(fifo)
    thread = threading.Thread(target=fifo.read_bytes)
    thread.start()
    try:
        yield fifo, thread
    finally:
        os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))  # where no worker has come to it
        thread.join(30)
