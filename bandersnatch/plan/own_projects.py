"""Tells projects that the operator added to the tree, and upstream never had, from those that upstream removed.

This concerns only projects that upstream neither lists nor has a page for, and whose page our records do not attribute
to upstream, because the inventory was rebuilt or the tree was taken over. A copy of upstream's page ends with its
serial, and the journal names the project at that serial, even after its removal. A page without a serial, or with
another project's serial, is the operator's.
"""

import logging
from collections.abc import Iterable, Mapping

from bandersnatch.errors import UpstreamError
from bandersnatch.names import NormalizedName, parse_project_name
from bandersnatch.pages.stored_page import read_held_page
from bandersnatch.state.inventory import Inventory
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import OWN_PROJECTS, SIMPLE, StoredPath
from bandersnatch.upstream.index import Upstream

logger = logging.getLogger(__name__)

_MAX_BYTES = 64 * 1024**2


class OwnProjects:
    """The operator's own projects of one mirror; a file has their names, so that each is reported once."""

    def __init__(self, storage: FilesystemStorage, inventory: Inventory) -> None:
        self._storage, self._inventory = storage, inventory

    def names(self) -> set[NormalizedName]:
        """Return the known ones that are still here and still the operator's."""
        lines = (self._storage.read_record(OWN_PROJECTS, _MAX_BYTES) or b"").decode("utf-8", "replace").split()
        return {NormalizedName(name) for name in lines if parse_project_name(name) == name and self._may_be(name)}

    def find(self, candidates: Iterable[NormalizedName], upstream: Upstream) -> set[NormalizedName]:
        """Return the operator's own among projects that upstream lacks; new ones are reported and recorded."""
        serials = {project: self._page_serial(project) for project in candidates if self._may_be(project)}
        marked = sorted({serial for serial in serials.values() if serial > 0})
        told: Mapping[int, NormalizedName | None] = {}
        if upstream.asks_journal and marked:
            try:
                told = upstream.projects_at(marked)
            except UpstreamError as error:
                logger.debug("%s; pages that end with a serial are taken for upstream's", error)
        # A serial that the journal could not be asked about counts as upstream's; one at which it has no row does not.
        own = {project for project, at in serials.items() if at == 0 or told.get(at, project) != project}
        known = self.names()
        if own - known:
            names = ", ".join(sorted(own - known))
            logger.warning(
                "upstream never had %s: assumed to be your own, kept, and not counted as removed; "
                "bandersnatch delete NAME, or mirror --allow-removals, removes it",
                names,
            )
            self._storage.save(OWN_PROJECTS, [f"{name}\n".encode() for name in sorted(own | known)])
        return own

    def _may_be(self, name: str) -> bool:
        record = self._inventory.get(NormalizedName(name))
        return record is not None and record.pages_digest is None

    def _page_serial(self, project: NormalizedName) -> int:
        """Return the serial at the end of the project's page, or 0."""
        folders = (StoredPath(f"{SIMPLE}/{project}"), StoredPath(f"{SIMPLE}/{project[0]}/{project}"))
        pages = (read_held_page(self._storage, folder) for folder in folders)
        return max((page.serial for page in pages if page is not None), default=0)
