"""``exclude_newer``: keeps files uploaded before a date, for a snapshot or a cooling-off period."""

from datetime import UTC, datetime

from msgspec import Struct

from bandersnatch.filters.facts import FileFacts
from bandersnatch.filters.settings import Settings


class ExcludeNewer(Struct, frozen=True):
    """Drops files that were uploaded at or after a moment, or at an unknown time."""

    filter_name: str
    moment: datetime
    needs_json: bool = False

    def keeps(self, facts: FileFacts) -> bool:
        """Whether the file was uploaded before the moment."""
        mtime = facts.file.mtime
        return mtime is not None and mtime < self.moment.timestamp()

    def reason(self, facts: FileFacts) -> str:
        """Return when the file was uploaded."""
        return (
            f"it was uploaded {facts.file.upload_time or 'at an unknown time'}, the date is {self.moment.isoformat()}"
        )


def read_exclude_newer(settings: Settings) -> ExcludeNewer | None:
    """Read the filter; a date means its midnight, and a time without a zone is UTC."""
    entry = settings.value("exclude_newer", "date")
    if entry is None:
        return None
    try:
        moment = datetime.fromisoformat(entry.text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        moment.timestamp()
    except (ValueError, OverflowError):
        settings.add_problem(entry, "expected a date, such as 2026-01-31 or 2026-01-31T12:00:00Z")
        return None
    return ExcludeNewer("exclude_newer", moment)
