"""Works on many projects at once, from one thread: their pages and small files come as they come, over a few connections.

This is what a helper does for the main process. It prepares and completes a project as a package does, in the same order,
but has no inventory: it announces what it is about to touch, and returns what is to be recorded. It is for what goes well.
A project with large files, with very many, or with files to be deleted is handed back soon after its page is read, and
whatever does not come at the first try is left to a package.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from msgspec import Struct, field
from msgspec.structs import replace
from packaging.utils import NormalizedName

from bandersnatch.errors import InterruptedRunError, MalformedResponseError, MirrorError, UpstreamError
from bandersnatch.http.body import Answer
from bandersnatch.http.lane import OK, Question
from bandersnatch.http.retries import asking_about
from bandersnatch.plan.file_plan import FileTask, FileWork
from bandersnatch.project.completion import complete
from bandersnatch.project.files import SyncedFile
from bandersnatch.project.job import Job
from bandersnatch.project.job_context import JobContext, Prepared
from bandersnatch.project.preparation import Preparation
from bandersnatch.project.report import Failure, Outcome, Settled
from bandersnatch.state.inventory import HeldProject
from bandersnatch.storage.layout import StoredPath
from bandersnatch.upstream.index import FetchedPage

logger = logging.getLogger(__name__)

FILES_MAX = 64
"""A project with more small files is worked on by all helpers, and not by one."""
ANNOUNCED_TOGETHER = 8
"""So many projects share one message and one transaction, while others' pages are still to come."""


class HelpedJob(Struct, frozen=True):
    """An order, with what the inventory has of its project."""

    job: Job
    record: HeldProject | None
    unsettled: frozenset[StoredPath]


class Announced(Struct, frozen=True):
    """A project of which ``paths`` are about to be touched, ``files`` by us; or it is handed back with what was prepared."""

    project: NormalizedName
    paths: frozenset[StoredPath]
    files: tuple[StoredPath, ...] = ()
    handed_back: Prepared | None = None


class Unfinished(Struct, frozen=True):
    """A project some of whose files did not come; ``synced`` has, by their names, those that did."""

    project: NormalizedName
    prepared: Prepared
    synced: dict[str, SyncedFile]


class BatchResult(Struct):
    """What came of a batch; projects that stand nowhere in it, and were not handed back, are to be begun anew."""

    outcomes: list[Outcome] = field(default_factory=list)
    records: list[HeldProject] = field(default_factory=list)
    """What the inventory is to record; without that the outcomes do not hold."""
    unfinished: list[Unfinished] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """How many bytes of files have come."""
        settled = (each.size_bytes for each in self.outcomes if isinstance(each, Settled))
        synced = (file.size_bytes for each in self.unfinished for file in each.synced.values())
        return sum(settled) + sum(synced)


class Leave(Struct, frozen=True):
    """What is answered to an announcement: what is not to be touched all the same, and how many lanes there may be now."""

    refused: frozenset[NormalizedName]
    lanes: int


Announce = Callable[[Sequence[Announced]], Leave]
"""Has paths noted before they are touched."""


class _Project:
    """Where the work on one project stands."""

    def __init__(self, helped: HelpedJob, context: JobContext) -> None:
        self.name = helped.job.project
        self.preparation = Preparation(helped.job, context, helped.record, helped.unsettled)
        self.etag: str | None = None
        self.prepared: Prepared | None = None
        self.synced: dict[str, SyncedFile] = {}
        self.without_metadata: list[FileTask] = []

    def is_whole(self) -> bool:
        """Whether all files are in place."""
        return self.prepared is not None and len(self.synced) == len(self.prepared.plan.tasks)


class _SecondQuestionError(Exception):
    """The page must be asked for once more, without an ETag."""


class ProjectBatch:
    """The work on one batch, with up to ``lanes`` requests under way at a time, and more where others leave their turns."""

    def __init__(self, context: JobContext, lanes: int, announce: Announce) -> None:
        self._result = BatchResult()
        self._context = replace(
            context, publisher=replace(context.publisher, takes_records=self._result.records.append)
        )
        self._lanes, self._announce = lanes, announce
        self._wanted: deque[Question] = deque()
        self._asked: dict[str, tuple[_Project, FileTask | None]] = {}
        self._waiting: list[_Project] = []
        self._begun: list[_Project] = []

    def work(self, jobs: Sequence[HelpedJob]) -> BatchResult:
        """Work on projects as far as that goes well.

        Raises:
            InterruptedRunError: the process was asked to end.
        """
        for helped in jobs:
            self._ask_for_page(helped)
        while self._wanted:
            with closing(self._context.upstream.documents(self._wanted, lambda: self._lanes)) as documents:
                for question, answer in documents:
                    project, task = self._asked[question.url]
                    if task is None:
                        self._take_page(project, answer)
                    elif answer.status == OK:
                        self._take_file(project, task, answer)
                    if len(self._waiting) >= ANNOUNCED_TOGETHER or not self._wanted:
                        self._begin_waiting()
            self._begin_waiting()
        for project in self._begun:
            self._end(project)
        return self._result

    def _ask_for_page(self, helped: HelpedJob) -> None:
        project = _Project(helped, self._context)
        with self._going_well(project):
            if outcome := project.preparation.outcome_without_page():
                self._result.outcomes.append(outcome)
                return
            self._ask_for_page_with(project.preparation.look(), project)

    def _ask_for_page_with(self, etag: str | None, project: _Project) -> None:
        project.etag = etag
        self._ask(self._context.upstream.page_question(project.name, etag), project, None)

    def _ask(self, question: Question, project: _Project, task: FileTask | None) -> None:
        self._asked[question.url] = project, task
        self._wanted.append(question)

    def _take_page(self, project: _Project, answer: Answer) -> None:
        """Find out from the page what is to be done."""

        def ask(etag: str | None) -> FetchedPage:
            if etag != project.etag:
                raise _SecondQuestionError
            return self._context.upstream.read_page(project.name, etag, answer)

        with self._going_well(project):
            try:
                prepared = project.preparation.prepare(project.etag, ask)
            except _SecondQuestionError:
                self._ask_for_page_with(None, project)
                return
            except UpstreamError as error:  # a package would come to the same end
                if answer.is_later and isinstance(error, MalformedResponseError):
                    raise  # unless that is the answer to another question
                self._result.outcomes.append(Failure(project.name, error))
                return
            if not isinstance(prepared, Prepared):
                self._result.outcomes.append(prepared)
            elif shrinks := project.preparation.begin(prepared):
                self._result.outcomes.append(shrinks)
            else:
                project.prepared = prepared
                self._waiting.append(project)

    def _begin_waiting(self) -> None:
        """Announce the projects whose pages were read, and ask for the files of those that are worked on here."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        leave = self._announce([self._announced(project) for project in waiting])
        self._lanes = leave.lanes
        for project in waiting:
            prepared = project.prepared
            assert prepared is not None, "only such projects wait"
            if not self._is_easy(prepared):
                project.prepared = None  # it is handed back, and may be large
                continue
            self._begun.append(project)
            if project.name not in leave.refused:
                with self._going_well(project):
                    self._begin(project, prepared)

    def _announced(self, project: _Project) -> Announced:
        prepared = project.prepared
        assert prepared is not None, "only such projects wait"
        paths = frozenset(project.preparation.paths_to_note(prepared))
        if not self._is_easy(prepared):
            return Announced(project.name, paths, handed_back=prepared)
        return Announced(project.name, paths, tuple(task.path for task in prepared.plan.tasks))

    def _is_easy(self, prepared: Prepared) -> bool:
        """Whether the work is little, and nothing that others have to do with."""
        tasks = prepared.plan.tasks
        is_little = len(tasks) <= FILES_MAX and all(map(self._context.file_sync.is_small, tasks))
        return is_little and not prepared.plan.deletions

    def _begin(self, project: _Project, prepared: Prepared) -> None:
        for task in prepared.plan.tasks:
            if task.work is FileWork.FETCH and not self._context.file_sync.take_finished(task):
                if task.file.url not in self._asked:  # else two projects list one file
                    self._ask(Question(task.file.url, task.file.size or 0), project, task)
            elif settled := self._context.file_sync.settle(task):
                project.synced[task.file.filename] = settled
        self._complete_if_whole(project)

    def _take_file(self, project: _Project, task: FileTask, answer: Answer) -> None:
        with self._going_well(project):
            if taken := self._context.file_sync.take(task, answer.body):
                project.synced[task.file.filename] = taken
                self._complete_if_whole(project)
            else:
                project.without_metadata.append(task)

    def _complete_if_whole(self, project: _Project) -> None:
        if project.is_whole() and project.prepared is not None:
            self._result.outcomes.append(complete(project.prepared, project.synced, self._context))
            project.prepared = None

    def _end(self, project: _Project) -> None:
        """Ask for core metadata that was not in the wheels, now that no lane needs a turn for that; tell what is left."""
        for task in project.without_metadata:
            with self._going_well(project), asking_about(project.name):
                project.synced[task.file.filename] = self._context.file_sync.complete(task)
                self._complete_if_whole(project)
        if project.prepared is not None:
            self._result.unfinished.append(Unfinished(project.name, project.prepared, project.synced))

    @contextmanager
    def _going_well(self, project: _Project) -> Iterator[None]:
        """Leave a project to a package, which meets the same error, or none, where something goes wrong."""
        try:
            yield
        except InterruptedRunError:
            raise
        except MirrorError as error:
            logger.debug("%s: %s; it is worked on by itself", project.name, error)
        except Exception:  # a bug of ours, which the main process may not have
            logger.exception("%s: it is worked on by itself", project.name)
