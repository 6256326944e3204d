"""Records the results of workers in the inventory, which only the main process writes."""

from collections.abc import Sequence

from msgspec.structs import replace

from bandersnatch.errors import MirrorError
from bandersnatch.names import NormalizedName
from bandersnatch.pages.remover import Remover
from bandersnatch.project.job import Result
from bandersnatch.project.report import Failure, Outcome, Settled
from bandersnatch.state.inventory import Inventory
from bandersnatch.state.reservations import ReservedPaths, forget
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath


class Recorder:
    """Records results, and deletes what pages no longer list. Used by one thread."""

    def __init__(self, storage: FilesystemStorage, inventory: Inventory, remover: Remover) -> None:
        self._storage, self._inventory, self._remover = storage, inventory, remover
        self._reserved = ReservedPaths(storage)

    def record(self, results: Sequence[Result]) -> list[Outcome]:
        """Record results; return their outcomes, which count from then on.

        Raises:
            StorageError: the inventory can't be written.
        """
        # First delete, then record: after a crash in between, the next run does the project again. Reservations go last,
        # since the next run finds by them what was not recorded.
        deleted = [self._with_deletions(result, results) for result in results]
        unsettled = [each for result in deleted for each in _unsettled(result)]
        if unsettled:
            self._inventory.note_unsettled(unsettled)
        for result in deleted:
            for path, etag in result.partials.items() if result.record is None else ():
                self._inventory.note_partial(path, etag)
        if records := [result.record for result in deleted if result.record is not None]:
            self._inventory.put(*records)
        forget(self._storage, [name for result in deleted for name in result.reservations])
        return [result.outcome for result in deleted]

    def _with_deletions(self, result: Result, batch: Sequence[Result]) -> Result:
        """Delete the files that a published page no longer lists; if that fails, so does the project.

        A path that another job has reserved is kept: that job may be about to publish a page that lists it. This does not
        apply to what other results of the same ``batch`` delete, since their work has ended.
        """
        outcome = result.outcome
        if not result.deletions or not isinstance(outcome, Settled):
            return result
        try:
            others = self._reserved.among(result.deletions, result.reservations)
            if others:
                others.difference_update(*(each.deletions for each in batch if each is not result))
            is_changed = self._remover.delete_unlisted(outcome.project, result.deletions - others)
        except MirrorError as error:
            failed = Failure(outcome.project, error)
            return replace(result, outcome=failed, record=None, unsettled=result.unsettled | result.deletions)
        return replace(result, outcome=replace(outcome, changed=outcome.changed or is_changed))


def _unsettled(result: Result) -> list[tuple[NormalizedName, StoredPath]]:
    return [] if result.record is not None else [(result.outcome.project, path) for path in result.unsettled]
