"""Runs that are killed on the way, and storages that do something at a point of the work on a file."""

import enum
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bandersnatch.storage import filesystem
from bandersnatch.storage.file_writer import FileWriter, Partial
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import PACKAGES, StoredPath, is_metadata
from bandersnatch.storage.unfinished_folder import UNFINISHED_FOLDER
from tests.support.processes import await_free_lock
from tests.support.rig import Rig


class Point(enum.Enum):
    """Where the work on a file is."""

    ARRIVED = "a piece of it is written"
    WRITTEN = "it is written to its end, before its rename"
    PUBLISHED = "behind its rename"
    DELETING = "before its deletion"
    DELETED = "behind its deletion"


Act = Callable[[Point, StoredPath], None]


class _ToldWriter(FileWriter):
    """The same file, which tells of each piece that is written."""

    def __init__(self, writer: FileWriter, tell: Callable[[], None]) -> None:
        self.__dict__ = writer.__dict__  # one state
        self._tell = tell

    def write(self, data: bytes | memoryview) -> None:
        super().write(data)
        self._tell()


def acting_storage(act: Act) -> type[FilesystemStorage]:
    """Return a storage that calls ``act`` at each point of the work on each file."""

    class Acting(FilesystemStorage):
        @contextmanager
        def write(
            self, path: StoredPath, mtime: float | None = None, partial: Partial | None = None
        ) -> Iterator[FileWriter]:
            with super().write(path, mtime, partial) as writer:
                yield _ToldWriter(writer, lambda: act(Point.ARRIVED, path))
                act(Point.WRITTEN, path)
            act(Point.PUBLISHED, path)

        def delete(self, path: StoredPath) -> bool:
            act(Point.DELETING, path)
            is_deleted = super().delete(path)
            act(Point.DELETED, path)
            return is_deleted

    return Acting


def kill_run() -> None:
    """Kill the process group, which is one of its own in ``run_apart``."""
    os.killpg(0, signal.SIGKILL)


def killed_at(point: Point, is_meant: Callable[[StoredPath], bool]) -> type[FilesystemStorage]:
    """Return a storage with which the run is killed at a point of the work on such a file."""

    def kill(reached: Point, path: StoredPath) -> None:
        if reached is point and is_meant(path):
            kill_run()

    return acting_storage(kill)


def killed_after(changes: int) -> type[FilesystemStorage]:
    """Return a storage with which the run is killed when it has written or deleted so many files."""
    left = changes

    def count(point: Point, _path: StoredPath) -> None:
        nonlocal left
        left -= point in (Point.PUBLISHED, Point.DELETED)
        if left == 0:
            kill_run()

    return acting_storage(count)


def is_file(path: StoredPath) -> bool:
    """Whether it is the path of a distribution file."""
    return path.startswith(f"{PACKAGES}/") and not is_metadata(path)


def arrived_bytes(rig: Rig) -> int:
    """Return the size of the largest half-written file; any of them may go at this moment."""
    sizes = [0]
    for part in (rig.directory / UNFINISHED_FOLDER).glob("*.part"):
        with suppress(FileNotFoundError):
            sizes.append(part.stat().st_size)
    return max(sizes)


def run_apart(
    rig: Rig, storage: Callable[[Path], FilesystemStorage], run: Callable[[], object] | None = None
) -> int | None:
    """Run the mirror, or what ``run`` does, in a process group of its own, and return its exit code."""

    def begin() -> None:
        os.setsid()
        rig.make_storage = storage
        filesystem.FilesystemStorage = storage  # type: ignore[assignment,misc]  # the command has no door for it
        (run or rig.run)()

    process = multiprocessing.get_context("fork").Process(target=begin)
    process.start()
    process.join()
    return process.exitcode


def run_until_killed(
    rig: Rig, storage: Callable[[Path], FilesystemStorage], run: Callable[[], object] | None = None
) -> None:
    """Do that with a storage that kills it, and wait until its workers have ended, too."""
    assert run_apart(rig, storage, run) == -signal.SIGKILL
    await_free_lock(rig.directory)
