"""``RemovalWork``: what a run is about to remove, whether it may, and how these projects are removed.

A dry run collects its removals here too, and stops there. Only the main thread works here.
"""

import logging
from collections.abc import Sequence

from bandersnatch.config.config import Config
from bandersnatch.errors import InterruptedRunError, RefusedPlaceError
from bandersnatch.filters.ownership import FILTER_NAME as OWNERS_RULE
from bandersnatch.inifile.option import DeletedPolicy
from bandersnatch.logs import OF_PROJECT
from bandersnatch.names import NormalizedName
from bandersnatch.operations.run_resources import RunResources
from bandersnatch.pages.remover import Remover
from bandersnatch.plan.own_projects import OwnProjects
from bandersnatch.plan.removals import RemovalPolicy, Removals, Totals
from bandersnatch.project.report import Failure, Gone
from bandersnatch.state.inventory import Inventory
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.storage.layout import REMOVALS

logger = logging.getLogger(__name__)


class RemovalWork:
    """The removals of one run, or of a part of it with its own todo list."""

    def __init__(self, config: Config, resources: RunResources, inventory: Inventory, policy: RemovalPolicy) -> None:
        self._config, self._resources, self._inventory, self._policy = config, resources, inventory, policy
        self._own = OwnProjects(resources.storage, inventory)
        self.removals = Removals()
        self.failures: list[Failure] = []
        """Projects that we lack the permission to remove."""
        self.unconfirmed: list[NormalizedName] = []
        """Projects removed without a journal entry."""

    def take_gone(self, gone: Gone, entry: TodoEntry) -> bool:
        """Record a project that is gone; return whether anything of it here will be removed or hidden."""
        project, verdict = gone.project, gone.excluded_by
        is_held = self._inventory.get(project) is not None
        if verdict is not None and verdict.filter_name == OWNERS_RULE and not is_held:
            return False  # what is here of it is another index's
        if self._policy.policy_for(verdict) is DeletedPolicy.KEEP:
            return False
        if verdict is None and not is_held and not self._inventory.unsettled(project):
            return False
        self.removals.add_project(project, verdict, is_unlisted=is_held and entry.is_unlisted)
        return True

    def keep_own(self, todo: TodoList) -> int:
        """Take projects that upstream never had off the removals, unless removing those is allowed.

        Return how many of them a filter had dropped.
        """
        candidates = [project for project in self.removals.projects if todo[project].serial == 0]
        if not candidates or not self._policy.keeps_own:
            return 0
        excluded = 0
        for project in self._own.find(candidates, self._resources.upstream):
            excluded += project in self.removals.excluded
            self.removals.keep(project)
            todo.discard(project)
        return excluded

    def excess(self, more: Totals, *, is_reconfigured: bool, are_files_known: bool = True) -> str | None:
        """Return what is too much to remove, in words, or None; ``more`` counts as held, although it is not recorded yet."""
        held, held_files = self._inventory.totals()
        held -= len(self._own.names())  # an outage upstream does not take those
        return self._policy.excess(
            self.removals,
            Totals(held + more.projects, held_files + more.files),
            is_reconfigured=is_reconfigured,
            are_files_known=are_files_known,
        )

    def withhold(self, reconfigured: Sequence[str]) -> str | None:
        """Cancel the removals if they exceed what the run may remove; return what they were, in words, or None."""
        excess = self.excess(Totals(), is_reconfigured=bool(reconfigured))
        if excess is None:
            return None
        self._resources.storage.write_bytes(REMOVALS, self.removals.listing().encode())
        self.removals = Removals()
        why = f"since the configuration has changed ({', '.join(reconfigured)}), " if reconfigured else ""
        return (
            f"{why}this run would remove {excess}, which max-removals forbids: nothing was removed. "
            f"{self._config.directory / REMOVALS} lists it all"
        )

    def carry_out(self, todo: TodoList) -> int:
        """Take away the projects that are gone, and return how many were held; the root index must no longer list them.

        Those that are in ``failures`` afterwards stay on the list.

        Raises:
            StorageError: the disk refused.
            InterruptedRunError: the run was asked to stop.
        """
        remover = Remover(self._resources.storage, self._inventory, self._config.pages)
        removed = 0
        for project in self.removals.projects:
            if self._resources.stop.is_set():
                raise InterruptedRunError
            was_held = self._inventory.get(project) is not None
            verdict = self.removals.excluded.get(project)
            keep_files = self._policy.policy_for(verdict) is not DeletedPolicy.REMOVE
            try:
                deleted_files = remover.remove(project, keep_files=keep_files)
            except RefusedPlaceError as error:
                self.failures.append(Failure(project, error))
                continue
            removed += was_held
            if was_held and project in self.removals.unlisted:
                self.unconfirmed.append(project)
            why = "as upstream did" if verdict is None else f"as the configuration says: {verdict}"
            logger.info("%s: removed, %s; files deleted: %d", project, why, deleted_files, extra=OF_PROJECT)
            todo.discard(project)
        return removed
