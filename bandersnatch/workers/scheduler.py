"""Decides which project is worked on next.

A project whose page is stale goes to the back of the queue, and waits a little longer each time: caches of upstream need
some time to catch up.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Set

from bandersnatch.names import NormalizedName
from bandersnatch.plan.run_plan import RunPlan
from bandersnatch.project.job import Job
from bandersnatch.project.prepared import Prepared
from bandersnatch.upstream.changelog_actions import Expectation


class Schedule:
    """The jobs of a run that were not handed out yet, lowest serial first. Times are those of ``time.monotonic``.

    ``prepared`` returns what an earlier job has prepared for a project.
    """

    def __init__(
        self,
        plan: RunPlan,
        projects: Iterable[NormalizedName],
        *,
        may_remove: bool = False,
        prepared: Callable[[NormalizedName], Prepared | None] = lambda _: None,
        stale_delays: tuple[float, ...],
    ) -> None:
        self._plan, self._todo, self._may_remove = plan, plan.todo, may_remove
        self._prepared, self._stale_delays = prepared, stale_delays
        self._waiting = deque(sorted(projects, key=self._serial))
        self._postponed: list[tuple[float, NormalizedName]] = []
        """A heap of projects whose pages were stale, by the time at which each may be tried again."""
        self._stale_attempts: dict[NormalizedName, int] = {}

    def is_empty(self) -> bool:
        """Whether no job is left, now or later."""
        return not self._waiting and not self._postponed

    def next_job(self, now: float) -> Job | None:
        """Return the next job, or None if there is none at this time."""
        if self._waiting:
            return self._job(self._waiting.popleft())
        if self._postponed and self._postponed[0][0] <= now:
            return self._job(heapq.heappop(self._postponed)[1])
        return None

    def postpone(self, project: NormalizedName, now: float) -> bool:
        """Put a project whose page is stale at the back; return False if that was done often enough."""
        attempts = self._stale_attempts.get(project, 0)
        if attempts == len(self._stale_delays):
            return False
        self._stale_attempts[project] = attempts + 1
        heapq.heappush(self._postponed, (now + self._stale_delays[attempts], project))
        return True

    def keep(self, expectation: Set[Expectation]) -> None:
        """Drop all jobs except those of projects with one of these expectations."""
        self._waiting = deque(name for name in self._waiting if self._todo[name].expectation in expectation)
        self._postponed = [(at, name) for at, name in self._postponed if self._todo[name].expectation in expectation]
        heapq.heapify(self._postponed)

    def clear(self) -> None:
        """Drop all jobs."""
        self._waiting.clear()
        self._postponed.clear()

    def _serial(self, project: NormalizedName) -> int:
        return self._todo[project].serial

    def _job(self, project: NormalizedName) -> Job:
        return Job(
            project=project,
            entry=self._todo[project],
            recheck=self._plan.recheck,
            is_last_attempt=self._stale_attempts.get(project, 0) == len(self._stale_delays),
            may_remove=self._may_remove,
            is_resync=self._plan.is_resync,
            prepared=self._prepared(project),
        )
