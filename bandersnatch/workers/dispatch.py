"""Hands out jobs to an executor of workers, never too many at a time, and yields their results.

The files of a large project are shared among workers: several fetch its files, and one publishes its page.
"""

import time
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from msgspec.structs import replace

from bandersnatch.errors import InterruptedRunError, MirrorError
from bandersnatch.memory import scarcity
from bandersnatch.names import NormalizedName
from bandersnatch.project.job import Job, with_facts
from bandersnatch.project.package import Planned, SharedFiles, publish_project, share_of, work_on_files
from bandersnatch.state.inventory import Inventory
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.workers.pool import MAX_WORKERS, NoWorkerLeftError, WorkerLostError
from bandersnatch.workers.shared_project import SharedProject

_WAIT_SECONDS = 0.1
"""How long to wait for a result before looking for new jobs, and whether the run is stopped."""
_MAX_BATCH = 64
"""How many results are yielded together: they are recorded in one transaction, which saves time."""
_WINDOW_SHARE = 4
"""Jobs are added when this part of the window is free; the rest is as much as workers may have, and some that wait."""
SHARES_AT_A_TIME = 2 * MAX_WORKERS
"""How many shares of a project are submitted at a time: two for each worker, so that none waits for its next one."""
MAX_SHARED_FILES = 20_000
"""While shared projects have more files than that in memory, no further project is started, and what is planned for further
ones is dropped; each of them is planned again later.

A file takes about a kilobyte, and as much again on its page.
"""

_R = TypeVar("_R")


class LethalProjectError(MirrorError):
    """The worker of a project has ended unexpectedly, and as far as can be known, the project was the cause."""

    def __init__(self, project: NormalizedName, *, is_sure: bool) -> None:
        sure = "the worker process that works on it ends unexpectedly, even if it works on nothing else"
        unsure = (
            "a worker process that worked on it and on others has ended unexpectedly, and none is left to try it alone"
        )
        super().__init__(f"{project}: {sure if is_sure else unsure}")
        self.project, self.is_sure = project, is_sure


class Jobs(Protocol):
    """Where the dispatcher takes jobs from; times are those of ``time.monotonic``."""

    def is_empty(self) -> bool:
        """Whether no job is left, now or later."""

    def next_job(self, now: float) -> Job | None:
        """Return the next job, or None if there is none at this time."""


class Dispatcher(Generic[_R]):
    """Has workers call ``function`` for each job; ``failed`` makes a result from an error. Used by one thread.

    If a worker is lost, one of the projects that it worked on may be the cause, for example by a bug in a C library. These
    projects are suspects: each is tried again with nothing else under way, and only one that loses its worker again fails.
    """

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
        self._ended: SimpleQueue[tuple[Job, Future[Any], SharedProject | None]] = SimpleQueue()
        """Filled by the threads of the executor, in callbacks of futures; taken by ours."""
        self._under_way: dict[NormalizedName, Future[Any]] = {}
        self._jobs: dict[NormalizedName, Job] = {}
        self._abandoned: dict[NormalizedName, list[SharedProject]] = {}
        """Earlier attempts at shared projects, which were started again after the loss of a worker."""
        self._shared: dict[NormalizedName, int] = {}
        """The number of files of each shared project."""
        self._put_back: dict[NormalizedName, tuple[Job, int]] = {}
        """Projects whose plans were dropped, with the number of their files."""
        self._reservations: dict[NormalizedName, tuple[str, ...]] = {}
        """Those of plans that were dropped."""
        self._suspects: dict[NormalizedName, Job] = {}
        """Projects that a worker was working on when it was lost, and that wait to be tried alone."""
        self._alone: NormalizedName | None = None
        """The suspect that is being tried."""
        self._can_try_suspects = True
        """Whether a process is left that may try suspects."""

    def work(self, jobs: Jobs, window: int) -> Iterator[list[_R]]:
        """Yield results as they arrive, until no job is left; between results, the caller may postpone or clear jobs.

        At most ``window`` projects are under way at a time.

        Raises:
            InterruptedRunError: the run was asked to stop.
            NoWorkerLeftError: all workers have ended; raised after the results before it were yielded.
        """
        while self._jobs or not jobs.is_empty():
            self._check_stopped()
            if self._suspects:
                self._try_alone()
            else:
                self._start_again()
                self._start(list(self._next_jobs(jobs, window)))
            results, error = self._take()
            if results:
                yield results
            if error is not None:
                raise error
        self._check_stopped()

    def ended(self) -> list[_R]:
        """Return the results since those yielded last, for a run that is ending; no further work is started."""
        results: list[_R] = []
        while not self._ended.empty():
            results += self._take()[0]  # the error that ends the run is known already
        return results

    def withdraw(self, keeps: Set[Expectation]) -> int:
        """Cancel the jobs that no worker has yet, except those with one of these expectations; return how many."""
        waiting = [job for name, job in self._jobs.items() if name in self._under_way]
        return sum(self._under_way[job.project].cancel() for job in waiting if job.entry.expectation not in keeps)

    def _start(self, jobs: Sequence[Job]) -> None:
        for job in with_facts(jobs, self._inventory) if jobs else ():
            self._jobs[job.project] = job
            self._under_way[job.project] = self._submit(job, None, self._function, job)

    def _next_jobs(self, jobs: Jobs, window: int) -> Iterator[Job]:
        """Yield the jobs for which there is room; none while there is little, since each look at the inventory costs."""
        room = window - len(self._jobs)
        is_enough = room >= window // _WINDOW_SHARE and not self._put_back
        for _ in range(room if is_enough and sum(self._shared.values()) <= MAX_SHARED_FILES else 0):
            if (job := jobs.next_job(time.monotonic())) is None:
                return
            yield job

    def _try_alone(self) -> None:
        """Start a suspect when nothing else is under way; but never in the main process, which it might crash."""
        project, job = next(iter(self._suspects.items()))
        waiting = self._under_way[project]
        is_busy = len(self._suspects) + len(self._put_back) < len(self._jobs)  # with jobs that are no suspects
        if self._alone is not None or is_busy or waiting.cancelled():
            return
        self._alone = project
        if self._can_try_suspects:
            self._start([job])
        else:
            waiting.set_exception(LethalProjectError(project, is_sure=False))

    def _submit(
        self, job: Job, shared: SharedProject | None, function: Callable[..., Any], *arguments: Any
    ) -> Future[Any]:
        try:
            future = self._executor.submit(function, *arguments)
        except RuntimeError as error:  # the pool was shut down because the run is stopping, or no thread can be started
            future = Future()
            future.set_exception(InterruptedRunError() if self._is_stopped() else scarcity(error) or error)
        future.add_done_callback(lambda ended: self._ended.put((job, ended, shared)))
        return future

    def _take(self) -> tuple[list[_R], MirrorError | None]:
        """Return the results that are there, or wait a moment for one; and the error that ends the run, if one came."""
        results: list[_R] = []
        try:
            ended = self._ended.get(timeout=_WAIT_SECONDS)
            for _ in range(_MAX_BATCH):
                if (result := self._settle(*ended)) is not None:
                    results.append(result)
                ended = self._ended.get_nowait()
            self._ended.put(ended)  # it is one too many for this batch
        except Empty:
            pass
        except MirrorError as error:
            return results, error
        return results, None

    def _settle(self, job: Job, future: Future[Any], shared: SharedProject | None) -> _R | None:
        """Return the result of a project, or None if the work on it continues."""
        error = InterruptedRunError() if future.cancelled() else future.exception()
        if error is not None and not isinstance(error, Exception):
            raise error  # such as SystemExit, which is no failure of a project
        if isinstance(error, NoWorkerLeftError):
            raise error  # which ends the run, not only this project
        if isinstance(error, WorkerLostError):
            self._can_try_suspects = self._can_try_suspects and not error.is_last
        value: Any = future.result() if error is None else None
        if isinstance(value, Planned):
            self._share_out(job, value)
            return None
        if shared is not None and shared.under_way:
            shared.take(value if isinstance(value, SharedFiles) else SharedFiles({}, {}, (), error, is_given_up=True))
            self._submit_shares(job, shared)
            if shared.under_way:
                return None
            error = shared.error
            if error is None:
                self._submit(job, shared, publish_project, shared.prepared, shared.synced)
                return None
        if isinstance(error, WorkerLostError):
            if job.project != self._alone:
                self._suspect(job, shared)
                return None
            error = LethalProjectError(job.project, is_sure=True)
        return self._end(job, shared, value if error is None else self._failed(job.project, error))

    def _share_out(self, job: Job, planned: Planned) -> None:
        """Submit the files of a project in shares, which any worker may take; but not those of too many projects."""
        files = len(planned.prepared.plan.tasks)
        if job.project not in self._shared and not self._may_share(files):
            self._put_back[job.project] = job, files
            self._reservations[job.project] = planned.reservations
            self._wait(job)
            return
        shared = SharedProject(planned)
        self._shared[job.project] = files
        self._submit_shares(job, shared)

    def _may_share(self, files: int) -> bool:
        return not self._shared or sum(self._shared.values()) + files <= MAX_SHARED_FILES

    def _start_again(self) -> None:
        """Start projects whose plans were dropped, as far as there is room for their plans now."""
        for project, (job, files) in list(self._put_back.items()):
            if not self._may_share(files):
                return
            del self._put_back[project]
            if not self._under_way[project].cancelled():  # otherwise its end has come already
                self._shared[project] = files
                self._start([job])

    def _wait(self, job: Job) -> None:
        """Let nobody work on a project yet: if `withdraw` cancels it, it ends like any other cancelled one."""
        waiting = self._under_way[job.project] = Future()
        waiting.add_done_callback(lambda ended: self._ended.put((job, ended, None)))

    def _submit_shares(self, job: Job, shared: SharedProject) -> None:
        while shared.waiting and shared.under_way < SHARES_AT_A_TIME:
            shared.under_way += 1
            self._submit(job, shared, work_on_files, share_of(job, shared.waiting.popleft()))

    def _suspect(self, job: Job, shared: SharedProject | None) -> None:
        """Let a project wait to be tried alone, after a worker of it was lost and its other workers have finished."""
        if shared is not None:
            self._abandoned.setdefault(job.project, []).append(shared)
        self._suspects[job.project] = job
        self._wait(job)

    def _end(self, job: Job, shared: SharedProject | None, found: _R) -> _R:
        """Return the result of a project, with the reservations and partial files of all attempts added."""
        del self._jobs[job.project], self._under_way[job.project]
        self._shared.pop(job.project, None)
        self._put_back.pop(job.project, None)
        if self._suspects.pop(job.project, None) is not None and self._alone == job.project:
            self._alone = None
        for each in (*self._abandoned.pop(job.project, ()), *([shared] if shared is not None else ())):
            found = each.complete(found)
        if dropped := self._reservations.pop(job.project, ()):
            result: Any = found  # a `Result`: whatever is shared comes to one
            found = replace(result, reservations=(*dropped, *result.reservations))
        return found

    def _check_stopped(self) -> None:
        if self._is_stopped():
            raise InterruptedRunError
