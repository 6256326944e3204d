"""Keeps the records of what workers have done; only the main process writes them."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName

from bandersnatch.errors import MirrorError
from bandersnatch.pages.remover import Remover
from bandersnatch.project.job import Result
from bandersnatch.project.report import Failure, Outcome, Settled
from bandersnatch.state.inventory import Inventory
from bandersnatch.state.reservations import forget, reserved_paths
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath


class Recorder(Struct, frozen=True):
    """Records results, and deletes what pages no longer list. Used by one thread."""

    storage: FilesystemStorage
    inventory: Inventory
    remover: Remover

    def record(self, results: Sequence[Result]) -> list[Outcome]:
        """Record results; return their outcomes, which hold from then on.

        Raises:
            StorageError: the inventory can't be written.
        """
        deleted = [self._with_deletions(result, results) for result in results]
        unsettled = [each for result in deleted for each in _unsettled(result)]
        if unsettled:
            self.inventory.note_unsettled(unsettled)
        for result in deleted:
            for path, etag in result.partials.items() if result.record is None else ():
                self.inventory.note_partial(path, etag)
        if records := [result.record for result in deleted if result.record is not None]:
            self.inventory.put(*records)
        forget(self.storage, [name for result in deleted for name in result.reservations])
        return [result.outcome for result in deleted]

    def _with_deletions(self, result: Result, batch: Sequence[Result]) -> Result:
        """Delete what a page that is in place no longer lists; where that is refused, the project has failed.

        What is reserved for other projects may be for a page that is about to be published, or that is not recorded yet;
        but not what other results of the ``batch`` have deleted.
        """
        outcome = result.outcome
        if not result.deletions or not isinstance(outcome, Settled):
            return result
        try:
            names = set(self.storage.unfinished.records()).difference(result.reservations)
            others = reserved_paths(self.storage, names).difference(
                *(each.deletions for each in batch if each is not result)
            )
            is_changed = self.remover.delete_unlisted(outcome.project, result.deletions - others)
        except MirrorError as error:
            failed = Failure(outcome.project, error)
            return replace(result, outcome=failed, record=None, unsettled=result.unsettled | result.deletions)
        return replace(result, outcome=replace(outcome, changed=outcome.changed or is_changed))


def _unsettled(result: Result) -> list[tuple[NormalizedName, StoredPath]]:
    return [] if result.record is not None else [(result.outcome.project, path) for path in result.unsettled]
