"""``DryRun``: plans a run as ``Mirror`` does, and writes nothing; it takes no lock and works while a run is in progress."""

import time

from msgspec.structs import replace

from bandersnatch.config.config import Config
from bandersnatch.errors import (
    AheadOfJournalError,
    HostDownError,
    MirrorError,
    ProjectNotFoundError,
    StaleMetadataError,
)
from bandersnatch.inifile.option import CompareMethod, DeletedPolicy
from bandersnatch.names import NormalizedName
from bandersnatch.operations.mirror import Mirror
from bandersnatch.operations.removal_work import RemovalWork
from bandersnatch.operations.run_resources import RunResources
from bandersnatch.operations.session import Foreign, Session
from bandersnatch.operations.tuning import Tuning
from bandersnatch.pages.publisher import Publication, Publisher
from bandersnatch.pages.stored_page import read_held_page
from bandersnatch.plan.file_plan import FileWork
from bandersnatch.plan.forecast import FileCount, Forecast, PlannedRemoval, PlannedUpdate
from bandersnatch.plan.pageless import Pageless
from bandersnatch.plan.removals import RemovalPolicy, Totals
from bandersnatch.plan.run_plan import RunPlan
from bandersnatch.plan.takeover_changes import TakeoverChanges, reasons
from bandersnatch.project.completion import count_filter_changes
from bandersnatch.project.job_context import build_context
from bandersnatch.project.package import failure, plan_project
from bandersnatch.project.preparation import dropped_files
from bandersnatch.project.prepared import Prepared
from bandersnatch.project.report import Failure, Gone, Outcome
from bandersnatch.state.todo import TodoEntry
from bandersnatch.storage.layout import Layout, StoredPath, file_path, is_metadata, json_paths
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.workers.dispatch import Dispatcher
from bandersnatch.workers.link import PoolSize
from bandersnatch.workers.pool import worker_pool
from bandersnatch.workers.scheduler import Schedule


class DryRun:
    """One dry run. With ``fetch_pages`` it requests every page that a run would request."""

    def __init__(
        self, config: Config, resources: RunResources, tuning: Tuning | None = None, *, must_check_all: bool = False
    ) -> None:
        self._config, self._tuning = config, tuning or Tuning()
        self._session = Session.dry(config, resources.stop)
        self._storage, self._inventory = self._session.storage, self._session.inventory
        self._resources = replace(resources, storage=self._storage)
        self._must_check_all = must_check_all
        self._policy = RemovalPolicy.of(config.removals)
        self._more_files = self._new_projects = 0
        self._selection = TakeoverChanges()
        self._pageless = Pageless({}, 0)

    def run(self, *, fetch_pages: bool, may_be_new: bool = False) -> Forecast:
        """Return what a run would do now; with ``may_be_new`` the mirror's directory need not exist.

        Raises:
            UpstreamError: upstream could not be asked.
            StorageError: the mirror can't be read.
            InterruptedRunError: the run was asked to stop.
        """
        mirror = Mirror(
            self._config, self._resources, self._policy, must_check_all=self._must_check_all, session=self._session
        )
        with self._session.opened(Foreign.TAKE_OVER, may_be_new=may_be_new) as is_rebuilt:
            plan = mirror.preview(is_rebuilt=is_rebuilt)
            saved = self._session.states.load()
            self._pageless = plan.own_serials.pageless if plan.own_serials is not None else self._pageless
            begin = saved.todo.target_serial if saved.todo is not None else saved.serial
            forecast = Forecast(begin, plan.todo.target_serial, fetch_pages)
            refresh = mirror.plan_refresh(self._tuning.wall_clock(), plan).todo
            for project in plan.todo:
                refresh.discard(project)
            self._look_ahead(forecast, plan)
            if fetch_pages:
                self._look_ahead(forecast, RunPlan(refresh, recheck=False, is_new=True, keeps_held=True))
            else:
                forecast.unchanged += len(refresh)
            if self._session.states.load_fingerprints()[0] is None:
                forecast.selection = self._told_selection(is_known=fetch_pages)
            forecast.updates.sort(key=lambda update: update.project)
            forecast.removals.sort(key=lambda removal: removal.project)
            return forecast

    def _look_ahead(self, forecast: Forecast, plan: RunPlan) -> None:
        """Add what the run would do for one todo list; the run's own functions decide what it would remove."""
        removing = RemovalWork(self._config, self._resources, self._inventory, self._policy)
        if forecast.is_full:
            self._fetch_pages(forecast, plan, removing)
        else:
            self._guess(forecast, plan, removing)
        gone = len(removing.removals.projects)
        removing.keep_own(plan.todo)
        forecast.unchanged += gone - len(removing.removals.projects)
        for project in removing.removals.projects:
            self._add_removal(forecast, project, removing)
        more = Totals(self._new_projects, self._more_files)
        withheld = removing.excess(more, is_reconfigured=bool(plan.reconfigured), are_files_known=forecast.is_full)
        forecast.withheld = forecast.withheld or withheld

    def _told_selection(self, *, is_known: bool) -> str | None:
        """Return how the filters' selection differs from that of the program that made the tree, or why it might."""
        filters = self._config.filters
        if is_known or not filters.shape_pages or not self._inventory.project_count():
            return self._selection.told(filters.names)
        may_be = "the filters may select other files than the program that made this tree; --full counts the files"
        return f"{may_be}; {reasons(filters.names)}"

    def _guess(self, forecast: Forecast, plan: RunPlan, removing: RemovalWork) -> None:
        """Forecast from the todo list alone."""
        for project in plan.todo:
            entry, record = plan.todo[project], self._inventory.get(project)
            if entry.expectation is Expectation.REMOVED:
                self._take_gone(forecast, Gone(project), entry, removing)
            elif entry.expectation is Expectation.EXCLUDED:
                verdict = self._config.filters.project(project, entry.display_name)
                self._take_gone(forecast, Gone(project, verdict), entry, removing)
            elif record is not None and entry.serial <= record.serial:
                forecast.unchanged += 1
            else:
                held_serial = None if record is None else record.serial
                self._new_projects += record is None
                forecast.updates.append(PlannedUpdate(project, entry.serial, held_serial))

    def _fetch_pages(self, forecast: Forecast, plan: RunPlan, removing: RemovalWork) -> None:
        """Ask for all pages, and let packages plan what to do with them."""
        resources, config = self._resources, self._config
        context = build_context(
            config, self._policy, resources.upstream.documents, self._storage, resources.stop.is_set
        )
        check_digests = plan.recheck and config.compare_method is CompareMethod.HASH
        context = replace(
            context,
            rules=replace(context.rules, check_digests=check_digests),
            chooser=replace(context.chooser, keeps_held=plan.keeps_held),
        )
        delays = self._tuning.stale_delays_seconds
        schedule = Schedule(plan, plan.todo, may_remove=True, stale_delays=delays)
        resources.progress.start(len(plan.todo))
        try:
            with worker_pool(context, config.http, resources.upstream.limits, PoolSize(), lambda _: None) as pool:
                dispatcher = Dispatcher[Prepared | Outcome](
                    pool, plan_project, failure, self._inventory, resources.stop.is_set
                )
                for outcomes in dispatcher.work(schedule, pool.window):
                    for outcome in outcomes:
                        self._take_any(forecast, outcome, plan, schedule, removing)
        except BaseException:
            resources.unwind(self._tuning.unwind_seconds)
            raise
        finally:
            resources.progress.stop()

    def _take_any(
        self, forecast: Forecast, outcome: Prepared | Outcome, plan: RunPlan, schedule: Schedule, removing: RemovalWork
    ) -> None:
        if isinstance(outcome, Prepared):
            self._add_planned(forecast, outcome, removing)
        elif isinstance(outcome, Gone):
            self._take_gone(forecast, outcome, plan.todo[outcome.project], removing)
        elif not self._take(forecast, outcome, schedule):
            return
        self._resources.progress.project_done()

    def _take(self, forecast: Forecast, outcome: Outcome, schedule: Schedule) -> bool:
        """Record an outcome; return whether it is the project's last."""
        match outcome:
            case Failure(project, StaleMetadataError() | AheadOfJournalError()) if schedule.postpone(
                project, time.monotonic()
            ):
                return False
            case Failure(_, HostDownError() as error):
                raise error
            case Failure(_, MirrorError() as error) if error.stops_run:
                raise error
            case Failure(project, ProjectNotFoundError()) if self._pageless.is_confirmed(project):
                forecast.unchanged += 1
            case Failure(project, error):
                forecast.failures[project] = str(error)
            case _:
                forecast.unchanged += 1
        return True

    def _take_gone(self, forecast: Forecast, gone: Gone, entry: TodoEntry, removing: RemovalWork) -> None:
        forecast.unchanged += not removing.take_gone(gone, entry)

    def _add_planned(self, forecast: Forecast, planned: Prepared, removing: RemovalWork) -> None:
        plan, page, record = planned.plan, planned.wanted.page, planned.record
        changes = count_filter_changes(planned, self._config.filters, self._config.pages)
        self._selection.note(page.name, dropped=changes[0], added=changes[1])
        missing = [task for task in plan.tasks if task.work is FileWork.FETCH and task.moved_from is None]
        fetched = [task.file.size or 0 for task in missing]
        held_paths = planned.held.paths if planned.held is not None else set()
        if dropped := dropped_files(planned):
            removing.removals.add_files(page.name, dropped, len(planned.wanted.filtered_out.intersection(dropped)))
        else:  # a run counts these as held before it decides; pages that lose files wait for that
            self._new_projects += record is None
            self._more_files += len(page.files) - (0 if record is None else record.files)
        deletions = self._policy.deletions(plan.deletions, held_paths, planned.wanted.filtered_out | plan.moved)
        has_serial = self._resources.upstream.journal_end.own_serial is None
        is_same = record is not None and planned.held is not None and (record.serial == page.serial or not has_serial)
        if is_same and not plan.tasks and not deletions and not self._is_rewritten(planned):
            forecast.unchanged += 1
            return
        forecast.updates.append(
            PlannedUpdate(
                project=page.name,
                serial=page.serial or 0,
                held_serial=None if record is None else record.serial,
                download=FileCount(len(fetched), sum(fetched)),
                remove=self._count(deletions),
                check_files=sum(task.work is FileWork.CHECK for task in plan.tasks),
            )
        )

    def _is_rewritten(self, planned: Prepared) -> bool:
        """Whether a page would be rewritten although all its files are here: it is another program's, or in another
        form.

        This reads no file and requests nothing; legacy JSON only counts if it is missing.
        """
        page, held, config = planned.wanted.page, planned.held, self._config.pages
        told = {file.path: {"sha256", config.digest_name} <= file.hashes.keys() for file in held.files} if held else {}
        if config.digest_name != "sha256" and not all(told.get(file_path(file)) for file in page.files):
            return True
        of_json = json_paths(page.name) if config.legacy_json else ()
        if not all(self._storage.stat(path) for path in of_json):
            return True
        journal_end, is_stopped = self._resources.upstream.journal_end, self._resources.stop.is_set
        publisher = Publisher(self._storage, replace(config, legacy_json=False), journal_end, is_stopped)
        publication = Publication(page, page.name, None, held, frozenset(), frozenset())
        return any(path not in of_json for path in publisher.differing_pages(publication, old_ones_too=True))

    def _add_removal(self, forecast: Forecast, project: NormalizedName, removing: RemovalWork) -> None:
        """Add a project that would go, and its files if they would go with it."""
        record = self._inventory.get(project)
        if record is None:  # a killed run has left something of it
            forecast.unchanged += 1
            return
        if self._policy.policy_for(removing.removals.excluded.get(project)) is DeletedPolicy.HIDE:
            forecast.removals.append(PlannedRemoval(project, FileCount()))
            return
        is_known = record.size_bytes > 0 and self._config.pages.release_files
        known = FileCount(record.files, record.size_bytes)
        forecast.removals.append(PlannedRemoval(project, known if is_known else self._count_held(project)))

    def _count_held(self, project: NormalizedName) -> FileCount:
        """Count the files on disk of a project whose page gives no sizes, such as an HTML page, or links to upstream."""
        layout = Layout(self._config.pages.hash_index)
        folders = (layout.page_folder(project), layout.other_page_folder(project))
        pages = (read_held_page(self._storage, folder) for folder in folders)
        return self._count(frozenset(path for page in pages if page is not None for path in page.paths))

    def _count(self, paths: frozenset[StoredPath]) -> FileCount:
        stored = (self._storage.stat(path) for path in paths if not is_metadata(path))
        sizes = [found.size for found in stored if found is not None]
        return FileCount(len(sizes), sum(sizes))
