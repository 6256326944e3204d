"""``UnlistedDeletion``: deletes files that no page lists, unless they are too many, or a page could not be read."""

import logging
from collections.abc import Callable

from bandersnatch.errors import InterruptedRunError, StorageError, UnreadablePageError
from bandersnatch.operations.unlisted import UnlistedFiles
from bandersnatch.plan.removals import RemovalPolicy
from bandersnatch.state.inventory import Inventory
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import UNLISTED, is_metadata
from bandersnatch.verify.findings import Finding, Problem, VerifySettings
from bandersnatch.verify.tally import Tally

logger = logging.getLogger(__name__)


class UnlistedDeletion:
    """The deletion of a verification: call ``work`` until all is done, then ``conclude`` once, then ``close``.

    With a budget, the search continues where the last one ended. Without one it starts again, and so misses nothing.
    """

    def __init__(
        self,
        storage: FilesystemStorage,
        inventory: Inventory,
        settings: VerifySettings,
        policy: RemovalPolicy,
        tally: Tally,
    ) -> None:
        self._storage, self._inventory, self._settings, self._policy = storage, inventory, settings, policy
        self._tally = tally
        self._error: UnreadablePageError | StorageError | None = None
        kept_at = None if settings.dry_run else storage.root / UNLISTED
        self._unlisted = UnlistedFiles(storage, inventory, kept_at, begins_anew=settings.budget_seconds is None)

    def close(self) -> None:
        """Close the record of what was found; it is kept for the next time."""
        self._unlisted.close()

    def work(self, is_stopped: Callable[[], bool]) -> None:
        """Continue until all is done, time runs out, or an error occurs."""
        # With a budget it is called twice, and the first call may have done everything.
        if self._tally.report.unlisted_sought:
            return
        self._error = None
        try:
            self._delete(self._unlisted.find(is_stopped), is_stopped)
        except InterruptedRunError:
            return
        except (UnreadablePageError, StorageError) as error:
            self._error = error
            return
        self._tally.report.unlisted_sought = True

    def conclude(self) -> None:
        """Report the error that prevented the deletion, if there was one.

        Raises:
            StorageError: it was an error of the disk.
        """
        if isinstance(self._error, StorageError):
            raise self._error
        if self._error is not None:
            logger.error("files that no page lists are not deleted: %s", self._error)
            self._tally.report.unlisted_error = str(self._error)

    def _delete(self, number: int, is_stopped: Callable[[], bool]) -> None:
        _, held_files = self._inventory.totals()
        too_much = self._policy.unlisted_excess(number, held_files)
        if too_much is not None:
            self._tally.withhold(too_much, (f"file {path}\n" for path in self._unlisted.paths()))
        is_deleting = too_much is None and not self._settings.dry_run
        last = ""
        for path in self._unlisted.paths():
            if is_deleting:
                self._storage.delete(path)
            if not is_metadata(path) or path != f"{last}.metadata":  # core metadata is counted with its file
                last = path
                self._tally.count((Finding(path, Problem.UNLISTED),), is_repaired=is_deleting)
            if is_deleting and is_stopped():
                raise InterruptedRunError
        if is_deleting:
            self._unlisted.forget()
