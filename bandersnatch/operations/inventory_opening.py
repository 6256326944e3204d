"""Opens inventories, and rebuilds one that is missing or wrong from the pages of the projects that it is about."""

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from bandersnatch.names import NormalizedName
from bandersnatch.operations.leftovers import Leftovers
from bandersnatch.pages.rebuild_inventory import held_projects, quarantined_of
from bandersnatch.state.inventory import HeldProject, Inventory
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import Layout


class Opening(Struct, frozen=True):
    """An inventory that is about to be used; ``owns`` says of which projects it is, where several have pages here."""

    storage: FilesystemStorage
    inventory: Inventory
    owns: Callable[[NormalizedName], bool]

    def complete(self, *, was_there: bool) -> bool:
        """Check an inventory that has just been opened, or fill a new one; return whether it had to be rebuilt."""
        if was_there:
            if (doubtful := self.inventory.without_files()) is not None:
                self.inventory.begin_quarantines(quarantined_of(self.storage, doubtful))
            if self.inventory.is_as_closed or self._records_are_true():
                return False
            self.inventory.begin_anew("some of its projects have no pages")
        # This order survives a kill: the loss is on record before the new inventory is valid, and hides it.
        leftovers = Leftovers(self.storage, self.inventory)
        leftovers.record_loss()
        self.inventory.put_all(held_projects(self.storage, self.owns))
        leftovers.note_pages()
        return True

    def _records_are_true(self) -> bool:
        """Whether each recorded project has pages; the record of one whose removal was cut short is dropped.

        So is a quarantine of which no page tells: it would leave its project out of the root index.
        """
        quarantined = self.inventory.quarantined()
        self.inventory.end_quarantines(quarantined.difference(quarantined_of(self.storage, quarantined)))
        without = [held.name for held in self.inventory.projects() if not self._has_pages(held)]
        if not all(map(self.inventory.unsettled, without)):
            return False
        for project in without:
            self.inventory.drop_record(project)
        return True

    def _has_pages(self, held: HeldProject) -> bool:
        folders = (self.storage.root / Layout(hashed).page_folder(held.name) for hashed in (False, True))
        return any(map(_may_be_there, folders))


def _may_be_there(folder: Path) -> bool:
    """Whether the folder exists, or we may not look: such a project fails later, on its own."""
    try:
        folder.stat()
    except OSError as error:
        return isinstance(error, PermissionError)
    return True
