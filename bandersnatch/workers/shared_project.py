"""``SharedProject``: a project whose files several workers fetch, and what has come of them so far."""

from collections import deque
from typing import Any

from msgspec.structs import replace

from bandersnatch.errors import gravest
from bandersnatch.project.files import SyncedFile
from bandersnatch.project.package import Planned, SharedFiles, shares_of
from bandersnatch.storage.layout import StoredPath


class SharedProject:
    """A project whose files are shared among workers, so many shares at a time."""

    def __init__(self, planned: Planned) -> None:
        self.prepared = planned.prepared
        self.waiting, self.under_way = deque(shares_of(planned.prepared.plan.tasks)), 0
        self._touched, self._reservations = planned.touched, list(planned.reservations)
        self.synced: dict[str, SyncedFile] = {}
        self._partials: dict[StoredPath, str] = {}
        self.error: Exception | None = None

    def take(self, share: SharedFiles) -> None:
        """Add the result of a share of the files."""
        self.under_way -= 1
        if share.is_given_up:
            self.waiting.clear()
        self.error = gravest(self.error, share.error)
        self.synced |= share.synced
        self._partials |= share.partials
        self._reservations += share.reservations

    def complete(self, result: Any) -> Any:
        """Return the result of the last job, with what the other jobs of the project have left."""
        result = replace(result, reservations=(*self._reservations, *result.reservations))
        if result.record is not None:
            return result
        partials = {**self._partials, **result.partials}
        return replace(result, unsettled=result.unsettled | self._touched, partials=partials)
