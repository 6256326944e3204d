"""Projects that an index lists though they have no page: some servers keep the name of a project without files for ever.

Such a project fails until two runs, at least an hour apart, have found no page. Then it holds up nothing any more: it is
told, and asked for ever more seldom, but at least once a day. Pure.
"""

from collections.abc import Callable, Collection

from msgspec import Struct

from bandersnatch.names import NormalizedName
from bandersnatch.state.upstream_record import PagelessProject, UpstreamRecord

CONFIRM_SECONDS = 3600
MOST_SECONDS = 24 * 3600
MOST_KNOWN = 500
"""If more have no page, it is the index that is broken."""


class Pageless(Struct, frozen=True):
    """The projects that earlier runs found without a page, for a run that began at ``now``."""

    known: dict[NormalizedName, PagelessProject]
    now: int

    @classmethod
    def of(cls, record: UpstreamRecord | None, now: float, is_meant: Callable[[NormalizedName], bool]) -> "Pageless":
        """Return what is on record, as far as it ``is_meant``; a time in the future, from a wrong clock, counts as none."""
        found = record.pageless if record is not None else ()
        known = {NormalizedName(each.project): each for each in found if each.since <= each.asked <= now}
        return cls({name: each for name, each in known.items() if is_meant(name)}, int(now))

    @property
    def due(self) -> list[NormalizedName]:
        """Those that are to be asked for."""
        return [name for name in self.known if not self.is_skipped(name)]

    def is_skipped(self, project: NormalizedName) -> bool:
        """Whether a project need not be asked for: each pause is as long as the time since its page was first missed."""
        each = self.known.get(project)
        if each is None or each.asked - each.since < CONFIRM_SECONDS:
            return False
        return self.now - each.asked < min(each.asked - each.since, MOST_SECONDS)

    def is_confirmed(self, project: NormalizedName) -> bool:
        """Whether a page that is missing now was missing an hour ago, too."""
        each = self.known.get(project)
        return each is not None and self.now - each.since >= CONFIRM_SECONDS

    def after(
        self, missing: Collection[NormalizedName], unsettled: Collection[NormalizedName]
    ) -> tuple[PagelessProject, ...]:
        """Return what is to be recorded after a run that found no pages of the ``missing`` projects.

        It did not come to the other ``unsettled`` ones, if upstream was down.
        """
        known = [(name, each) for name, each in self.known.items() if name not in missing]
        left = [each for name, each in known if self.is_skipped(name) or name in unsettled]
        asked = [
            PagelessProject(name, self.known[name].since if name in self.known else self.now, self.now)
            for name in sorted(missing)
        ]
        return tuple(sorted((*left, *asked), key=lambda each: (each.since, each.project))[:MOST_KNOWN])
