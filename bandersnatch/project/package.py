"""``Package`` brings one project up to its serial: page, plan, reserve, files, publish, record.

The work is written as generators (``Steps``), which wait for upstream without blocking a thread. It ends with a ``Result``,
which the main process records. The files of a large project are shared among workers: the first job ends with ``Planned``,
further jobs fetch the files, and a last job publishes the page.
"""

import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.errors import InterruptedRunError, MirrorError, without_data
from bandersnatch.http.request import Steps
from bandersnatch.memory import scarcity
from bandersnatch.names import NormalizedName
from bandersnatch.plan.file_plan import FilePlan, FileTask, FileWork
from bandersnatch.project.completion import complete
from bandersnatch.project.files import ProjectFiles, SyncedFile
from bandersnatch.project.job import Job, Result
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.preparation import Preparation
from bandersnatch.project.prepared import Prepared
from bandersnatch.project.report import Failure, Outcome
from bandersnatch.storage.layout import Layout, StoredPath, metadata_path

SHARED_FILES = 64
SHARED_BYTES = 64 * 1024 * 1024
"""With more files to fetch than that, or more bytes in several files, a project is shared among workers.

That makes several jobs of one, so it is not done for less.
"""


class Planned(Struct, frozen=True):
    """A project whose files are to be shared among workers. All paths in ``touched`` are reserved."""

    project: NormalizedName
    prepared: Prepared
    touched: frozenset[StoredPath]
    reservations: tuple[str, ...]


class FileShare(Struct, frozen=True):
    """Some of the files of a project; ``partials`` are the ETags of the half-written ones among them."""

    project: NormalizedName
    tasks: tuple[FileTask, ...]
    partials: Mapping[StoredPath, str]


class SharedFiles(Struct, frozen=True):
    """The result of the work on a share of files, by file name; or the error of the first file that failed.

    ``is_given_up`` says that no other share of the project should be begun.
    """

    synced: Mapping[str, SyncedFile]
    partials: Mapping[StoredPath, str]
    reservations: tuple[str, ...]
    error: Exception | None = None
    is_given_up: bool = False


def work_on_project(context: JobContext, job: Job) -> Steps[Result | Planned]:
    """Work on a project, from its page to its outcome. Every error becomes an outcome, even one caused by a bug."""
    return (yield from Package(job, context).work())


def plan_project(context: JobContext, job: Job) -> Steps[Prepared | Outcome]:
    """Find out what work a project needs, and change nothing on disk."""
    try:
        _check_stopped(context)
        # Without a reservation: by that, `LocalCheck` sees that only a plan is made.
        return (yield from Preparation(job, replace(context, reservation=None)).prepare())
    except Exception as error:  # noqa: BLE001 - the boundary of the work on one project
        return failure(job.project, error)


def work_on_files(context: JobContext, share: FileShare) -> Steps[SharedFiles]:
    """Work on a share of a project's files."""
    files = ProjectFiles(share.project, context, share.partials)
    try:
        _check_stopped(context)
        # The job that made the plan has reserved them too, perhaps in another worker. But if this worker is lost, only the
        # reservations under its own token are read.
        _reserve(
            context, share.project, (path for task in share.tasks for path in (task.path, metadata_path(task.path)))
        )
        return SharedFiles((yield from files.sync(share.tasks)), files.partials, _reservations(context))
    except Exception as error:  # noqa: BLE001 - the boundary of the work on one project
        told = failure(share.project, error).error
        return SharedFiles({}, files.partials, _reservations(context), told, files.is_given_up)


def publish_project(context: JobContext, prepared: Prepared, synced: Mapping[str, SyncedFile]) -> Steps[Result]:
    """Publish a project whose files are all in place."""
    project = prepared.wanted.page.name
    try:
        _check_stopped(context)
        _reserve(context, project, [Layout(context.pages.hash_index).page_folder(project)])
        result = yield from complete(prepared, synced, context)
    except Exception as error:  # noqa: BLE001 - the boundary of the work on one project
        result = Result(failure(project, error))
    return replace(result, reservations=_reservations(context))


class Package:
    """The work on one project."""

    def __init__(self, job: Job, context: JobContext) -> None:
        self._job, self._context = job, context
        self._preparation = Preparation(job, context)
        self._files = ProjectFiles(job.project, context, job.partials)
        self._reserved: frozenset[StoredPath] = frozenset()

    def work(self) -> Steps[Result | Planned]:
        """Do all of the work; an error becomes the outcome."""
        try:
            _check_stopped(self._context)
            return (yield from self._work())
        except Exception as error:  # noqa: BLE001 - the boundary of the work on one project
            outcome = failure(self._job.project, error)
            return Result(
                outcome, None, frozenset(), self._reserved, self._files.partials, _reservations(self._context)
            )

    def _work(self) -> Steps[Result | Planned]:
        prepared = self._job.prepared or (yield from self._preparation.prepare())
        if not isinstance(prepared, Prepared):
            return Result(prepared, self._preparation.record)
        # Before anything is touched: until the removals are allowed, the old page must stay as it is.
        if (shrinks := self._preparation.shrinks(prepared)) is not None:
            return Result(shrinks)
        self._reserve(prepared)
        self._preparation.sweep(prepared)
        # One worker alone would do the same work, in more jobs.
        if self._context.workers > 1 and is_worth_sharing(prepared.plan):
            return Planned(self._job.project, prepared, self._reserved, _reservations(self._context))
        synced: Mapping[str, SyncedFile] = {}
        if prepared.plan.tasks:
            synced = yield from self._files.sync(prepared.plan.tasks)
        result = yield from complete(prepared, synced, self._context)
        return replace(result, reservations=_reservations(self._context))

    def _reserve(self, prepared: Prepared) -> None:
        """Write down the paths that will be touched, so that what a killed worker leaves behind is found."""
        paths = self._preparation.touched(prepared)
        _reserve(self._context, self._job.project, paths)
        self._reserved = frozenset(paths)


def failure(project: NormalizedName, error: Exception) -> Failure:
    """Return an error as the outcome of a project, in a form that can be sent to another process."""
    error = scarcity(error) or error
    if not isinstance(error, MirrorError) and error.__traceback__ is not None:
        # An unknown error may not be picklable, and pickling drops the traceback, which is needed to find the bug.
        lines = traceback.format_exception(error)
        error = RuntimeError(repr(error))
        error.add_note("".join(lines))
    without_data(error)
    return Failure(project, error)


def is_worth_sharing(plan: FilePlan) -> bool:
    """Whether the files of a plan are enough work for several workers."""
    fetched = [task.file.size or 0 for task in plan.tasks if task.work is not FileWork.KEEP]
    return len(fetched) > SHARED_FILES or (len(fetched) > 1 and sum(fetched) > SHARED_BYTES)


def shares_of(tasks: Sequence[FileTask]) -> Iterator[tuple[FileTask, ...]]:
    """Yield the tasks in shares of about the same amount of work."""
    share: list[FileTask] = []
    size_bytes = 0
    for task in tasks:
        share.append(task)
        size_bytes += task.file.size or 0
        if len(share) >= SHARED_FILES // 2 or size_bytes >= SHARED_BYTES // 2:
            yield tuple(share)
            share, size_bytes = [], 0
    if share:
        yield tuple(share)


def share_of(job: Job, tasks: tuple[FileTask, ...]) -> FileShare:
    """Return a share of a project's files, with the ETags of the half-written ones among them."""
    paths = {task.path for task in tasks}
    return FileShare(job.project, tasks, {path: etag for path, etag in job.partials.items() if path in paths})


def _check_stopped(context: JobContext) -> None:
    if context.is_stopped():
        raise InterruptedRunError


def _reserve(context: JobContext, project: NormalizedName, paths: Iterable[StoredPath]) -> None:
    assert context.reservation is not None, "only jobs that write nothing have no reservation"
    context.reservation.reserve(project, paths)


def _reservations(context: JobContext) -> tuple[str, ...]:
    return (context.reservation.name,) if context.reservation is not None else ()
