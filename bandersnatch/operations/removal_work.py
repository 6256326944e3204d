"""``RemovalWork``: what a run is about to remove, whether it may, and how the projects among it go.

Only the main thread works here.
"""

import logging
from collections.abc import Sequence

from packaging.utils import NormalizedName

from bandersnatch.config.config import Config
from bandersnatch.errors import InterruptedRunError, RefusedPlaceError
from bandersnatch.inifile.option import ApiMethod, DeletedPolicy
from bandersnatch.logs import OF_PROJECT
from bandersnatch.pages.publisher import Publisher
from bandersnatch.plan.brake import Removals
from bandersnatch.plan.own_projects import OwnProjects
from bandersnatch.project.equipment import Equipment
from bandersnatch.project.report import Failure
from bandersnatch.state.inventory import Inventory
from bandersnatch.state.todo import TodoList
from bandersnatch.storage.layout import REMOVALS

logger = logging.getLogger(__name__)


class RemovalWork:
    """The removals of one run. With ``are_named`` the operator has named the projects: no accident can reach others."""

    def __init__(
        self, config: Config, equipment: Equipment, inventory: Inventory, *, allow_removals: bool, are_named: bool
    ) -> None:
        self._config, self._equipment, self._inventory = config, equipment, inventory
        self._allow_removals, self._are_named = allow_removals, are_named
        self._own = OwnProjects(equipment.storage, inventory)
        self.removals = Removals()
        self.failures: list[Failure] = []
        """The projects that the system does not let us remove."""
        self.unconfirmed: list[NormalizedName] = []
        """What was removed although no journal told of it."""

    def keep_own(self, todo: TodoList) -> int:
        """Keep what upstream never had: take it off what is to be removed, unless that is allowed.

        Return how many of these projects a filter had dropped.
        """
        candidates = [project for project in self.removals.projects if todo[project].serial == 0]
        if not candidates or self._allow_removals or self._are_named:
            return 0
        asks_journal = self._config.http.api_method is not ApiMethod.SIMPLE
        excluded = 0
        for project in self._own.find(candidates, self._equipment.upstream, asks_journal=asks_journal):
            excluded += project in self.removals.excluded
            self.removals.keep(project)
            todo.discard(project)
        return excluded

    def withhold(self, reconfigured: Sequence[str]) -> str | None:
        """Remove nothing where it would be more than the run may; return what it would be, or None."""
        if self._allow_removals:
            return None
        limit, (held, held_files) = self._config.removals.limit, self._inventory.totals()
        held -= len(self._own.names())  # of which none is lost with upstream's
        excess = self.removals.excess(
            limit, held, held_files, is_reconfigured=bool(reconfigured), are_named=self._are_named
        )
        if excess is None:
            return None
        self._equipment.storage.write_bytes(REMOVALS, self.removals.listing().encode())
        self.removals = Removals()
        why = f"since the configuration has changed ({', '.join(reconfigured)}), " if reconfigured else ""
        return (
            f"{why}this run would remove {excess}, which max-removals forbids: nothing was removed. "
            f"{self._config.directory / REMOVALS} lists it all"
        )

    def carry_out(self, todo: TodoList, publisher: Publisher) -> int:
        """Take away the projects that are gone, and return how many were held; the root index must no longer list them.

        Those that are in ``failures`` afterwards stay on the list.

        Raises:
            StorageError: the disk refused.
            InterruptedRunError: the run was asked to stop.
        """
        keep_files = self._config.removals.deleted is not DeletedPolicy.REMOVE
        removed = 0
        for project in self.removals.projects:
            if self._equipment.stop.is_set():
                raise InterruptedRunError
            was_held = self._inventory.get(project) is not None
            verdict = self.removals.excluded.get(project)
            # The option is about what upstream deletes; what the operator's own filters drop goes in any case.
            try:
                deleted_files = publisher.remove(project, keep_files=keep_files and verdict is None)
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
