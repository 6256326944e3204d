"""What a run works with, and at which pace."""

import time
from collections.abc import Callable

from msgspec import Struct

from bandersnatch.progress import Progress
from bandersnatch.stop import StopFlag
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.upstream.index import Upstream

_LOOK_SECONDS = 0.01


class Pace(Struct, frozen=True):
    """The times and numbers of a run that have no option."""

    projects_for_processes: int = 500
    """For fewer projects, to start worker processes costs more than they bring, ..."""
    new_projects_for_processes: int = 16
    """... but where so many have nothing here yet, all their files have to come, and these may be large."""
    stale_delays_seconds: tuple[float, ...] = (1.0, 2.0, 4.0)
    """Caches of PyPI are purged within seconds of a change."""
    checkpoint_seconds: float = 10.0
    checkpoint_share: float = 0.05
    """Checkpoints may take this part of the time, which for a long todo list makes them rarer."""
    unwind_seconds: float = 1.0
    """How long the workers may take to end when the run is asked to stop."""
    clock: Callable[[], float] = time.monotonic
    """By what a budget is measured."""
    wall_clock: Callable[[], float] = time.time
    """By what it is told which projects were longest not looked at."""


class Equipment(Struct, frozen=True):
    """What a run works with: the index, the disk, the display, the flag that stops it."""

    upstream: Upstream
    storage: FilesystemStorage
    progress: Progress
    stop: StopFlag

    def unwind(self, seconds: float) -> None:
        """End the workers after an error, and leave nothing half-written; they have so many seconds to end by themselves."""
        self.stop.set()
        end = time.monotonic() + seconds
        while self.storage.is_writing() and time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
        self.storage.abandon()
