"""When a project's page is stale: older than the changelog promised, or than the page that we hold.

Pure rules for what upstream answered. ``workers/scheduler.py`` decides when a stale page is asked for again. A page with
a serial beyond the end of upstream's journal is refused where it is read (``upstream/documents.py``).
"""

from msgspec import Struct

from bandersnatch.errors import StaleMetadataError
from bandersnatch.http.entity_tags import are_equivalent
from bandersnatch.names import NormalizedName
from bandersnatch.state.todo import TodoEntry
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.documents import FetchedPage


class RequiredAge(Struct, frozen=True):
    """How new the page of a project must be; ``entry`` is why it is asked for.

    In the last attempt, a page may be older than upstream's list of projects says: only the changelog is sure. In a resync
    it may then be older than the held page, too: upstream may have been restored from a backup.
    """

    project: NormalizedName
    entry: TodoEntry
    is_last_attempt: bool = False
    is_resync: bool = False

    @property
    def promised(self) -> int:
        """The serial that upstream promised; 0 after a change of roles, for which any page will do."""
        return 0 if self.entry.expectation is Expectation.ROLES else self.entry.serial

    def is_from_before_removal(self, serial: int) -> bool:
        """Whether a cache still has the page of a project that, as the changelog says, was removed."""
        return self.entry.expectation is Expectation.REMOVED and serial < self.promised

    def demanded_by_held(self, held_serial: int) -> int:
        """Return the serial that a page must have because we hold one with ``held_serial``."""
        may_be_older = self.is_resync and self.is_last_attempt
        return min(held_serial, self.entry.serial) if may_be_older else held_serial

    def is_met(self, serial: int, held_serial: int, told: int | None) -> bool:
        """Whether a page with ``serial`` replaces the held one; if not, the held one is right: only roles have changed.

        ``held_serial`` is 0 if no page is held, or if its serial is not believed; ``told`` is what upstream wrote.

        Raises:
            StaleMetadataError: the page is older than it must be.
        """
        demanded = self.demanded_by_held(held_serial)
        if serial < demanded:
            if self.entry.expectation is Expectation.ROLES:
                return False
            raise StaleMetadataError(self.project, max(self.promised, demanded), told)
        may_be_older = self.entry.expectation is Expectation.LISTED and self.is_last_attempt
        if serial < self.promised and not may_be_older:
            raise StaleMetadataError(self.project, self.promised, told)
        return True


def doubt_about_unchanged(answer: FetchedPage, etag: str, entry: TodoEntry, held_serial: int) -> str | None:
    """Return why an answer of 304 to a request with ``etag`` can't be about the held page, or None if it can."""
    if answer.etag is not None and not are_equivalent(answer.etag, etag):
        return "for another page than the one that was asked about"
    if answer.serial is not None and answer.serial > held_serial > 0:
        return f"with serial {answer.serial}, and the page here has {held_serial}"
    if answer.serial is None and entry.expectation is not Expectation.ROLES and entry.serial > held_serial:
        return f"without a serial, and the page must have {entry.serial}"
    return None
