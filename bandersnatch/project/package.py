"""``Package``: brings one project up to its serial.

Its work is cut into tasks for one pool. A task never waits for another: the one that has read the page hands the files to
the pool and ends, and whichever task completes the last file publishes the page. So a project with 5,000 files keeps every
worker busy, and no number of workers can deadlock.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial

from msgspec import Struct

from bandersnatch.errors import InterruptedRunError, MirrorError, UpstreamUnavailableError, without_data
from bandersnatch.http.retries import asking_about
from bandersnatch.memory import scarcity
from bandersnatch.plan.file_plan import FileTask
from bandersnatch.project.completion import complete
from bandersnatch.project.files import SyncedFile
from bandersnatch.project.job import Job
from bandersnatch.project.job_context import JobContext, Prepared
from bandersnatch.project.preparation import Preparation
from bandersnatch.project.report import Failure, Outcome
from bandersnatch.upstream.expectations import Expectation

FILES_IN_VAIN = 5
"""When so many files in a row could not be had, the others of the project are left for the next run."""
FILES_TOGETHER = 32
"""So many small files make one task: enough to save threads their switches, few enough for all workers to have some."""


class Package:
    """The work on one project, from its page to its outcome."""

    def __init__(self, job: Job, context: JobContext) -> None:
        self._job, self._context = job, context
        self._project = job.project
        self._guard = threading.Lock()
        self._is_reported = False
        self._left = self._in_vain = 0
        self._error: Exception | None = None
        self._synced: dict[str, SyncedFile] = {}

    def start(self) -> None:
        """Hand the first task to the pool; the outcome is reported when all is done."""
        self._submit(self._begin)

    def go_on(self, prepared: Prepared) -> None:
        """Go on with a project that a helper has prepared."""
        self._submit(partial(self._work_on_files, prepared))

    def finish(self, prepared: Prepared, synced: Mapping[str, SyncedFile]) -> None:
        """Finish a project of whose files a helper has ``synced`` some, by their names, and has tried to get the others."""
        self._synced |= synced
        self._submit(partial(self._work_on_files, prepared, are_easy=False))

    def _submit(self, task: Callable[[], None]) -> None:
        try:
            self._context.executor.submit(self._guarded, task)
        except RuntimeError as error:  # the pool was shut down: the run is being stopped
            stopped = InterruptedRunError() if self._context.is_stopped() else error
            self._report(Failure(self._project, scarcity(error) or stopped))

    def _guarded(self, task: Callable[[], None]) -> None:
        """Run a task; the pool's boundary, where every error, one of our own bugs too, becomes an outcome."""
        try:
            if self._context.is_stopped():
                raise InterruptedRunError
            with asking_about(self._project):
                task()
        except Exception as error:  # noqa: BLE001 - without an outcome the run would wait for ever
            without_data(error)
            self._report(Failure(self._project, scarcity(error) or error))

    def _report(self, outcome: Outcome) -> None:
        with self._guard:
            is_first, self._is_reported = not self._is_reported, True
        if is_first:
            self._context.report(outcome)

    def _begin(self) -> None:
        context, project = self._context, self._project
        preparation = Preparation(
            self._job, context, context.inventory.get(project), context.inventory.unsettled(project)
        )
        prepared = self._job.prepared or preparation.outcome_without_page()
        if prepared is None:
            prepared = preparation.prepare(preparation.look(), partial(context.upstream.project_page, project))
        if not isinstance(prepared, Prepared):
            return self._report(prepared)
        if context.take_plan is not None:
            return context.take_plan(prepared)
        if shrinks := preparation.begin(prepared):
            return self._report(shrinks)
        context.inventory.note_unsettled((project, path) for path in preparation.paths_to_note(prepared))
        return self._work_on_files(prepared)

    def _work_on_files(self, prepared: Prepared, *, are_easy: bool = True) -> None:
        """Hand each file's work to the pool, and small files together, if they may come easily."""
        tasks = [task for task in prepared.plan.tasks if task.file.filename not in self._synced]
        complete = partial(self._complete, prepared)
        if not tasks:
            return complete()
        self._left = len(tasks)
        small = [task for task in tasks if are_easy and self._context.file_sync.is_small(task)]
        self._submit_files(
            (task for task in tasks if not (are_easy and self._context.file_sync.is_small(task))), complete
        )
        *batches, last = [small[begin : begin + FILES_TOGETHER] for begin in range(0, len(small) or 1, FILES_TOGETHER)]
        for batch in batches:
            self._submit(partial(self._sync_together, batch, complete))
        # Most projects have no more than this; a task of its own would cost two switches of threads.
        return self._sync_together(last, complete) if last else None

    def _submit_files(self, tasks: Iterable[FileTask], complete: Callable[[], None]) -> None:
        for task in tasks:
            self._submit(partial(self._sync_file, task, complete))

    def _sync_file(self, task: FileTask, complete: Callable[[], None]) -> None:
        """Work on one file."""
        error: Exception | None = None
        try:
            self._check_sense()
            self._synced[task.file.filename] = self._context.file_sync.sync(task)
        except Exception as caught:  # noqa: BLE001 - it is raised when the project's last file has ended
            error = caught
        self._end_files(1, error, complete)

    def _sync_together(self, tasks: Sequence[FileTask], complete: Callable[[], None]) -> None:
        """Work on many small files at once; each that does not come so easily is worked on by itself, later."""
        try:
            self._check_sense()
            synced = self._context.together.sync_together(tasks)
        except Exception as caught:  # noqa: BLE001 - it is raised when the project's last file has ended
            return self._end_files(len(tasks), caught, complete)
        self._synced |= synced
        self._submit_files((task for task in tasks if task.file.filename not in synced), complete)
        return self._end_files(len(synced), None, complete)

    def _check_sense(self) -> None:
        if isinstance(self._error, MirrorError) and (self._error.stops_run or self._in_vain >= FILES_IN_VAIN):
            raise self._error  # nothing can be written any more, or had

    def _end_files(self, number: int, error: Exception | None, complete: Callable[[], None]) -> None:
        """Count files as worked on; whoever ends last publishes the page, or raises the project's first error."""
        with self._guard:
            self._error = self._error or error
            if number > 0:
                self._in_vain = self._in_vain + 1 if isinstance(error, UpstreamUnavailableError) else 0
            self._left -= number
            is_last = number > 0 and self._left == 0
        if is_last:
            if self._error is not None:
                raise self._error
            complete()

    def _complete(self, prepared: Prepared) -> None:
        self._report(complete(prepared, self._synced, self._context))


class Packages(Struct, frozen=True):
    """Starts the work on projects, each by itself; ``window`` is how many may be under way at a time."""

    context: JobContext
    window: int

    def start(self, job: Job) -> None:
        """See to it that a project is worked on; its outcome is reported when all is done."""
        Package(job, self.context).start()

    def withdraw(self, keeps: Set[Expectation]) -> int:  # noqa: ARG002 - as a dispatcher has it
        """Return that no order waits here."""
        return 0
