"""``Mirror``: one run, from the lock to the root index; it returns a ``Report``.

Plan, persist, work, finish.
"""

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from bandersnatch.amounts import count_of
from bandersnatch.config.config import Config
from bandersnatch.config.fingerprint import INDEX, changed_between
from bandersnatch.errors import LostProjectsError
from bandersnatch.names import NormalizedName
from bandersnatch.operations.leftovers import Leftovers
from bandersnatch.operations.outcome_log import tell_refused
from bandersnatch.operations.run_resources import RunResources
from bandersnatch.operations.session import Foreign, Session
from bandersnatch.operations.tuning import Tuning
from bandersnatch.plan.allowlisted import allowlisted, tell_missing
from bandersnatch.plan.basis import Basis
from bandersnatch.plan.own_projects import OwnProjects
from bandersnatch.plan.own_serials import found_shadowmire, recall
from bandersnatch.plan.reconfiguration import Reconfiguration, reconfiguration
from bandersnatch.plan.refresh import Refresh, plan_refresh
from bandersnatch.plan.removals import RemovalPolicy
from bandersnatch.plan.run_plan import RunPlan, plan_run
from bandersnatch.project.report import Report
from bandersnatch.state.saved_state import SavedState
from bandersnatch.state.todo import TodoEntry
from bandersnatch.state.unconfirmed import Unconfirmed
from bandersnatch.state.upstream_record import PagelessProject, save_upstream
from bandersnatch.storage.access import tell_closed_folders, tell_ignored_case
from bandersnatch.storage.layout import LAST_MODIFIED, REMOVALS
from bandersnatch.storage.mirror_folder import record_mirror
from bandersnatch.upstream.changelog_actions import Expectation

if TYPE_CHECKING:
    from bandersnatch.operations.work import Work

logger = logging.getLogger(__name__)


_MANY = 1000


class Mirror:
    """One mirror, for one run."""

    def __init__(
        self,
        config: Config,
        resources: RunResources,
        policy: RemovalPolicy,
        tuning: Tuning | None = None,
        *,
        must_check_all: bool = False,
        session: Session | None = None,
    ) -> None:
        self._config, self._storage, self._stop = config, resources.storage, resources.stop
        self._upstream, self._resources, self._tuning = resources.upstream, resources, tuning or Tuning()
        self._session = session or Session.of(config, self._storage, self._stop, self._tuning.wall_clock)
        self._inventory, self._states = self._session.inventory, self._session.states
        self._policy, self._must_check_all = policy, must_check_all
        self._own = OwnProjects(self._storage, self._inventory)
        self._unconfirmed = Unconfirmed(self._storage, time.time())
        self._leftovers = Leftovers(self._storage, self._inventory)
        self._pageless: tuple[PagelessProject, ...] | None = None

    def run(self) -> Report:
        """Bring the mirror up to date.

        Raises:
            LockHeldError: another run works on the directory.
            MissingDirectoryError: the directory, or the mirror in it, is missing.
            UpstreamError: upstream could not be asked what to do. An outage during the work is part of the report.
            StorageError: the disk refused.
            InterruptedRunError: the run was asked to stop; the todo list has what is left.
        """
        begun, started, now = datetime.now(UTC), time.monotonic(), self._tuning.wall_clock()
        with self._session.opened(Foreign.TAKE_OVER) as is_rebuilt:
            saved = self._load_state(is_rebuilt=is_rebuilt)
            plan, report = self._plan(saved), Report()
            if plan.is_new or is_rebuilt or not self._session.has_root_index():
                if self._must_check_all:
                    self._states.forget()  # only once upstream has answered, so that an outage costs nothing
                self._persist(plan)
                report = self._carry_out(plan, saved)
            elif plan.followed != saved.followed:
                self._states.save_followed(plan.followed)
            if report.outage is None and report.withheld is None:
                report.add(self._look_again(now, plan, saved.serial if plan.todo else plan.todo.target_serial))
            self._record_upstream(plan, is_complete=not plan.todo and report.withheld is None)
            if not plan.todo and self._leftovers.are_possible():
                self._leftovers.delete(self._policy, self._stop.is_set)
            if not plan.todo:
                self._storage.write_bytes(LAST_MODIFIED, f"{begun:%Y%m%dT%H:%M:%S}\n".encode())
            if plan.is_new and self._config.disk.manages_permissions:  # otherwise the operator manages the modes
                tell_closed_folders(self._config.directory)
            if plan.recheck:
                tell_ignored_case(self._config.directory)
            record_mirror(self._config.directory)
            tell_refused(report.refused)
            report.serial, report.seconds = plan.todo.target_serial, time.monotonic() - started
            return report

    def _persist(self, plan: RunPlan) -> None:
        """Record what is to be done, in this order: begin_change relies on a saved todo list that does the work."""
        self._record_upstream(plan, is_complete=False)
        self._states.save_changelog_serial(plan.changelog_serial)
        self._states.save_todo(plan.todo)
        self._states.begin_change(self._config.fingerprint)
        self._states.save_followed(plan.followed)
        record_mirror(self._config.directory)

    def preview(self, *, is_rebuilt: bool) -> RunPlan:
        """Return what a run would do now; the caller must have opened a dry session."""
        if self._must_check_all:
            self._states.forget()
        return self._plan(self._load_state(is_rebuilt=is_rebuilt))

    def _load_state(self, *, is_rebuilt: bool) -> SavedState:
        if self._must_check_all:
            return SavedState(None, None, self._states.load().changelog_serial)
        return self._session.saved_state(is_rebuilt=is_rebuilt)

    def _plan(self, saved: SavedState) -> RunPlan:
        self._states.renew_fingerprints(self._config.renewed)
        differs = self._forget_what_another_configuration_made(saved)
        record = recall(self._upstream, self._storage, self._inventory)
        before = self._states.load_fingerprints()[0]
        took_over = before is None and self._config.tree is not None and self._config.tree.name is not None
        basis = Basis(
            self._upstream, self._inventory, self._config.filters, record, self._policy.allows_all, took_over=took_over
        )
        plan = plan_run(saved, basis, must_check_all=differs)
        if took_over and plan.own_serials is None:
            self._inventory.forget_serials()
        if before is None:  # no run of ours has completed here
            plan = replace(plan, recheck=True)
        else:
            plan = replace(plan, reconfigured=changed_between(before, self._config.fingerprint))
        plan = self._with_own_projects(plan, saved, differs=differs)
        self._check_for_outage(plan)
        if self._upstream.asks_journal:  # the root index lists projects that have returned
            is_any_asked_for = self._unconfirmed.add_to(plan.todo, lambda name: self._inventory.get(name) is not None)
            plan = replace(plan, is_new=plan.is_new or is_any_asked_for)
        logger.info("%s to look at, up to serial %d", count_of(len(plan.todo), "project"), plan.todo.target_serial)
        if plan.recheck or plan.is_resync or plan.reconfigured:  # only then is every kept project on the list
            names = [
                entry.display_name
                for project in plan.todo
                if (entry := plan.todo[project]).expectation is not Expectation.EXCLUDED
            ]
            for warning in self._config.filters.overlooked(names):
                logger.warning("%s", warning)
        return plan

    def _with_own_projects(self, plan: RunPlan, saved: SavedState, *, differs: bool) -> RunPlan:
        """Leave out the operator's own projects, about which upstream knows nothing; or remove them, if that is allowed."""
        own = self._own.names()
        if not self._policy.keeps_own:
            for project in own:
                if project not in plan.todo:
                    plan.todo.add(project, TodoEntry(project, 0, Expectation.REMOVED))
            return replace(plan, is_new=plan.is_new or bool(own))
        missing = [project for project in own if project in plan.todo and plan.todo[project].serial == 0]
        for project in missing:
            plan.todo.discard(project)
        is_at_target = saved.todo is None and saved.serial == plan.todo.target_serial and not differs
        return replace(plan, is_new=False) if missing and not plan.todo and is_at_target else plan

    def _check_for_outage(self, plan: RunPlan) -> None:
        """Refuse a list of all projects that lacks most of what we hold, if that is much.

        Otherwise the page of each missing project is requested, and the brake holds back the removals. For many
        projects, that would be a flood of requests to an ailing upstream.

        Raises:
            LostProjectsError: it is such a list.
        """
        if plan.own_serials is not None and not plan.own_serials.record.has_root:
            return  # nothing is listed
        unlisted = [project for project in plan.todo if plan.todo[project].is_unlisted]
        missing = sum(self._inventory.get(project) is not None for project in unlisted)
        held = self._inventory.project_count()
        if missing >= _MANY and 2 * missing > held and INDEX not in plan.reconfigured and not self._policy.allows_all:
            raise LostProjectsError(self._upstream.url, missing, held)

    def _forget_what_another_configuration_made(self, saved: SavedState) -> bool:
        """Let no page count as unchanged that another configuration made; return whether every project is looked at."""
        before, changing_to = self._states.load_fingerprints()
        change = reconfiguration(self._config.fingerprint, before, changing_to, saved)
        if change not in (None, Reconfiguration.OTHER_PROGRAM):
            logger.info("the configuration has changed since the pages were written")
        match change:
            case Reconfiguration.OTHER_INDEX:
                self._inventory.forget_serials()
            case Reconfiguration.OTHER_PAGES | Reconfiguration.OTHER_PROGRAM:
                self._inventory.forget_etags()
            case Reconfiguration.OTHER_NAMES | None:
                pass
        return change is not None

    def _record_upstream(self, plan: RunPlan, *, is_complete: bool) -> None:
        """Record what was found out about the index, if it has no serials."""
        if plan.own_serials is not None:
            # What it does not list and still has a page is asked about again.
            missing = plan.own_serials.missing - self._own.names() if is_complete else frozenset[NormalizedName]()
            unlisted = [name for name in missing if self._inventory.get(name) is not None]
            record = plan.own_serials.recorded(is_complete=is_complete, unlisted=unlisted)
            pageless = record.pageless if self._pageless is None else self._pageless
            save_upstream(self._storage, replace(record, pageless=pageless))
        elif self._upstream.has_local_json:
            save_upstream(self._storage, found_shadowmire(self._upstream))

    def _carry_out(self, plan: RunPlan, saved: SavedState) -> Report:
        from bandersnatch.operations.work import Work  # noqa: PLC0415 - a run with nothing new has no work, and should start fast

        work = Work(self._config, self._resources, self._inventory, self._tuning, self._policy, self._states.save_todo)
        work.carry_out(plan)
        is_first = (
            self._states.load_fingerprints()[0] is None
        )  # what is held was made by another program, or not at all
        if is_first and (told := work.selection.told(self._config.filters.names)) is not None:
            logger.warning("%s", told)
        self._pageless = work.pageless
        self._finish(work, plan, saved)
        return work.report

    def plan_refresh(self, now: float, plan: RunPlan) -> Refresh:
        """Return which projects a run that began at ``now`` checks again."""
        return plan_refresh(self._inventory, self._config.filters, self._config.refresh_seconds, plan, now)

    def _look_again(self, now: float, plan: RunPlan, reached: int | None) -> Report:
        """Check this run's share of the projects without news; ``state`` and ``todo`` stay as they are.

        Projects left over from the run's own work are skipped: they were requested a moment ago.
        """
        refresh = self.plan_refresh(now, plan)
        asked_already = {project for project in refresh.todo if project in plan.todo}
        for project in asked_already:
            refresh.todo.discard(project)
        if not refresh.todo:
            refresh.record(self._inventory, asked_already, asked_already)
            return Report()
        from bandersnatch.operations.work import Work  # noqa: PLC0415 - as above

        logger.info("projects to check again, although nothing says that they have changed: %d", len(refresh.todo))
        asked = dict.fromkeys(refresh.todo)
        before = {each.name: each for each in filter(None, map(self._inventory.get, asked))}
        work = Work(self._config, self._resources, self._inventory, self._tuning, self._policy)
        work.carry_out(RunPlan(refresh.todo, recheck=False, is_new=True, keeps_held=True))
        gone = set(work.removals.projects)
        not_done = {*refresh.todo} - gone
        not_had = (*work.report.failures, *work.report.late)
        failed = not_done if work.report.withheld else {failure.project for failure in not_had}
        self._storage.flush()
        refresh.record(self._inventory, {*asked} - (not_done - failed) | asked_already, failed | asked_already)
        after = ((before[name], self._inventory.get(name)) for name in before)
        if gone or any(new and (new.display_name, new.serial) != (old.display_name, old.serial) for old, new in after):
            if plan.own_serials is not None and not plan.todo:  # what has changed has this serial
                reached = plan.todo.target_serial = plan.own_serials.next
            self._session.write_root_index(reached or 0, gone)
            work.remove_gone(refresh.todo)
            self._unconfirmed.save(work.unconfirmed)
            self._storage.flush()
            if plan.own_serials is not None and not plan.todo:
                self._states.finish(plan.own_serials.next, self._config.fingerprint)
        return work.report

    def _finish(self, work: "Work", plan: RunPlan, saved: SavedState) -> None:
        """Write the root index, then remove, then record: the reverse of the order in which things appear."""
        self._storage.flush()
        todo, gone = plan.todo, set(work.removals.projects)
        if plan.own_serials is not None:
            if todo.target_serial == plan.own_serials.next and not work.report.updated and not gone:
                todo.target_serial -= 1  # nothing has changed, so nothing has the new serial
            if not plan.own_serials.record.has_root and (plan.recheck or plan.reconfigured):
                failed = {failure.project for failure in work.report.failures}
                tell_missing(
                    allowlisted(self._config.filters) - failed, lambda name: self._inventory.get(name) is not None
                )
        is_complete = len(todo) == len(gone)
        reached = todo.target_serial if is_complete else saved.serial or 0
        self._session.write_root_index(reached, gone, anew=plan.recheck)
        work.remove_gone(todo)
        if own := self._own.names():
            logger.info("the root index lists your own projects too, which upstream never had: %d", len(own))
        self._unconfirmed.save(work.unconfirmed)
        if work.report.withheld is None:
            self._storage.delete(REMOVALS)
        self._storage.flush()
        if is_complete and not todo:
            self._states.finish(todo.target_serial, self._config.fingerprint)
        else:
            self._states.save_todo(todo)
