"""Works through a schedule with the pool: never too many projects at a time, and no worker idle while there are files."""

import queue
import time
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from bandersnatch.errors import InterruptedRunError
from bandersnatch.project.job import Job

_LOOK_SECONDS = 0.1

_Outcome = TypeVar("_Outcome")


class Jobs(Protocol):
    """What is to be done, one project after the other; times are those of ``time.monotonic``."""

    def is_empty(self) -> bool:
        """Whether no order is left to give, now or later."""

    def next_job(self, now: float) -> Job | None:
        """Return the next order, or None where there is none at this time."""


class Crew(Generic[_Outcome]):
    """Gives orders and collects outcomes, which ``report`` is told."""

    def __init__(self, is_stopped: Callable[[], bool]) -> None:
        self._is_stopped = is_stopped
        self._outcomes: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()

    def report(self, outcome: _Outcome) -> None:
        """Take the outcome of an order, from any thread."""
        self._outcomes.put(outcome)

    def work(self, jobs: Jobs, start: Callable[[Job], None], window: int) -> Iterator[_Outcome]:
        """Yield the outcome of each order until none is left; whoever takes one may postpone or clear orders.

        ``start(order)`` begins the work on a project; so many are under way at a time as the window is wide.

        Raises:
            InterruptedRunError: the run was asked to stop.
        """
        active = 0
        while active or not jobs.is_empty():
            self._check_stopped()
            while active < window and (job := jobs.next_job(time.monotonic())) is not None:
                start(job)
                active += 1
            try:
                outcome = self._outcomes.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            active -= 1
            yield outcome
        self._check_stopped()

    def _check_stopped(self) -> None:
        if self._is_stopped():
            raise InterruptedRunError
