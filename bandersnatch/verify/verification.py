"""``Verification``: goes through the whole mirror, project by project, and repairs what differs from upstream.

It starts with what was verified longest ago, so a verification that is stopped again and again still gets through
everything. It needs constant memory: the inventory is read in batches, and findings are reported at once and not kept.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

from msgspec.structs import replace

from bandersnatch.config.config import Config
from bandersnatch.config.fingerprint import INDEX, changed_between
from bandersnatch.errors import (
    ChangedConfigurationError,
    HostDownError,
    InterruptedRunError,
    OtherIndexError,
    ProjectNotFoundError,
    StorageError,
    UnexplainedError,
)
from bandersnatch.filters.filters import NO_FILTERS
from bandersnatch.names import NormalizedName
from bandersnatch.operations.run_resources import RunResources
from bandersnatch.operations.session import Foreign, Session
from bandersnatch.operations.tuning import Tuning
from bandersnatch.pages.remover import Remover
from bandersnatch.plan.own_projects import OwnProjects
from bandersnatch.plan.own_serials import recall
from bandersnatch.plan.removals import RemovalPolicy, Removals, Totals
from bandersnatch.plan.run_plan import removed_since
from bandersnatch.project.job_context import build_context
from bandersnatch.project.report import Failure, Gone, Settled, Shrinks
from bandersnatch.state.inventory import HeldProject
from bandersnatch.verify.findings import Finding, Remedy, VerifyReport, VerifySettings
from bandersnatch.verify.project_check import Inspected, InspectionJobs, inspect_project, not_compared
from bandersnatch.verify.root_check import RootInspection
from bandersnatch.verify.tally import Tally
from bandersnatch.verify.unlisted_deletion import UnlistedDeletion
from bandersnatch.workers.dispatch import Dispatcher
from bandersnatch.workers.link import PoolSize
from bandersnatch.workers.pool import worker_pool
from bandersnatch.workers.recorder import Recorder

logger = logging.getLogger(__name__)

_MARK_SECONDS = 1.0
_DOUBTFUL_MOST = 10_000
"""How many failures are kept for the changelog to explain; an index that has lost more is broken."""


class Verification:
    """One call of ``bandersnatch verify``; ``tell`` receives each finding, and what was done about it."""

    def __init__(
        self,
        config: Config,
        resources: RunResources,
        settings: VerifySettings,
        tell: Callable[[Finding, Remedy], object],
        tuning: Tuning | None = None,
    ) -> None:
        self._config, self._settings, self._tuning = config, settings, tuning or Tuning()
        self._stop = stop = resources.stop
        self._session = Session.dry(config, stop) if settings.dry_run else Session.of(config, resources.storage, stop)
        self._storage, self._inventory = self._session.storage, self._session.inventory
        self._states, self._resources = self._session.states, replace(resources, storage=self._storage)
        self._own = OwnProjects(self._storage, self._inventory)
        self._end = float("inf")
        self._policy = RemovalPolicy.of(config.removals, allows_all=settings.allow_removals)
        self._removals = Removals()
        self._waiting: dict[NormalizedName, tuple[Finding, ...]] = {}
        self._doubtful: dict[NormalizedName, Failure] = {}
        self._done: list[NormalizedName] = []
        self._has_changed_projects = False
        self._next_mark = 0.0
        self._tally = Tally(self._storage, settings, tell)
        self.report = self._tally.report

    def run(self) -> VerifyReport:
        """Verify the mirror as far as the budget allows.

        Raises:
            NotTakenOverError: another bandersnatch made the mirror.
            OtherIndexError: the mirror is of another index than the configured one, or there is none yet.
            ChangedConfigurationError: it was made with another configuration.
            LockHeldError: a run works on the directory.
            StorageError: the disk refused.
            InterruptedRunError: the command was asked to stop.
        """
        begun = time.monotonic()
        if self._settings.budget_seconds is not None:
            self._end = self._tuning.clock() + self._settings.budget_seconds
        with self._session.opened(Foreign.REFUSE, self._check_configuration):
            recall(self._resources.upstream, self._storage, self._inventory)
            root = RootInspection(self._session, self._states.load().serial or 0, self._tally)
            try:
                root.look(repairs=not self._settings.dry_run)
                self._verify(root)
            except BaseException:
                self._resources.unwind(self._tuning.unwind_seconds)
                raise
            self._tally.close()
            self._storage.flush()
        self.report.seconds = time.monotonic() - begun
        return self.report

    def _verify(self, root: RootInspection) -> None:
        is_section = self._config.tree is not None and self._config.tree.name is not None
        if not self._settings.delete_unlisted or is_section:  # sought once, with all inventories, after all sections
            self._verify_projects(root)
            return
        deletion = UnlistedDeletion(self._storage, self._inventory, self._settings, self._policy, self._tally)
        with closing(deletion):
            if self._settings.budget_seconds is not None:  # the projects may use up the budget every time
                self._delete_unlisted(deletion, share=0.5)
            self._verify_projects(root)
            if not self._is_over():
                self._delete_unlisted(deletion, share=1.0)
            deletion.conclude()

    def _delete_unlisted(self, deletion: UnlistedDeletion, share: float) -> None:
        """Search for files that no page lists, for that share of the rest of the budget."""
        now = self._tuning.clock()
        end = now + share * (self._end - now)
        deletion.work(lambda: self._stop.is_set() or self._tuning.clock() >= end)
        if self._stop.is_set():
            raise InterruptedRunError

    def _check_configuration(self) -> None:
        """Refuse a configuration that only a full run can apply."""
        self._states.renew_fingerprints(self._config.renewed)
        before, changing_to = self._states.load_fingerprints()
        made_with = changing_to or before
        changed = changed_between(made_with or "", self._config.fingerprint)
        if made_with is None or INDEX in changed:
            raise OtherIndexError(self._config.directory, self._states.load_index(), self._resources.upstream.url)
        if changed:
            raise ChangedConfigurationError(self._config.directory, changed)

    def _is_over(self) -> bool:
        return self._stop.is_set() or self._tuning.clock() >= self._end

    def _is_out_of_time(self) -> bool:
        """Whether nobody is waited for any longer; workers have had a moment to stop on their own."""
        return self._stop.is_set() or self._tuning.clock() >= self._end + self._tuning.unwind_seconds

    def _verify_projects(self, root: RootInspection) -> None:
        moment = time.time()
        self._inventory.begin_verification(moment)
        self.report.held = self._inventory.project_count()
        progress = self._resources.progress
        progress.start(self.report.held)
        is_cut_short = False
        try:
            self._inspect(self._of_upstream(moment), may_remove=self._policy.allows_all)
            self._remove()
            self._explain()
        except InterruptedRunError:
            if self._stop.is_set():
                raise
            is_cut_short = True
        finally:
            self._mark()
            progress.stop()
        if self._has_changed_projects:
            root.follow()
        if is_cut_short:
            self._resources.unwind(0)  # the budget is used up, and some still wait for upstream
        self.report.is_complete = not self._is_over() and self.report.outage is None

    def _of_upstream(self, moment: float) -> Iterator[HeldProject]:
        """Yield what to compare with upstream: all but the operator's own projects, which upstream does not have."""
        own = self._own.names()
        for held in self._inventory.verified_before(moment):
            if held.name in own:
                self._end_project(held.name)
            else:
                yield held

    def _inspect(self, held: Iterator[HeldProject], *, may_remove: bool) -> None:
        """Inspect projects, some at a time."""
        context = build_context(
            self._config, self._policy, self._resources.upstream.documents, self._storage, self._is_over
        )
        rules = replace(context.rules, check_digests=self._settings.check_digests)
        notes_etags = self._config.filters == NO_FILTERS  # pages may have what the next run's filters drop
        publisher = replace(context.publisher, notes_etags=notes_etags)
        context = replace(context, rules=rules, publisher=publisher, received=self._resources.progress.received)
        jobs = InspectionJobs(held, lambda: self._is_over() or self._is_index_down(), may_remove=may_remove)
        recorder = Recorder(self._storage, self._inventory, Remover(self._storage, self._inventory, self._config.pages))
        inspect = partial(inspect_project, repairs=not self._settings.dry_run)
        http, limits = self._config.http, self._resources.upstream.limits
        with worker_pool(context, http, limits, PoolSize(), lambda _: None) as pool:
            dispatcher = Dispatcher(pool, inspect, not_compared, self._inventory, self._is_out_of_time)
            for all_inspected in dispatcher.work(jobs, pool.window):
                for inspected in all_inspected:
                    self._take(inspected, recorder)
                if time.monotonic() >= self._next_mark:
                    self._mark()

    def _is_index_down(self) -> bool:
        outage = self.report.outage
        return isinstance(outage, HostDownError) and outage.is_index

    def _take(self, inspected: Inspected, recorder: Recorder) -> None:
        [outcome] = recorder.record([inspected.result]) if inspected.result is not None else [None]
        match outcome:
            case None:
                self._tally.count(inspected.findings, is_repaired=False)
                self._end_project(inspected.project)
            case Settled() as settled:
                self._has_changed_projects = True
                self._tally.count_fetched(settled)
                self._tally.count(inspected.findings, is_repaired=True)
                self._end_project(inspected.project)
            case Shrinks(project, files):
                self._removals.add_files(project, files, 0)
                self._waiting[project] = inspected.findings
            case Failure(_, InterruptedRunError()):
                pass  # the next verification starts it again
            case Failure(_, error):
                self._take_failure(inspected, outcome, error)
            case Gone(project):
                raise AssertionError(f"{project}: a verification removes no project")

    def _take_failure(self, inspected: Inspected, failure: Failure, error: Exception) -> None:
        if isinstance(error, HostDownError):
            if self.report.outage is None:
                logger.error("%s", error)
            self.report.outage = error if self.report.outage is None or error.is_index else self.report.outage
            self.report.failed += 1  # logged once, not for each project
        elif isinstance(error, StorageError) and error.stops_run and inspected.is_compared:
            raise error  # the disk can't be written to
        elif isinstance(error, UnexplainedError) and len(self._doubtful) < _DOUBTFUL_MOST:
            self._doubtful[inspected.project] = failure
        else:
            self._tally.fail(failure)
        self._tally.count(inspected.findings, is_repaired=False)
        self._resources.progress.project_done()

    def _end_project(self, project: NormalizedName) -> None:
        self._waiting.pop(project, None)
        self._removals.files.pop(project, None)
        self._done.append(project)
        self.report.verified += 1
        self._resources.progress.project_done()

    def _mark(self) -> None:
        """Record what was verified, so that the next verification begins with the rest."""
        self._next_mark = time.monotonic() + _MARK_SECONDS
        if self._done:
            self._inventory.mark_verified(self._done, time.time())
            self._done.clear()

    def _remove(self) -> None:
        """Have files removed from pages, if they are not too many."""
        if not self._removals or self._is_over():
            return
        too_much = self._policy.excess(self._removals, Totals(*self._inventory.totals()))
        if too_much is None:
            held = (self._inventory.get(project) for project in list(self._removals.files))
            self._inspect((record for record in held if record is not None), may_remove=True)
            return
        self._tally.withhold(too_much, [self._removals.listing()])
        for findings in self._waiting.values():
            self._tally.count(findings, is_repaired=False)
            self._resources.progress.project_done()

    def _explain(self) -> None:
        """Ask the changelog about projects that upstream seems to have removed, or emptied, a moment ago."""
        if not self._doubtful or self._is_over():
            return
        missing = [project for project, failure in self._doubtful.items() if _has_no_page(failure)]
        own = self._own.find(missing, self._resources.upstream)
        for project in own:
            del self._doubtful[project]
            self._end_project(project)
        explained = removed_since(self._states.load(), self._resources.upstream)
        for project, failure in self._doubtful.items():
            if project in explained:
                logger.info("%s: upstream has changed it meanwhile; the next bandersnatch mirror checks it", project)
            else:
                self._tally.fail(failure)


def _has_no_page(failure: Failure) -> bool:
    return isinstance(failure.error, ProjectNotFoundError)
