"""``Mirror``: one run, from the lock to the root index; it returns a ``Report``.

Plan, persist, work, finish. Only this thread touches the todo list, the state, the report and the progress; the workers get
their orders and report outcomes.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from packaging.utils import NormalizedName

from bandersnatch.brake import Removals
from bandersnatch.config import Config
from bandersnatch.crew import LOOK_SECONDS, Crew
from bandersnatch.errors import (
    HostDownError,
    InterruptedRunError,
    MirrorError,
    ProjectNotFoundError,
    StaleMetadataError,
    SuspiciousPageError,
    UpstreamError,
)
from bandersnatch.file_plan import FileRules
from bandersnatch.file_sync import FileSync
from bandersnatch.inventory import Inventory
from bandersnatch.layout import (
    ALL_PAGES,
    INVENTORY,
    LAST_MODIFIED,
    REMOVALS,
    SIMPLE,
    STATE,
    TODO,
    StoredPath,
    json_paths,
    page_path,
)
from bandersnatch.options import CompareMethod, DeletedPolicy
from bandersnatch.package import Package, Workshop
from bandersnatch.progress import Progress
from bandersnatch.publisher import Publisher
from bandersnatch.rebuild import held_projects
from bandersnatch.report import Failure, Gone, Outcome, Report, Settled, Shrinks
from bandersnatch.root_index import RootIndex
from bandersnatch.run_lock import run_lock
from bandersnatch.run_plan import RunPlan, plan_run
from bandersnatch.schedule import STALE_DELAYS_SECONDS, Schedule
from bandersnatch.simple import IndexedProject
from bandersnatch.state import SavedState, StateStore
from bandersnatch.stop import StopFlag
from bandersnatch.storage import FilesystemStorage
from bandersnatch.todo import TodoList
from bandersnatch.upstream import Upstream

logger = logging.getLogger(__name__)

_MAY_BE_EXPLAINED = (ProjectNotFoundError, SuspiciousPageError)
"""Errors that are none where upstream has removed something after the plan was made."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The times and numbers of a run that have no option."""

    orders_per_worker: int = 4
    """How many projects are under way at a time, for each worker; waiting tasks cost memory."""
    stale_delays_seconds: tuple[float, ...] = STALE_DELAYS_SECONDS
    checkpoint_seconds: float = 10.0
    checkpoint_share: float = 0.05
    """Checkpoints may take this part of the time, which for a long todo list makes them rarer."""
    unwind_seconds: float = 1.0
    """How long the workers may take to end when the run is asked to stop."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What a run works with: the index, the disk, the pool (shut down where the run is stopped), the display, the flag."""

    upstream: Upstream
    storage: FilesystemStorage
    executor: Executor
    progress: Progress
    stop: StopFlag


class Mirror:
    """One mirror, for one run."""

    def __init__(
        self, config: Config, equipment: Equipment, pace: Pace | None = None, *, allow_removals: bool = False
    ) -> None:
        self._config, self._pace = config, pace or Pace()
        self._upstream, self._storage, self._executor = equipment.upstream, equipment.storage, equipment.executor
        self._progress, self._stop = equipment.progress, equipment.stop
        self._inventory = Inventory(config.directory / INVENTORY)
        self._states = StateStore(self._storage)
        self._root_index = RootIndex(self._storage, config.pages)
        self._publisher = Publisher(self._upstream, self._storage, self._inventory, config.pages, self._is_ending)
        self._allow_removals = allow_removals
        self._report = Report()
        self._removals = Removals()
        self._ended_early = False
        self._outage: HostDownError | None = None
        self._next_checkpoint = 0.0

    def run(self) -> Report:
        """Bring the mirror up to date.

        Raises:
            LockHeldError: another run works on the directory.
            UpstreamError: upstream could not be asked what to do. An outage on the way stands in the report.
            StorageError: the disk refused.
            InterruptedRunError: the run was asked to stop; what is left stands in the todo list.
        """
        with run_lock(self._config.directory), closing(self._inventory):
            begun, started = datetime.now(UTC), time.monotonic()
            is_rebuilt = self._open_inventory()
            self._sweep()
            saved = self._states.load()
            if is_rebuilt and saved.serial is None:
                saved = SavedState(None, None)  # a todo list of another bandersnatch can't say what was removed since
            plan = self._plan(saved)
            if plan.is_new or not self._root_index.is_there():
                self._states.save_todo(plan.todo)
                self._states.begin_change(self._states.load_fingerprints()[0], self._config.fingerprint)
                self._carry_out(plan, saved)
            if not plan.todo:
                self._storage.write_bytes(LAST_MODIFIED, f"{begun:%Y%m%dT%H:%M:%S}\n".encode())
            self._report.serial = plan.todo.target_serial
            self._report.seconds = time.monotonic() - started
            self._report.outage = self._outage
            return self._report

    def _open_inventory(self) -> bool:
        """Open the inventory, and return whether it had to be rebuilt."""
        if self._inventory.open():
            return False
        self._inventory.put_all(held_projects(self._storage))
        return True

    def _sweep(self) -> None:
        """Delete what a dead run left half-written; the inventory knows where to look."""

        def doubtful() -> Iterator[StoredPath]:
            yield from (STATE, TODO, LAST_MODIFIED)
            yield from (page_path(SIMPLE, page) for page in ALL_PAGES)
            for project, path in self._inventory.all_unsettled():
                if self._inventory.partial_etag(path) is None:  # else the download goes on from what is there
                    yield path
                if path.startswith(f"{SIMPLE}/"):
                    yield from (page_path(path, page) for page in ALL_PAGES)
                    yield from json_paths(project)

        if swept := self._storage.sweep(doubtful()):
            logger.info("deleted %d temporary files of a run that was killed", swept)

    def _plan(self, saved: SavedState) -> RunPlan:
        pages_differ = self._pages_differ(saved)
        plan = plan_run(saved, self._upstream, self._inventory.serials, pages_differ=pages_differ)
        logger.info("%d projects to look at, up to serial %d", len(plan.todo), plan.todo.target_serial)
        return plan

    def _pages_differ(self, saved: SavedState) -> bool:
        """Whether the pages were written with another configuration, or for another index, and no todo list mends that."""
        wanted = self._config.fingerprint
        before, changing_to = self._states.load_fingerprints()
        if wanted == before or (wanted == changing_to and saved.todo is not None):
            return False
        if before is None and saved.serial is None:
            return False  # there are no pages yet, or the operator asked for a resync
        logger.info("the configuration has changed since the pages were written")
        if before is not None and before.split(" ")[0] != wanted.split(" ")[0]:
            self._inventory.forget_serials()
        else:
            self._inventory.forget_etags()
        return True

    def _carry_out(self, plan: RunPlan, saved: SavedState) -> None:
        """Work on the todo list, and finish."""
        try:
            self._progress.start(len(plan.todo))
            self._work(plan)
        except BaseException:
            self._unwind()
            raise
        finally:
            self._progress.stop()
        self._tell_failures()
        self._finish(plan.todo, saved)

    def _work(self, plan: RunPlan) -> None:
        """Work on all projects; those whose pages would remove files come last, when it is known how much that is."""
        self._next_checkpoint = time.monotonic() + self._pace.checkpoint_seconds
        window = self._pace.orders_per_worker * self._config.workers
        crew = Crew(lambda order: Package(order, shop).start(), window, self._stop.is_set)
        shop = self._workshop(plan, crew.report)
        self._work_on(crew, plan, plan.todo, may_remove=self._allow_removals)
        self._work_on(crew, plan, self._removed_meanwhile(plan.todo), may_remove=self._allow_removals)
        if self._removals and not self._is_withheld() and not self._ended_early:
            self._work_on(crew, plan, list(self._removals.files), may_remove=True)

    def _removed_meanwhile(self, todo: TodoList) -> list[NormalizedName]:
        """Return the projects that failed because upstream removed them, or all their files, after the plan was made.

        The changelog is asked once more before that is an error: a first run takes days, in which many projects go.
        """
        doubtful = {
            failure.project for failure in self._report.failures if isinstance(failure.error, _MAY_BE_EXPLAINED)
        }
        if not doubtful or self._is_ending() or self._ended_early:
            return []
        try:
            _, changes = self._upstream.changes_since(todo.target_serial)
        except UpstreamError as error:
            logger.debug("%s", error)
            return []
        serial = todo.target_serial
        explained = [pair for pair in changes if pair[0].project in doubtful]
        todo.merge(explained)
        todo.target_serial = serial  # of the other changes nothing is done yet
        projects = {change.project for change, _ in explained}
        self._report.failures = [failure for failure in self._report.failures if failure.project not in projects]
        return sorted(projects)

    def _work_on(self, crew: Crew, plan: RunPlan, projects: Iterable[NormalizedName], *, may_remove: bool) -> None:
        delays = self._pace.stale_delays_seconds
        schedule = Schedule(plan.todo, projects, recheck=plan.recheck, may_remove=may_remove, stale_delays=delays)
        for outcome in crew.work(schedule):
            self._take(outcome, plan.todo, schedule)
            self._checkpoint(plan.todo)

    def _is_withheld(self) -> bool:
        """Whether the run would remove more than it may; then it removes nothing, and says what it would."""
        limit = self._config.removals.limit
        excess = None if self._allow_removals else self._removals.excess(limit, *self._inventory.totals())
        if excess is not None:
            self._storage.write_bytes(REMOVALS, self._removals.listing().encode())
            self._report.withheld = (
                f"this run would remove {excess}, which max-removals forbids: nothing was removed. "
                f"{self._config.directory / REMOVALS} lists it all; to go on: bandersnatch mirror --allow-removals"
            )
            self._removals = Removals()
        return excess is not None

    def _workshop(self, plan: RunPlan, report: Callable[[Outcome], None]) -> Workshop:
        pages = self._config.pages
        check_digests = plan.recheck and self._config.compare_method is CompareMethod.HASH
        return Workshop(
            upstream=self._upstream,
            storage=self._storage,
            inventory=self._inventory,
            file_sync=FileSync(
                self._upstream,
                self._storage,
                self._inventory,
                self._progress,
                self._is_ending,
                self._config.reserve_bytes,
            ),
            publisher=self._publisher,
            executor=self._executor,
            pages=pages,
            rules=FileRules(core_metadata=pages.core_metadata, check_digests=check_digests),
            deleted=self._config.removals.deleted,
            is_stopped=self._is_ending,
            report=report,
        )

    def _is_ending(self) -> bool:
        """Whether the workers shall give up what they have not begun."""
        return self._stop.is_set() or self._outage is not None

    def _take(self, outcome: Outcome, todo: TodoList, schedule: Schedule) -> None:
        """Take note of what came of a project."""
        match outcome:
            case Settled(project):
                self._take_settled(outcome)
                self._removals.files.pop(project, None)
                todo.discard(project)
            case Gone(project) if self._config.removals.deleted is DeletedPolicy.KEEP:
                todo.discard(project)
            case Gone(project):
                self._removals.projects.append(project)
            case Shrinks(project, files):
                self._removals.files[project] = files
                return
            case Failure(project, StaleMetadataError() as error) if schedule.postpone(project, time.monotonic()):
                logger.debug("%s; it is asked for again later in this run", error)
                return
            case Failure(_, InterruptedRunError()):
                return
            case Failure():
                self._take_failure(outcome, schedule)
        self._progress.project_done()

    def _take_settled(self, settled: Settled) -> None:
        self._report.count(settled)
        if settled.changed:
            logger.info(
                "%s: updated to serial %d, files fetched: %d (%d bytes), deleted: %d",
                settled.project, settled.serial, settled.files, settled.size_bytes, settled.deleted_files,
            )  # fmt: skip

    def _take_failure(self, failure: Failure, schedule: Schedule) -> None:
        error = failure.error
        if isinstance(error, HostDownError):
            if self._outage is None:
                self._outage = error
            schedule.clear()
            return
        if isinstance(error, MirrorError) and error.stops_run:
            raise error
        self._report.failures.append(failure)
        if not isinstance(error, _MAY_BE_EXPLAINED):
            self._tell(failure)
        if self._config.stop_on_error:
            self._ended_early = True
            schedule.clear()

    @staticmethod
    def _tell(failure: Failure) -> None:
        bug = None if isinstance(failure.error, MirrorError) else failure.error
        logger.error("%s failed: %s; the next run tries it again", failure.project, failure.error, exc_info=bug)

    def _tell_failures(self) -> None:
        """Tell of the failures for which there might have been, but was not, an explanation."""
        for failure in self._report.failures:
            if isinstance(failure.error, _MAY_BE_EXPLAINED):
                self._tell(failure)
        if self._ended_early:
            logger.error("not all projects were worked on, since stop-on-error is true")

    def _checkpoint(self, todo: TodoList) -> None:
        """Save the todo list every few seconds, after the data of the projects that are off it is durable."""
        begin = time.monotonic()
        if begin < self._next_checkpoint:
            return
        self._storage.flush()
        self._states.save_todo(todo)
        spent = time.monotonic() - begin
        pause = max(self._pace.checkpoint_seconds, spent / self._pace.checkpoint_share)
        self._next_checkpoint = time.monotonic() + pause

    def _unwind(self) -> None:
        """End the workers, and leave nothing half-written; the todo list stays as it was saved last."""
        self._stop.set()
        self._executor.shutdown(wait=False, cancel_futures=True)
        end = time.monotonic() + self._pace.unwind_seconds
        while self._storage.is_writing() and time.monotonic() < end:
            time.sleep(LOOK_SECONDS / 10)
        self._storage.abandon()

    def _finish(self, todo: TodoList, saved: SavedState) -> None:
        """Root index, then removals, then the record of it all: the reverse of the order in which things appear."""
        self._storage.flush()
        gone = set(self._removals.projects)
        is_complete = len(todo) == len(gone)

        def held() -> Iterator[IndexedProject]:
            for project in self._inventory.projects():
                if self._stop.is_set():
                    raise InterruptedRunError
                if project.name not in gone:
                    yield IndexedProject(project.name, project.display_name, project.serial)

        self._root_index.write(held, todo.target_serial if is_complete else saved.serial or 0)
        for project in self._removals.projects:
            self._remove(project)
            todo.discard(project)
        if self._report.withheld is None:
            self._storage.delete(REMOVALS)
        self._storage.flush()
        if is_complete:
            self._states.finish(todo.target_serial, self._config.fingerprint)
        else:
            self._states.save_todo(todo)

    def _remove(self, project: NormalizedName) -> None:
        if self._stop.is_set():
            raise InterruptedRunError
        was_held = self._inventory.get(project) is not None
        keep_files = self._config.removals.deleted is not DeletedPolicy.REMOVE
        deleted_files = self._publisher.remove(project, keep_files=keep_files)
        self._report.removed += was_held
        logger.info("%s: removed, as upstream did; files deleted: %d", project, deleted_files)
