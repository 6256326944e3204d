"""``Mirror``: one run, from the lock to the root index; it returns a ``Report``.

Plan, persist, work, finish.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

from packaging.utils import NormalizedName

from bandersnatch.config import Config
from bandersnatch.errors import (
    InterruptedRunError,
)
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
from bandersnatch.options import DeletedPolicy
from bandersnatch.rebuild import held_projects
from bandersnatch.report import Report
from bandersnatch.root_index import RootIndex
from bandersnatch.run_lock import run_lock
from bandersnatch.run_plan import RunPlan, plan_run
from bandersnatch.simple import IndexedProject
from bandersnatch.state import SavedState, StateStore
from bandersnatch.todo import TodoList
from bandersnatch.work import Equipment, Pace, Work

logger = logging.getLogger(__name__)


class Mirror:
    """One mirror, for one run."""

    def __init__(
        self, config: Config, equipment: Equipment, pace: Pace | None = None, *, allow_removals: bool = False
    ) -> None:
        self._config, self._storage, self._stop = config, equipment.storage, equipment.stop
        self._upstream = equipment.upstream
        self._inventory = Inventory(config.directory / INVENTORY)
        self._states = StateStore(self._storage)
        self._root_index = RootIndex(self._storage, config.pages)
        self._work = Work(config, equipment, self._inventory, pace or Pace(), allow_removals=allow_removals)

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
                self._states.save_changelog_serial(plan.changelog_serial)
                self._states.save_todo(plan.todo)
                self._states.begin_change(self._config.fingerprint)
                self._work.carry_out(plan)
                self._finish(plan.todo, saved)
            if not plan.todo:
                self._storage.write_bytes(LAST_MODIFIED, f"{begun:%Y%m%dT%H:%M:%S}\n".encode())
            report = self._work.report
            report.serial, report.seconds = plan.todo.target_serial, time.monotonic() - started
            return report

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
        differs = self._configuration_differs(saved)
        plan = plan_run(saved, self._upstream, self._inventory, self._config.filters, must_check_all=differs)
        logger.info("%d projects to look at, up to serial %d", len(plan.todo), plan.todo.target_serial)
        return plan

    def _configuration_differs(self, saved: SavedState) -> bool:
        """Whether the pages are of other options, other filters or another index, and no todo list mends that."""
        wanted = self._config.fingerprint
        before, changing_to = self._states.load_fingerprints()
        if wanted == (changing_to or before) and (changing_to is None or saved.todo is not None):
            return False
        if before is None and changing_to is None and saved.serial is None:
            return False  # there are no pages yet, or the operator asked for a resync
        logger.info("the configuration has changed since the pages were written")
        if any(known is not None and known.split(" ")[0] != wanted.split(" ")[0] for known in (before, changing_to)):
            self._inventory.forget_serials()
        else:
            self._inventory.forget_etags()
        return True

    def _finish(self, todo: TodoList, saved: SavedState) -> None:
        """Root index, then removals, then the record of it all: the reverse of the order in which things appear."""
        self._storage.flush()
        gone = set(self._work.removals.projects)
        is_complete = len(todo) == len(gone)

        def held() -> Iterator[IndexedProject]:
            for row in self._inventory.names_and_serials():
                if self._stop.is_set():
                    raise InterruptedRunError
                if row[0] not in gone:
                    yield IndexedProject(*row)

        self._root_index.write(held, todo.target_serial if is_complete else saved.serial or 0)
        for project in self._work.removals.projects:
            self._remove(project)
            todo.discard(project)
        if self._work.report.withheld is None:
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
        verdict = self._work.removals.excluded.get(project)
        # The option is about what upstream deletes; what the operator's own filters drop goes in any case.
        keep_files = verdict is None and self._config.removals.deleted is not DeletedPolicy.REMOVE
        deleted_files = self._work.publisher.remove(project, keep_files=keep_files)
        self._work.report.removed += was_held
        why = "as upstream did" if verdict is None else f"as the configuration says: {verdict}"
        logger.info("%s: removed, %s; files deleted: %d", project, why, deleted_files)
