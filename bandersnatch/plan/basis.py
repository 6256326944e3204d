"""What a run is planned from: upstream, what the mirror holds, the filters, and how much is asked about."""

from collections.abc import Iterable, Mapping, Set
from typing import Protocol

from msgspec import Struct

from bandersnatch.filters.filters import Filters
from bandersnatch.names import NormalizedName
from bandersnatch.state.inventory import HeldProject
from bandersnatch.state.upstream_record import UpstreamRecord
from bandersnatch.storage.layout import StoredPath
from bandersnatch.upstream.index import Upstream


class HeldProjects(Protocol):
    """What the mirror holds, from the inventory; the whole of it is read only when it matters."""

    def serials(self) -> Mapping[NormalizedName, int]:
        """Return the serials of all held projects."""

    def quarantined(self) -> Set[NormalizedName]:
        """Return the held projects that upstream has quarantined."""

    def awaited_serials(self) -> Mapping[NormalizedName, int]:
        """Return the serials that later runs will ask for on their own, because the pages of these projects were older."""

    def lower_serials(self, serials: Mapping[NormalizedName, int]) -> None:
        """Record that pages are older than we believed."""

    def get(self, project: NormalizedName) -> HeldProject | None:
        """Return what we hold of a project, or None."""

    def all_unsettled(self) -> Iterable[tuple[NormalizedName, StoredPath]]:
        """Return the files that earlier runs may have left unfinished."""


class Basis(Struct, frozen=True):
    """What the planner knows.

    ``record`` is what was found out about an index without serials. If the operator says that an index ``may_be_empty``,
    one that lists nothing is believed.
    """

    upstream: Upstream
    held: HeldProjects
    filters: Filters
    record: UpstreamRecord | None = None
    may_be_empty: bool = False
    took_over: bool = False
    """Whether what is held came from other indexes of the same mirror, whose serials say nothing about this one's."""


class Scope(Struct, frozen=True):
    """What is asked about: every project, or what has changed since the changelog was ``read_up_to`` a serial."""

    is_full: bool
    read_up_to: int
    was_told_by_index: bool
    """Whether the serial that was reached came from the root index."""
