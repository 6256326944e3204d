"""``Work``: the middle of a run, in which the todo list is worked through.

Workers get jobs and report outcomes; only the main thread, which is here, touches the todo list, the report and the
progress.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence, Set
from contextlib import AbstractContextManager, suppress
from functools import partial
from itertools import islice

from msgspec.structs import replace

from bandersnatch.config.config import Config
from bandersnatch.errors import (
    AheadOfJournalError,
    InterruptedRunError,
    MirrorError,
    StaleMetadataError,
)
from bandersnatch.inifile.option import CompareMethod
from bandersnatch.names import NormalizedName
from bandersnatch.operations.explanations import changed_meanwhile, made_up, settle_pageless
from bandersnatch.operations.failures import Failures
from bandersnatch.operations.leftovers import Leftovers
from bandersnatch.operations.outcome_log import tell_behind, tell_settled
from bandersnatch.operations.removal_work import RemovalWork
from bandersnatch.operations.run_resources import RunResources
from bandersnatch.operations.tuning import Tuning
from bandersnatch.pages.remover import Remover
from bandersnatch.plan.removals import RemovalPolicy, Removals
from bandersnatch.plan.run_plan import RunPlan
from bandersnatch.plan.takeover_changes import TakeoverChanges
from bandersnatch.project.job import Result
from bandersnatch.project.job_context import build_context
from bandersnatch.project.package import failure as failed_with
from bandersnatch.project.package import work_on_project
from bandersnatch.project.report import Failure, Gone, Outcome, Report, Settled, Shrinks
from bandersnatch.project.shrinking import Shrinking
from bandersnatch.state.awaited import Awaited
from bandersnatch.state.inventory import Inventory
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.state.upstream_record import PagelessProject
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.workers.dispatch import Dispatcher
from bandersnatch.workers.link import SPARE_PROCESSES, PoolSize
from bandersnatch.workers.losses import recover_lost_worker
from bandersnatch.workers.pool import WorkerPool, worker_pool, workers_wanted
from bandersnatch.workers.recorder import Recorder
from bandersnatch.workers.scheduler import Schedule

logger = logging.getLogger(__name__)


class Work:
    """Works through the todo list of one run; ``report``, ``removals`` and ``selection`` have the results.

    ``save_todo`` saves the list every few seconds; None means that it is not persisted.
    """

    def __init__(
        self,
        config: Config,
        resources: RunResources,
        inventory: Inventory,
        tuning: Tuning,
        policy: RemovalPolicy,
        save_todo: Callable[[TodoList], object] | None = None,
    ) -> None:
        self._config, self._resources, self._inventory, self._tuning = config, resources, inventory, tuning
        self._upstream, self._storage, self._progress = resources.upstream, resources.storage, resources.progress
        self._policy, self._save_todo = policy, save_todo
        self._next_checkpoint = 0.0
        self._awaited: Set[NormalizedName] = frozenset()
        self._withdraw: Callable[[Set[Expectation]], int] = lambda _: 0
        self._ended: Callable[[], Sequence[Result]] = tuple
        self.pageless: tuple[PagelessProject, ...] = ()
        """The listed projects without a page, to be recorded."""
        self.notes_etags = True
        """Whether the next request for each page that is published may be conditional."""
        self.report = Report()
        self.selection = TakeoverChanges()
        self._failures = Failures(config, inventory, self.report, are_named=policy.are_named)
        self._removing = RemovalWork(config, resources, inventory, policy)
        self._recorder = Recorder(self._storage, inventory, Remover(self._storage, inventory, config.pages))
        self._shrinking = Shrinking()

    def carry_out(self, plan: RunPlan) -> None:
        """Work on all projects of the plan, as far as upstream allows.

        Raises:
            StorageError: the disk refused.
            InterruptedRunError: the run was asked to stop.
        """
        try:
            self._work(plan)
        except BaseException as error:
            if isinstance(error, MirrorError):
                self._record_ended(plan.todo)
            self._resources.unwind(self._tuning.unwind_seconds)
            raise
        finally:
            self._progress.stop()
        self._failures.tell_unexplained(is_removal_left=bool(self.removals.files))

    @property
    def removals(self) -> Removals:
        """What the run is about to remove."""
        return self._removing.removals

    @property
    def unconfirmed(self) -> list[NormalizedName]:
        """Projects removed without a journal entry."""
        return self._removing.unconfirmed

    def remove_gone(self, todo: TodoList) -> None:
        """Take away the projects that upstream has removed or filters drop; the root index must no longer list them.

        Raises:
            StorageError: the disk refused.
            InterruptedRunError: the run was asked to stop.
        """
        self.report.removed += self._removing.carry_out(todo)
        for failure in self._removing.failures:
            self._failures.take_removal(failure)

    def _work(self, plan: RunPlan) -> None:
        """Work on all projects; those whose pages would remove files come last, when it is known how much that is."""
        self._next_checkpoint = time.monotonic() + self._tuning.checkpoint_seconds
        self._awaited = self._inventory.awaited_serials().keys()
        with self._pool(plan) as pool:
            dispatcher = Dispatcher(pool, work_on_project, _failed, self._inventory, self._resources.stop.is_set)
            self._withdraw, self._ended = dispatcher.withdraw, dispatcher.ended
            work_on = partial(self._work_on, partial(dispatcher.work, window=pool.window), plan)
            self._progress.start(len(plan.todo))
            work_on(list(plan.todo), may_remove=self._policy.allows_all)
            if plan.own_serials is not None and not self._policy.are_named:
                self.report.failures, self.pageless = settle_pageless(
                    self.report.failures, plan.todo, plan.own_serials.pageless, self._is_here
                )
            work_on(self._explained(plan.todo), may_remove=self._policy.allows_all)
            if not self._is_ending():
                self.report.excluded -= self._removing.keep_own(plan.todo)
            if self.removals:
                self.report.withheld = self._removing.withhold(plan.reconfigured)
            if self.removals and not self._failures.ended_early:
                work_on(list(self.removals.files), may_remove=True)

    def _pool_size(self, todo: TodoList) -> PoolSize:
        """Return several processes where the work is worth it; a short list has no spare ones, since each takes 4 MB."""
        tuning = self._tuning
        workers = workers_wanted(self._config.http.workers)
        if len(todo) >= tuning.projects_for_processes:
            return PoolSize(workers, SPARE_PROCESSES)
        new = (project for project in todo if self._inventory.get(project) is None)
        has_many_new = len(list(islice(new, tuning.new_projects_for_processes))) == tuning.new_projects_for_processes
        return PoolSize(workers) if has_many_new else PoolSize()

    def _pool(self, plan: RunPlan) -> AbstractContextManager[WorkerPool]:
        """Start the workers for the plan, and stop them at the end of the block."""
        check_digests = plan.recheck and self._config.compare_method is CompareMethod.HASH
        check_digests = check_digests or Leftovers(self._storage, self._inventory).are_possible()
        context = build_context(self._config, self._policy, self._upstream.documents, self._storage, self._is_ending)
        context = replace(
            context,
            rules=replace(context.rules, check_digests=check_digests),
            chooser=replace(context.chooser, keeps_held=plan.keeps_held),
            publisher=replace(context.publisher, notes_etags=self.notes_etags),
            received=self._progress.received,
        )
        recover = partial(recover_lost_worker, self._storage, self._inventory)
        return worker_pool(context, self._config.http, self._upstream.limits, self._pool_size(plan.todo), recover)

    def _explained(self, todo: TodoList) -> list[NormalizedName]:
        """Return the projects whose failures upstream can now explain, to be worked on once more."""
        failures = self.report.failures
        if not self._upstream.asks_journal or self._is_ending() or self._failures.ended_early:
            return []
        explained = changed_meanwhile(failures, todo, self._upstream)
        failures = [failure for failure in failures if failure.project not in explained]
        if not self._policy.are_named:
            ended = made_up(failures, todo, self._upstream, self._is_here)
            failures = [failure for failure in failures if failure.project not in ended]
            for project in sorted(ended):
                logger.info("%s: it has no page, and upstream no longer lists it: it leaves the todo list", project)
                todo.discard(project)
        self.report.failures = failures
        return sorted(explained)

    def _is_here(self, project: NormalizedName) -> bool:
        return self._inventory.get(project) is not None or bool(self._inventory.unsettled(project))

    def _work_on(
        self,
        work: Callable[[Schedule], Iterator[list[Result]]],
        plan: RunPlan,
        projects: Collection[NormalizedName],
        *,
        may_remove: bool,
    ) -> None:
        delays = self._tuning.stale_delays_seconds
        schedule = Schedule(plan, projects, may_remove=may_remove, prepared=self._shrinking.take, stale_delays=delays)
        self.report.untried += len(projects)
        for results in work(schedule):
            # One failure may end the run; what the others have come to is taken before.
            for outcome in sorted(self._recorder.record(results), key=lambda each: isinstance(each, Failure)):
                self._take(outcome, plan.todo, schedule)
            self._checkpoint(plan.todo)

    def _record_ended(self, todo: TodoList) -> None:
        """Record what workers had done when the run was stopped, so that the next one need not look at it again."""
        with suppress(MirrorError):  # the error that ends the run is the one to be told
            for outcome in self._recorder.record(self._ended()):
                if isinstance(outcome, Settled):
                    self._take_settled(outcome, todo)
            self._next_checkpoint = 0.0
            self._checkpoint(todo)

    def _is_ending(self) -> bool:
        """Whether the workers should drop what they have not started."""
        return self._resources.stop.is_set() or self._failures.is_index_down

    def _take(self, outcome: Outcome, todo: TodoList, schedule: Schedule) -> None:
        """Record the outcome of a project."""
        match outcome:
            case Settled():
                self._take_settled(outcome, todo)
            case Gone():
                self._take_gone(outcome, todo)
            case Shrinks(project, files, filtered):
                self._shrinking.keep(outcome)
                self.removals.add_files(project, files, filtered)
                self.report.untried -= 1
                self.selection.note(project, dropped=filtered)
                return
            case Failure(project, StaleMetadataError() | AheadOfJournalError() as error) if schedule.postpone(
                project, time.monotonic()
            ):
                logger.debug("%s; it is requested again later in this run", error)
                return
            case Failure(_, InterruptedRunError()):
                return
            case Failure():
                self._failures.take(outcome, todo, schedule, self._withdraw)
        self._progress.project_done()
        self.report.untried -= 1

    def _take_gone(self, gone: Gone, todo: TodoList) -> None:
        project = gone.project
        if not self._removing.take_gone(gone, todo[project]):
            todo.discard(project)
        elif gone.excluded_by is not None:
            held = self._inventory.get(project)
            self.selection.note(project, dropped=held.files if held is not None else 0)
            self.report.excluded += 1

    def _take_settled(self, settled: Settled, todo: TodoList) -> None:
        self.report.count(settled)
        self.report.excluded += settled.excluded_by is not None
        tell_settled(settled, is_named=self._policy.are_named)
        self._note_awaited(settled, todo[settled.project])
        self.selection.note(settled.project, dropped=settled.filtered_files, added=settled.added_files)
        self.removals.files.pop(settled.project, None)
        todo.discard(settled.project)

    def _note_awaited(self, settled: Settled, entry: TodoEntry) -> None:
        """Record that upstream has not yet served all that it announced, or that an awaited project was asked for again."""
        is_behind = entry.expectation is Expectation.LISTED and 0 < settled.serial < entry.serial
        if is_behind and settled.project not in self._awaited:
            tell_behind(settled, entry.serial)
        if (is_behind or settled.is_incomplete or settled.project in self._awaited) and settled.excluded_by is None:
            what = Awaited(entry.serial if is_behind else 0, settled.is_incomplete)
            self._inventory.note_awaited(settled.project, what)

    def _checkpoint(self, todo: TodoList) -> None:
        """Save the todo list every few seconds, after the data of the projects that left it is durable."""
        begin = time.monotonic()
        if self._save_todo is None or begin < self._next_checkpoint:
            return
        self._storage.flush()
        self._save_todo(todo)
        spent = time.monotonic() - begin
        pause = max(self._tuning.checkpoint_seconds, spent / self._tuning.checkpoint_share)
        self._next_checkpoint = time.monotonic() + pause


def _failed(project: NormalizedName, error: Exception) -> Result:
    return Result(failed_with(project, error))
