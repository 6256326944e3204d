"""``Inspection``: compares what the mirror has of one project with upstream's page, and repairs what is wrong.

To compare, it plans as a run does, and reads the doubtful files; to repair, a ``Package`` does its whole work, and is given
the paths of bad files.
"""

from collections.abc import Callable, Iterator
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.errors import InterruptedRunError, StorageError
from bandersnatch.http.request import InThread, Steps, Together
from bandersnatch.model import Checksum
from bandersnatch.names import NormalizedName
from bandersnatch.pages.publisher import Publication
from bandersnatch.plan.file_plan import FileTask, FileWork
from bandersnatch.project.completion import published_json
from bandersnatch.project.job import Job, Result
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.package import Package, failure
from bandersnatch.project.preparation import Preparation
from bandersnatch.project.prepared import Prepared
from bandersnatch.project.report import Outcome
from bandersnatch.state.inventory import HeldProject
from bandersnatch.state.todo import TodoEntry
from bandersnatch.storage.layout import StoredPath, json_paths, metadata_path
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.verify.findings import Finding, Problem


class Inspected(Struct, frozen=True):
    """What was wrong with one project, and the result of the repair.

    The result is None if no repair was needed, or none was wanted. ``is_compared`` is False if the project could not be
    compared with upstream; then the result says why.
    """

    project: NormalizedName
    findings: tuple[Finding, ...]
    result: Result | None
    is_compared: bool = True

    @property
    def outcome(self) -> Outcome | None:
        """The outcome of the repair, or None."""
        return self.result.outcome if self.result is not None else None


def inspect_project(context: JobContext, job: Job, *, repairs: bool) -> Steps[Inspected]:
    """Inspect a project; with ``repairs``, repair what is wrong. Every error becomes an outcome."""
    inspection = Inspection(job, context, repairs=repairs)
    try:
        return (yield from inspection.inspect())
    except Exception as error:  # noqa: BLE001 - the boundary of the work on one project
        return not_compared(job.project, error)


def not_compared(project: NormalizedName, error: Exception) -> Inspected:
    """Return the result for a project whose inspection ended with an error."""
    return Inspected(project, (), Result(failure(project, error)), is_compared=False)


class Inspection:
    """The inspection of one project. Without ``repairs`` nothing is written."""

    def __init__(self, job: Job, context: JobContext, *, repairs: bool) -> None:
        self._job, self._repairs, self._project = job, repairs, job.project
        filters = context.chooser.filters
        is_excluded = not filters.keeps_project(job.project, job.entry.display_name)
        self._context = replace(context, chooser=replace(context.chooser, keeps_held=True, is_excluded=is_excluded))
        self._bad: dict[StoredPath, Problem] = {}

    def inspect(self) -> Steps[Inspected]:
        """Compare, and repair.

        Raises:
            UpstreamError, StorageError: it did not come to a comparison.
            InterruptedRunError: the verification was asked to stop.
        """
        if self._context.is_stopped():
            raise InterruptedRunError
        planned = yield from Preparation(self._job, replace(self._context, reservation=None)).prepare()
        if not isinstance(planned, Prepared):
            return Inspected(self._project, (), Result(planned), is_compared=False)
        doubtful = [task for task in planned.plan.tasks if self._is_doubtful(task)]
        for error in (yield Together(tuple(self._read(task) for task in doubtful))):
            if error is not None:
                raise error
        return (yield from self._conclude(planned))

    def _is_doubtful(self, task: FileTask) -> bool:
        """Whether a file, or its core metadata, must be read to know if it is right."""
        has_metadata = task.wants_metadata and self._context.storage.stat(metadata_path(task.path)) is not None
        return task.work is FileWork.CHECK or (has_metadata and task.work is not FileWork.FETCH)

    def _read(self, task: FileTask) -> Steps[None]:
        """Read one file, and its core metadata."""
        if task.work is FileWork.CHECK:
            yield InThread(partial(self._compare, task.path, task.file.checksum))
        if task.wants_metadata and task.file.core_metadata_sha256 is not None:
            checksum = Checksum("sha256", task.file.core_metadata_sha256)
            yield InThread(partial(self._compare, metadata_path(task.path), checksum))

    def _compare(self, path: StoredPath, checksum: Checksum | None) -> None:
        storage = self._context.storage
        if storage.stat(path) is None or checksum is None:
            return
        try:
            digest = storage.digest(path, checksum.algorithm, self._context.is_stopped)
            problem = None if digest == checksum.digest else Problem.DIGEST
        except StorageError:
            problem = Problem.UNREADABLE
        if problem is not None:
            self._bad[path] = problem

    def _conclude(self, planned: Prepared) -> Steps[Inspected]:
        """Repair what is wrong, if that is wanted, and return what it was."""
        work = [task for task in planned.plan.tasks if self._needs_work(task)]
        page_findings = yield from self._page_findings(planned, has_file_work=bool(work))
        findings = (*(finding for task in work for finding in self._file_findings(task, planned)), *page_findings)
        has_news = bool(work or planned.plan.deletions or self._is_of_another_serial(planned))
        # A run applies the filters to news, and might not look again at a project that a repair has brought to
        # upstream's serial.
        is_due = findings or (has_news and not planned.wanted.exceeds_filters)
        if not self._repairs or not is_due:
            return Inspected(self._project, findings, None)
        rules = replace(self._context.rules, check_digests=False)
        job = replace(self._job, recheck=True, fresh=True, wrong=frozenset(self._bad))
        result = yield from Package(job, replace(self._context, rules=rules, workers=1)).work()
        assert isinstance(result, Result), "one worker does all of it"
        return Inspected(self._project, findings, result)

    def _is_of_another_serial(self, planned: Prepared) -> bool:
        record, page = planned.record, planned.wanted.page
        if record is None or self._context.documents.journal_end.own_serial is None:
            return record is None or record.serial != page.serial
        # Upstream has no serials: if our pages are as they were published, what differs is news.
        if record.pages_digest not in (None, self._context.publisher.stored_documents(self._project).digest()):
            return False
        publication = Publication(page, page.name, None, planned.held, frozenset(), frozenset())
        differing = self._context.publisher.differing_pages(publication)
        return any(path not in json_paths(self._project) for path in differing)

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

    def _page_findings(self, planned: Prepared, *, has_file_work: bool) -> Steps[list[Finding]]:
        """Return the pages that are not what upstream says; where upstream has a newer page, only those that are missing."""
        held = planned.held
        lacks_digests = any(file.sha256 is None for file in planned.wanted.page.files)
        if lacks_digests or (has_file_work and self._context.pages.digest_name != "sha256"):
            return []  # the page that should be here can't be known before its files are
        held_paths = held.paths if held is not None else set()
        lost = {
            task.file.filename
            for task in planned.plan.tasks
            if task.wants_metadata and metadata_path(task.path) not in held_paths and held is not None
        }
        publication = Publication(
            page=planned.wanted.page,
            display_name="",
            etag=None,
            held=held,
            fetched=frozenset(),
            lost_metadata=lost,
            legacy_json=(yield from published_json(replace(planned, required_serial=0), self._context)),
        )
        found = []
        for path in self._context.publisher.differing_pages(publication):
            if self._context.storage.stat(path) is None:
                found.append(Finding(path, Problem.MISSING, self._project))
            elif not self._is_of_another_serial(planned):
                found.append(Finding(path, Problem.PAGE, self._project))
        return found


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
