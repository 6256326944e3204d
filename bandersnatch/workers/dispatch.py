"""Gives jobs to an executor of workers, never too many at a time, and yields what they come to.

A project whose work is much is shared out: several workers bring its files, and one publishes its page.
"""

import time
from collections.abc import Callable, Iterator, Set
from concurrent.futures import Executor, Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from msgspec.structs import replace
from packaging.utils import NormalizedName

from bandersnatch.errors import InterruptedRunError, MirrorError
from bandersnatch.memory import scarcity
from bandersnatch.project.files import SyncedFile
from bandersnatch.project.job import Job
from bandersnatch.project.package import Planned, SharedFiles, publish_project, share_of, shares_of, work_on_files
from bandersnatch.state.inventory import Inventory
from bandersnatch.storage.layout import StoredPath
from bandersnatch.upstream.expectations import Expectation
from bandersnatch.workers.pool import NoWorkerLeftError, WorkerLostError

_LOOK_SECONDS = 0.1
_MOST_AT_ONCE = 64
MOST_TASKS = 20_000
"""While more files of shared-out projects are held, no project is begun: each takes about a kilobyte, and its page, too."""

_R = TypeVar("_R")


class LethalProjectError(MirrorError):
    """The worker of a project has ended before its time, and it was that project, as far as can be known."""

    def __init__(self, project: NormalizedName, *, is_sure: bool) -> None:
        sure = "the worker process that works on it ends before its time, also if it works on nothing else"
        unsure = "a worker process that worked on it, too, has ended before its time, and none is left to try it alone"
        super().__init__(f"{project}: {sure if is_sure else unsure}; the next run tries it again")
        self.project, self.is_sure = project, is_sure


class Jobs(Protocol):
    """What is to be done, one project after the other; times are those of ``time.monotonic``."""

    def is_empty(self) -> bool:
        """Whether no job is left to give, now or later."""

    def next_job(self, now: float) -> Job | None:
        """Return the next job, or None where there is none at this time."""


class Dispatcher(Generic[_R]):
    """Has ``function`` done for each job; ``failed`` makes a result of an error. Used by one thread."""

    def __init__(
        self,
        executor: Executor,
        function: Callable[..., Any],
        failed: Callable[[NormalizedName, Exception], _R],
        inventory: Inventory,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._executor, self._function, self._failed = executor, function, failed
        self._inventory, self._is_stopped = inventory, is_stopped
        self._ended: SimpleQueue[tuple[Job, Future[Any], _SharedProject | None]] = SimpleQueue()
        self._under_way: dict[NormalizedName, Future[Any]] = {}
        self._jobs: dict[NormalizedName, Job] = {}
        self._given_up: dict[NormalizedName, list[_SharedProject]] = {}
        """Shared-out projects that were begun anew."""
        self._shared: dict[NormalizedName, int] = {}
        """How many files each shared-out project has."""
        self._suspects: dict[NormalizedName, Job] = {}
        """Projects that were under way when a worker was lost. One of them may have ended it: each is tried again, alone."""
        self._alone: NormalizedName | None = None
        self._are_suspects_tried = True

    def work(self, jobs: Jobs, window: int) -> Iterator[list[_R]]:
        """Yield results as they come, until no job is left; whoever takes one may postpone or clear jobs.

        So many projects are worked on at a time as the window is wide.

        Raises:
            InterruptedRunError: the run was asked to stop.
        """
        while self._jobs or not jobs.is_empty():
            self._check_stopped()
            if self._suspects:
                self._try_alone()
            else:
                while self._is_room(window) and (job := jobs.next_job(time.monotonic())) is not None:
                    self._start(job)
            if results := list(self._take()):
                yield results
        self._check_stopped()

    def ended(self) -> list[_R]:
        """Return what has ended since results were yielded last, for a run that ends; work goes on with none of it."""
        results: list[_R] = []
        while not self._ended.empty():
            if (result := self._settle(*self._ended.get())) is not None:
                results.append(result)
        return results

    def withdraw(self, keeps: Set[Expectation]) -> int:
        """Take back the jobs that no worker has yet, but for those of which one of these is expected; return how many."""
        waiting = [job for name, job in self._jobs.items() if name in self._under_way]
        return sum(self._under_way[job.project].cancel() for job in waiting if job.entry.expectation not in keeps)

    def _start(self, job: Job) -> None:
        job = self._jobs[job.project] = job.with_facts(self._inventory)
        self._under_way[job.project] = self._submit(job, None, self._function, job)

    def _is_room(self, window: int) -> bool:
        return len(self._jobs) < window and sum(self._shared.values()) <= MOST_TASKS

    def _try_alone(self) -> None:
        """Start a suspect when nothing else is under way; but never in the main process, which it might end."""
        project, job = next(iter(self._suspects.items()))
        waiting = self._under_way[project]
        if self._alone is not None or len(self._suspects) < len(self._jobs) or waiting.cancelled():
            return
        self._alone = project
        if self._are_suspects_tried:
            self._start(job)
        else:
            waiting.set_exception(LethalProjectError(project, is_sure=False))

    def _submit(
        self, job: Job, shared: "_SharedProject | None", function: Callable[..., Any], *arguments: Any
    ) -> Future[Any]:
        try:
            future = self._executor.submit(function, *arguments)
        except RuntimeError as error:  # the pool was shut down: the run is being stopped
            future = Future()
            future.set_exception(InterruptedRunError() if self._is_stopped() else scarcity(error) or error)
        future.add_done_callback(lambda ended: self._ended.put((job, ended, shared)))
        return future

    def _take(self) -> Iterator[_R]:
        """Yield the results that are there, or wait a moment for one."""
        with suppress(Empty):
            ended = self._ended.get(timeout=_LOOK_SECONDS)
            for _ in range(_MOST_AT_ONCE):
                if (result := self._settle(*ended)) is not None:
                    yield result
                ended = self._ended.get_nowait()
            self._ended.put(ended)

    def _settle(self, job: Job, future: Future[Any], shared: "_SharedProject | None") -> _R | None:
        """Return the result of a project, or None where the work on it goes on."""
        error = InterruptedRunError() if future.cancelled() else future.exception()
        if error is not None and not isinstance(error, Exception):
            raise error
        if isinstance(error, NoWorkerLeftError):
            raise error  # it is not the project's
        value: Any = future.result() if error is None else None
        if isinstance(value, Planned):
            self._share_out(job, value)
            return None
        if shared is not None and shared.left:
            shared.take(value if isinstance(value, SharedFiles) else SharedFiles({}, {}, (), error))
            if shared.left:
                return None
            error = shared.error
            if error is None:
                self._submit(job, shared, publish_project, shared.prepared, shared.synced)
                return None
        if isinstance(error, WorkerLostError):
            self._are_suspects_tried = self._are_suspects_tried and not error.is_last
            if job.project != self._alone:
                self._suspect(job, shared)
                return None
            error = LethalProjectError(job.project, is_sure=True)
        return self._end(job, shared, value if error is None else self._failed(job.project, error))

    def _share_out(self, job: Job, planned: Planned) -> None:
        """Have several workers bring the files of a project."""
        shares = [share_of(job, tasks) for tasks in shares_of(planned.prepared.plan.tasks)]
        shared = _SharedProject(planned, len(shares))
        self._shared[job.project] = len(planned.prepared.plan.tasks)
        for share in shares:
            self._submit(job, shared, work_on_files, share)

    def _suspect(self, job: Job, shared: "_SharedProject | None") -> None:
        """Let a project wait to be tried alone, whose worker, or one of them, was lost; the others have ended."""
        if shared is not None:
            self._given_up.setdefault(job.project, []).append(shared)
        self._suspects[job.project] = job
        waiting = self._under_way[job.project] = Future()
        waiting.add_done_callback(lambda ended: self._ended.put((job, ended, None)))  # it may be withdrawn

    def _end(self, job: Job, shared: "_SharedProject | None", found: _R) -> _R:
        """Return the result of a project with what all work on it has left."""
        del self._jobs[job.project], self._under_way[job.project]
        self._shared.pop(job.project, None)
        if self._suspects.pop(job.project, None) is not None and self._alone == job.project:
            self._alone = None
        for each in (*self._given_up.pop(job.project, ()), *([shared] if shared is not None else ())):
            found = each.complete(found)
        return found

    def _check_stopped(self) -> None:
        if self._is_stopped():
            raise InterruptedRunError


class _SharedProject:
    """A project that several workers work on."""

    def __init__(self, planned: Planned, left: int) -> None:
        self.prepared, self.left = planned.prepared, left
        self._touched, self._reservations = planned.touched, list(planned.reservations)
        self.synced: dict[str, SyncedFile] = {}
        self._partials: dict[StoredPath, str] = {}
        self.error: Exception | None = None

    def take(self, share: SharedFiles) -> None:
        """Take note of what was done for a share of the files."""
        self.left -= 1
        self.error = self.error or share.error
        self.synced |= share.synced
        self._partials |= share.partials
        self._reservations += share.reservations

    def complete(self, result: Any) -> Any:
        """Return the result of the whole project."""
        result = replace(result, reservations=(*self._reservations, *result.reservations))
        if result.record is not None:
            return result
        partials = {**self._partials, **result.partials}
        return replace(result, unsettled=result.unsettled | self._touched, partials=partials)
