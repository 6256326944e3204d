"""Gives orders to helpers, many at a time; what is too much for them, or does not come easily, goes to packages."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from functools import partial

from msgspec.structs import replace
from packaging.utils import NormalizedName

from bandersnatch.config.config import HttpConfig
from bandersnatch.errors import InterruptedRunError
from bandersnatch.memory import scarcity
from bandersnatch.project.job import Job
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.package import Package, Packages
from bandersnatch.project.report import Failure, Outcome
from bandersnatch.upstream.expectations import Expectation
from bandersnatch.workers.pool import Helpers, helping
from bandersnatch.workers.project_batch import Announced, BatchResult, HelpedJob

JOBS_TOGETHER = 32
"""So many projects make one batch: enough that the end of it, when not all lanes have work, does not count."""


@contextmanager
def dispatching(context: JobContext, config: HttpConfig, most_packages: int) -> Iterator["Packages | Dispatcher"]:
    """Start helpers, and stop them at the end of the block; give what starts the work on projects.

    To be called before other threads of the process hold locks.
    """
    with helping(context, config) as helpers:
        if helpers is None:
            yield Packages(context, most_packages)
        elif is_easy_to_ask(context):
            yield Dispatcher(helpers, replace(context, together=helpers), most_packages)
        else:
            yield Packages(replace(context, together=helpers), most_packages)


def is_easy_to_ask(context: JobContext) -> bool:
    """Whether a project takes its page and its files only, and these may come without a proxy, as far as is known."""
    needs_json = context.pages.legacy_json or context.chooser.filters.needs_json
    page = context.upstream.page_question(NormalizedName("pip"), None)  # any would do
    return not needs_json and context.upstream.may_have_easily(page)


class Dispatcher:
    """Starts the work on projects. Thread-safe; ``start`` is called by one thread.

    While ``most_packages`` of those that helpers have handed back are under way, helpers get no further ones. A helper may
    hand back all of its batch, so there can be more by as many as helpers work on.
    """

    def __init__(self, helpers: Helpers, context: JobContext, most_packages: int) -> None:
        self._helpers, self._context, self._most_packages = helpers, context, most_packages
        self._package_context = replace(context, report=self._end_package)
        self._guard = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._serving = self._packages = 0

    @property
    def window(self) -> int:
        """How many orders may be under way at a time: those that helpers work on, as many that wait, and packages."""
        return 2 * JOBS_TOGETHER * self._helpers.number + self._most_packages

    def start(self, job: Job) -> None:
        """See to it that a project is worked on; its outcome is reported when all is done."""
        if job.prepared is not None:  # a helper would only have the page to ask for
            self._package(job).start()
            return
        with self._guard:
            self._waiting.append(job)
        self._call_up()

    def withdraw(self, keeps: Set[Expectation]) -> int:
        """Take back the orders that no helper has yet, but for those that are kept; return how many."""
        withdrawn = self._take_waiting(keeps)
        self._fail(withdrawn, InterruptedRunError())
        return len(withdrawn)

    def _call_up(self) -> None:
        """Let another thread serve a helper, if there is something to do for it."""
        with self._guard:
            if self._serving >= self._helpers.number or not self._waiting or self._packages >= self._most_packages:
                return
            self._serving += 1
        try:
            self._context.executor.submit(self._serve)
        except RuntimeError as error:  # the pool was shut down: the run is being stopped; or no thread can be started
            with self._guard:
                self._serve_no_more()
                is_served = self._serving > 0
            if not is_served:
                self._fail(
                    self._take_waiting(),
                    InterruptedRunError() if self._context.is_stopped() else scarcity(error) or error,
                )

    def _serve(self) -> None:
        while jobs := self._next_jobs():
            left = {job.project: job for job in jobs}
            try:
                self._work_together(left)
            except Exception as error:  # noqa: BLE001 - without an outcome the run would wait for ever
                self._fail(left.values(), scarcity(error) or error)

    def _next_jobs(self) -> list[Job]:
        """Return the next orders for a helper, fewer towards the end; where there are none, this thread serves no more."""
        with self._guard:
            if self._packages < self._most_packages and self._waiting:
                number = min(JOBS_TOGETHER, -(-len(self._waiting) // self._helpers.number))
                return [self._waiting.popleft() for _ in range(number)]
            self._serve_no_more()
            return []

    def _serve_no_more(self) -> None:
        self._serving = max(0, self._serving - 1)  # a pool that can't start a thread may do the task all the same

    def _take_waiting(self, keeps: Set[Expectation] = frozenset()) -> list[Job]:
        """Return the orders that wait, but for the ones that are kept, and which wait on."""
        with self._guard:
            taken = [job for job in self._waiting if job.entry.expectation not in keeps]
            kept = [job for job in self._waiting if job.entry.expectation in keeps]
            self._waiting = deque(kept)
        return taken

    def _work_together(self, left: dict[NormalizedName, Job]) -> None:
        """Have a helper work on projects, and take over what it leaves; whatever has an outcome is no longer ``left``."""
        if self._context.is_stopped():
            raise InterruptedRunError
        inventory = self._context.inventory
        helped = [
            HelpedJob(job, inventory.get(project), frozenset(inventory.unsettled(project)))
            for project, job in left.items()
        ]
        result = self._helpers.work_on_projects(helped, partial(self._take_note, left))
        if result is not None:
            inventory.put(*result.records)
            self._take(result, left)
        while left:
            _, job = left.popitem()
            self._package(job).start()

    def _take_note(self, left: dict[NormalizedName, Job], announced: Sequence[Announced]) -> None:
        """Note what is about to be touched, and go on with the projects that are too much for a helper."""
        self._context.inventory.note_unsettled([(each.project, path) for each in announced for path in each.paths])
        for each in announced:
            if each.handed_back is not None and (job := left.pop(each.project, None)):
                self._package(job).go_on(each.handed_back)

    def _take(self, result: BatchResult, left: dict[NormalizedName, Job]) -> None:
        for outcome in result.outcomes:
            if left.pop(outcome.project, None):
                self._context.report(outcome)
        for each in result.unfinished:
            if job := left.pop(each.project, None):
                self._package(job).finish(each.prepared, each.synced)

    def _package(self, job: Job) -> Package:
        with self._guard:
            self._packages += 1
        return Package(job, self._package_context)

    def _end_package(self, outcome: Outcome) -> None:
        with self._guard:
            self._packages -= 1
        self._context.report(outcome)
        self._call_up()

    def _fail(self, jobs: Iterable[Job], error: Exception) -> None:
        for job in jobs:
            self._context.report(Failure(job.project, error))
