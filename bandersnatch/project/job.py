"""What is asked of the work on one project, and what the work has come to."""

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace
from packaging.utils import NormalizedName

from bandersnatch.project.prepared import Prepared
from bandersnatch.project.report import Outcome
from bandersnatch.state.inventory import HeldProject, Inventory
from bandersnatch.state.todo import TodoEntry
from bandersnatch.storage.layout import PACKAGES, StoredPath


class Job(Struct, frozen=True):
    """What is asked of the work on a project.

    ``recheck`` looks at every file even where the page is unchanged; ``is_last_attempt`` accepts a page that is older than
    upstream's list of projects said, since only the changelog is sure; without ``may_remove``, a page that would remove
    files is not published, but reported; in a resync a page that stays older than the one that is held is accepted, too;
    ``fresh`` asks for the page whatever is held of it; ``wrong`` are paths that are known to be missing or bad; with what is
    ``prepared`` already, nothing more is asked. ``record``, ``unsettled`` and ``partials`` are what the inventory has of the
    project, for workers that have no inventory: ``partials`` are the ETags of half-written files.
    """

    project: NormalizedName
    entry: TodoEntry
    recheck: bool = False
    is_last_attempt: bool = False
    may_remove: bool = False
    is_resync: bool = False
    fresh: bool = False
    wrong: frozenset[StoredPath] = frozenset()
    prepared: Prepared | None = None
    record: HeldProject | None = None
    unsettled: frozenset[StoredPath] = frozenset()
    partials: Mapping[StoredPath, str] = field(default_factory=dict)

    def with_facts(self, inventory: Inventory) -> "Job":
        """Return the job with what the inventory has of its project."""
        unsettled = frozenset(inventory.unsettled(self.project))
        etags = {path: inventory.partial_etag(path) for path in unsettled if path.startswith(f"{PACKAGES}/")}
        partials = {path: etag for path, etag in etags.items() if etag is not None}
        return replace(self, record=inventory.get(self.project), unsettled=unsettled, partials=partials)


class Result(Struct, frozen=True):
    """What came of a job, for whoever keeps the records.

    ``record`` is to be recorded; without that, the outcome does not hold. Before, what is in ``deletions`` is to be deleted,
    which the project's page no longer lists. ``unsettled`` are the paths that were, or may have been, touched without having
    been settled, and ``partials`` the ETags of the half-written files among them.
    """

    outcome: Outcome
    record: HeldProject | None = None
    deletions: frozenset[StoredPath] = frozenset()
    unsettled: frozenset[StoredPath] = frozenset()
    partials: Mapping[StoredPath, str] = field(default_factory=dict)
    reservations: tuple[str, ...] = ()
    """What was written down before anything was touched; no longer needed when all of this is recorded."""
