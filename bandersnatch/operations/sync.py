"""``Sync``: brings some projects up to date by name, now, and leaves the rest of the mirror as it is.

``state`` stays as it is, and only the work done on these projects leaves the todo list. All their files are checked.
"""

import logging
import time
from collections.abc import Collection

from msgspec.structs import replace

from bandersnatch.config.config import Config
from bandersnatch.config.fingerprint import FORM, INDEX, changed_between
from bandersnatch.errors import ChangedConfigurationError, OtherIndexError, UpstreamError
from bandersnatch.filters.filters import NO_FILTERS
from bandersnatch.names import NormalizedName
from bandersnatch.operations.outcome_log import tell_refused
from bandersnatch.operations.run_resources import RunResources
from bandersnatch.operations.session import Foreign, Session
from bandersnatch.operations.tuning import Tuning
from bandersnatch.operations.work import Work
from bandersnatch.plan.own_serials import recall
from bandersnatch.plan.reconfiguration import may_have_other_filters
from bandersnatch.plan.removals import RemovalPolicy
from bandersnatch.plan.run_plan import RunPlan
from bandersnatch.project.report import Report
from bandersnatch.state.saved_state import SavedState
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.upstream.changelog_actions import Expectation

logger = logging.getLogger(__name__)


class Sync:
    """One call of ``bandersnatch sync``."""

    def __init__(
        self,
        config: Config,
        resources: RunResources,
        tuning: Tuning | None = None,
        *,
        allow_removals: bool = False,
        ignore_filters: bool = False,
    ) -> None:
        config = replace(config, filters=NO_FILTERS) if ignore_filters else config
        self._config, self._storage = config, resources.storage
        self._upstream = resources.upstream
        self._session = Session.of(config, self._storage, resources.stop)
        self._inventory, self._states = self._session.inventory, self._session.states
        policy = RemovalPolicy.of(config.removals, allows_all=allow_removals, are_named=True)
        self._work = Work(config, resources, self._inventory, tuning or Tuning(), policy)
        self.excluded: list[NormalizedName] = []
        """The projects that the filters drop; they were left as they are."""

    def run(self, projects: Collection[NormalizedName], *, skip_root_index: bool) -> Report:
        """Bring the projects up to date.

        A project that upstream does not have is a failure; if the mirror has it, it stays, unless the changelog says
        that it was removed.

        Raises:
            OtherIndexError: the mirror is of another index than the configured one.
            ChangedConfigurationError: its pages are in another form.
            NotTakenOverError: another bandersnatch made it.
            LockHeldError: another run works on the directory.
            StorageError: the disk refused.
            InterruptedRunError: the run was asked to stop.
        """
        started = time.monotonic()
        with self._session.opened(Foreign.REFUSE, self._check_configuration) as is_rebuilt:
            saved = self._session.saved_state(is_rebuilt=is_rebuilt)
            recall(self._upstream, self._storage, self._inventory)
            todo = self._todo(projects, saved)
            has_other_filters = may_have_other_filters(self._config.fingerprint, *self._states.load_fingerprints())
            if has_other_filters:
                # Pages that have not changed upstream were shaped by the old filters, so fetch them unconditionally. And
                # what this command writes, however far it gets, must not count as unchanged for a run with the new filters.
                self._inventory.forget_etags_of(projects)
                self._work.notes_etags = False
            self._work.carry_out(RunPlan(todo, recheck=True, is_new=True))
            self._finish(todo, saved, skip_root_index=skip_root_index)
            if saved.todo is not None and not has_other_filters:
                self._save_rest(projects, todo, saved.todo)
            tell_refused(self._work.report.refused)
            self._work.report.seconds = time.monotonic() - started
            return self._work.report

    def _check_configuration(self) -> None:
        """Refuse to write pages of another index, or in another form, beside those of all other projects."""
        self._states.renew_fingerprints(self._config.renewed)
        before, changing_to = self._states.load_fingerprints()
        made_with = changing_to or before
        changed = changed_between(made_with, self._config.fingerprint) if made_with is not None else ()
        if INDEX in changed:
            raise OtherIndexError(self._config.directory, self._states.load_index(), self._upstream.url)
        if FORM in changed:
            raise ChangedConfigurationError(self._config.directory, [FORM])

    def _todo(self, projects: Collection[NormalizedName], saved: SavedState) -> TodoList:
        """Return this run's todo list: existing expectations stay; otherwise any page no older than ours will do."""
        before = saved.todo or TodoList(saved.serial or 0)
        todo = TodoList(before.target_serial or self._newest_serial())
        for project in projects:
            display_name = self._display_name(project)
            verdict = self._config.filters.project(project, display_name)
            if not verdict.keeps:
                logger.warning("%s: not synced, since %s; --ignore-filters overrides that", project, verdict)
                self.excluded.append(project)
                continue
            entry = before.get(project)
            is_owed = entry is not None and entry.expectation is not Expectation.EXCLUDED
            todo.add(project, entry if entry and is_owed else TodoEntry(display_name, 0, Expectation.LISTED))
        return todo

    def _newest_serial(self) -> int:
        """Return the serial from which the changelog could explain a failure; 0 if there is no changelog."""
        if not self._upstream.asks_journal:
            return 0
        try:
            return self._upstream.last_serial()
        except UpstreamError:
            return 0

    def _display_name(self, project: NormalizedName) -> str:
        if (record := self._inventory.get(project)) is not None:
            return record.display_name
        try:
            return self._upstream.display_name(project)
        except UpstreamError:
            return project  # until the changelog spells it

    def _finish(self, todo: TodoList, saved: SavedState, *, skip_root_index: bool) -> None:
        """Write the root index, then remove; without a completed run, the root index has reached no serial."""
        self._storage.flush()
        gone = self._work.removals.projects
        if not skip_root_index:
            self._session.write_root_index(saved.serial or 0, set(gone))
        self._work.remove_gone(todo)
        self._storage.flush()

    def _save_rest(self, projects: Collection[NormalizedName], todo: TodoList, rest: TodoList) -> None:
        """Take what was done off the saved todo list; whatever remains on this command's list is not done."""
        left = {*todo, *self.excluded}
        done = [project for project in projects if project in rest and project not in left]
        for project in done:
            rest.discard(project)
        if done:
            self._states.save_todo(rest)
