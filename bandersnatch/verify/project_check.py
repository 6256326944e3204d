"""``Inspection``: compares what the mirror has of one project with upstream's page, and has problems repaired.

To compare, a ``Package`` plans as in a run, and doubtful files are read, each in its own task; to repair, another
``Package`` does the whole work, told which files are bad. No task waits for another.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from functools import partial

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName

from bandersnatch.errors import InterruptedRunError, StorageError
from bandersnatch.memory import scarcity
from bandersnatch.pages.publisher import Publication
from bandersnatch.plan.file_plan import FileTask, FileWork
from bandersnatch.project.job import Job
from bandersnatch.project.job_context import JobContext, Prepared
from bandersnatch.project.package import Package
from bandersnatch.project.report import Failure, Outcome
from bandersnatch.state.inventory import HeldProject
from bandersnatch.state.todo import TodoEntry
from bandersnatch.storage.layout import StoredPath, metadata_path
from bandersnatch.upstream.expectations import Expectation
from bandersnatch.verify.findings import Finding, Problem


class Inspected(Struct, frozen=True):
    """The result for one project: what was wrong, and the outcome of the repair.

    Without an outcome, nothing needed doing, or nothing was to be done. ``is_compared`` is False if the project could
    not be compared with upstream; then the outcome says why.
    """

    project: NormalizedName
    findings: tuple[Finding, ...]
    outcome: Outcome | None
    is_compared: bool = True


class Inspection:
    """The inspection of one project; ``report`` is called once, from any thread. Without ``repairs`` nothing is
    written.

    ``readers`` reads the files, and never waits for upstream, for which all threads of the pool may be waiting.
    """

    def __init__(
        self,
        job: Job,
        context: JobContext,
        report: Callable[[Inspected], None],
        readers: Executor,
        *,
        repairs: bool,
    ) -> None:
        self._job, self._tell, self._readers, self._repairs = job, report, readers, repairs
        self._project = job.project
        filters = context.chooser.filters
        is_excluded = not filters.keeps_project(job.project, job.entry.display_name)
        self._context = replace(context, chooser=replace(context.chooser, keeps_held=True, is_excluded=is_excluded))
        self._guard = threading.Lock()
        self._left = 0
        self._bad: dict[StoredPath, Problem] = {}
        self._error: Exception | None = None

    def start(self) -> None:
        """Hand the first task to the pool."""
        Package(self._job, replace(self._context, take_plan=self._look, report=self._report_not_compared)).start()

    def _report_not_compared(self, outcome: Outcome) -> None:
        self._tell(Inspected(self._project, (), outcome, is_compared=False))

    def _look(self, planned: Prepared) -> None:
        """Read the doubtful files, each in its own task."""
        doubtful = [task for task in planned.plan.tasks if self._is_doubtful(task)]
        if not doubtful:
            return self._conclude(planned)
        self._left = len(doubtful)
        for task in doubtful:
            self._submit(partial(self._read, task, planned))

    def _submit(self, task: Callable[[], None]) -> None:
        try:
            self._readers.submit(task)
        except RuntimeError as error:  # the executor was shut down
            failure = InterruptedRunError() if self._context.is_stopped() else scarcity(error) or error
            self._end_one(failure)

    def _is_doubtful(self, task: FileTask) -> bool:
        """Whether a file, or its core metadata, must be read to know if it is right."""
        has_metadata = task.wants_metadata and self._context.storage.stat(metadata_path(task.path)) is not None
        return task.work is FileWork.CHECK or (has_metadata and task.work is not FileWork.FETCH)

    def _read(self, task: FileTask, planned: Prepared) -> None:
        """Read one file and its core metadata; the task that ends last concludes."""
        error: Exception | None = None
        try:
            if task.work is FileWork.CHECK:
                self._compare(task.path, task.file.sha256)
            if task.wants_metadata and task.file.core_metadata_sha256 is not None:
                self._compare(metadata_path(task.path), task.file.core_metadata_sha256)
        except Exception as caught:  # noqa: BLE001 - reported as the outcome after the project's last file
            error = caught
        if not self._end_one(error):
            return
        try:
            self._conclude(planned)
        except Exception as caught:  # noqa: BLE001 - without an outcome the command would wait for ever
            self._report_not_compared(Failure(self._project, caught))

    def _end_one(self, error: Exception | None) -> bool:
        """Count a file that was read; return whether it was the last and all went well. The last one reports an error."""
        with self._guard:
            self._error = self._error or error
            self._left -= 1
            is_last = self._left == 0
        if is_last and self._error is not None:
            self._report_not_compared(Failure(self._project, self._error))
        return is_last and self._error is None

    def _compare(self, path: StoredPath, sha256: str) -> None:
        storage = self._context.storage
        if storage.stat(path) is None:
            return
        try:
            problem = None if storage.digest(path, "sha256", self._context.is_stopped) == sha256 else Problem.DIGEST
        except StorageError:
            problem = Problem.UNREADABLE
        if problem is not None:
            with self._guard:
                self._bad[path] = problem

    def _conclude(self, planned: Prepared) -> None:
        """Report what is wrong, after having it repaired."""
        work = [task for task in planned.plan.tasks if self._needs_work(task)]
        findings = [
            *(finding for task in work for finding in self._file_findings(task, planned)),
            *self._page_findings(planned, has_file_work=bool(work)),
        ]
        has_news = bool(work or planned.plan.deletions or self._is_of_another_serial(planned))
        # A run applies the filters to news, and might not look again at a project that a repair has brought to
        # upstream's serial.
        is_due = findings or (has_news and not planned.wanted.exceeds_filters)
        if not self._repairs or not is_due:
            return self._tell(Inspected(self._project, tuple(findings), None))
        rules = replace(self._context.rules, check_digests=False)
        job = replace(self._job, recheck=True, fresh=True, wrong=frozenset(self._bad))
        context = replace(
            self._context,
            rules=rules,
            report=lambda outcome: self._tell(Inspected(self._project, tuple(findings), outcome)),
        )
        Package(job, context).start()

    @staticmethod
    def _is_of_another_serial(planned: Prepared) -> bool:
        return planned.record is None or planned.record.serial != planned.wanted.page.serial

    def _needs_work(self, task: FileTask) -> bool:
        path, storage = metadata_path(task.path), self._context.storage
        if task.path in self._bad or path in self._bad or task.work is FileWork.FETCH:
            return True
        return (task.wants_metadata and storage.stat(path) is None) or (
            task.work is FileWork.KEEP and not task.wants_metadata  # its time is wrong
        )

    def _file_findings(self, task: FileTask, planned: Prepared) -> Iterator[Finding]:
        """Yield problems of a file and its core metadata, if they should be here; what is new upstream is not a problem."""
        held = planned.held.paths if planned.held is not None else None
        storage = self._context.storage
        if held is None or task.path in held:
            if task.work is FileWork.FETCH:
                problem = Problem.MISSING if storage.stat(task.path) is None else Problem.SIZE
                yield Finding(task.path, problem, self._project)
            elif task.path in self._bad:
                yield Finding(task.path, self._bad[task.path], self._project)
        path = metadata_path(task.path)
        if task.wants_metadata and (held is None or path in held):
            if storage.stat(path) is None:
                yield Finding(path, Problem.MISSING, self._project)
            elif path in self._bad:
                yield Finding(path, self._bad[path], self._project)

    def _page_findings(self, planned: Prepared, *, has_file_work: bool) -> Iterator[Finding]:
        """Yield pages that differ from upstream's; if upstream has a newer page, only those that are missing."""
        page, held = planned.wanted.page, planned.held
        if has_file_work and self._context.pages.digest_name != "sha256":
            return  # its digests can only be computed once its files are here
        held_paths = held.paths if held is not None else set()
        lost = {
            task.file.filename
            for task in planned.plan.tasks
            if task.wants_metadata and metadata_path(task.path) not in held_paths and held is not None
        }
        publication = Publication(
            page=page,
            display_name="",
            etag=None,
            required_serial=0,
            held=held,
            deletions=frozenset(),
            fetched=frozenset(),
            lost_metadata=lost,
            legacy_json=planned.wanted.legacy_json,
        )
        for path in self._context.publisher.differing_pages(publication):
            if self._context.storage.stat(path) is None:
                yield Finding(path, Problem.MISSING, self._project)
            elif not self._is_of_another_serial(planned):
                yield Finding(path, Problem.PAGE, self._project)


class InspectionJobs:
    """The projects to inspect as jobs, read from the inventory one by one."""

    def __init__(self, held: Iterator[HeldProject], is_over: Callable[[], bool], *, may_remove: bool) -> None:
        self._held, self._is_over, self._may_remove = held, is_over, may_remove
        self._next = next(held, None)

    def is_empty(self) -> bool:
        """Whether no job is left, or no time."""
        return self._next is None or self._is_over()

    def next_job(self, now: float) -> Job | None:  # noqa: ARG002 - no job here is delayed
        """Return the job of inspecting the next project."""
        if self._next is None or self._is_over():
            return None
        record, self._next = self._next, next(self._held, None)
        # Content after serial 0: any page is accepted that is not older than ours, unless it has lost all its files.
        entry = TodoEntry(record.display_name, 0, Expectation.CONTENT)
        return Job(record.name, entry, recheck=True, may_remove=self._may_remove, fresh=True)
