"""The times and numbers of a run that are not options; tests have runs with others."""

import time
from collections.abc import Callable

from msgspec import Struct


class Tuning(Struct, frozen=True):
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
