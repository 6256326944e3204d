"""Up to where a plan has what upstream tells, and the mirror's own serials, if upstream has none."""

from collections.abc import Collection

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.changes import Position
from bandersnatch.names import NormalizedName
from bandersnatch.plan.pageless import Pageless
from bandersnatch.state.upstream_record import MOST_UNLISTED, UpstreamRecord


class OwnSerials(Struct, frozen=True):
    """The serials that this mirror gives itself: what changes in this run gets the ``next`` one.

    ``record`` is what is recorded of the index. ``has_no_news``: the root index tells that nothing at all has changed.
    ``missing`` are the held projects that it does not list, ``pageless`` those that it lists, and that have no page.
    """

    next: int
    record: UpstreamRecord
    has_no_news: bool = False
    missing: frozenset[NormalizedName] = frozenset()
    pageless: Pageless = Pageless({}, 0)

    def recorded(self, *, is_complete: bool, unlisted: Collection[NormalizedName] = ()) -> UpstreamRecord:
        """Return the record; only after a complete run may the next one ask whether the index is still the same.

        It asks for the ``unlisted`` projects again, which are held, and are on no list.
        """
        if not is_complete or len(unlisted) > MOST_UNLISTED:
            return replace(self.record, etag=None, whole_serial=None, unlisted=())
        return replace(self.record, unlisted=tuple(sorted(unlisted)))


class Reached(Struct, frozen=True):
    """The serial up to which the todo list has all changes, and whether the root index or the changelog told them."""

    serial: int
    by_index: bool
    own_serials: OwnSerials | None = None
    """If upstream has no serials."""
    followed: Position | None = None
    """Up to where this has what upstream's static journal tells, if there is one."""
