"""What ``exclude_newer`` keeps, against datetimes."""

from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bandersnatch.filters.selection import Selection
from tests.support.builders import make_file, make_page, unhurried
from tests.support.filtering import enabled, filters_of

FIRST, LAST = datetime.fromisoformat("2025-12-30"), datetime.fromisoformat("2026-01-02")
zones = st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours)))
moments = st.datetimes(FIRST, LAST) | st.datetimes(FIRST, LAST, timezones=zones)
"""Close to each other, so that zones, hours and parts of a second decide; without a zone, a time is in UTC."""


@pytest.mark.parametrize(
    ("when", "is_kept"),
    [
        ("2025-12-31T23:59:59.999999Z", True),
        ("2026-01-01T00:00:00Z", False),
        (None, False),
        ("2025-01-01T00:00:00", True),
    ],
)
def test_what_was_uploaded_later_is_dropped(when: str | None, is_kept: bool) -> None:
    for written in ("2026-01-01", "2026-01-01T01:00:00+01:00", "2026-01-01 00:00"):
        filters = filters_of(enabled("exclude_newer") + f"[exclude_newer]\ndate = {written}\n")
        assert bool(Selection(filters, make_page(make_file("sample-1.0.zip", upload_time=when))).page.files) == is_kept


def in_utc(moment: date) -> datetime:
    """Return when a day begins, or a moment is, in UTC where no zone is told."""
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time(), UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@unhurried
@given(
    moments | moments.map(datetime.date), st.lists(st.none() | moments, min_size=1, max_size=4), st.sampled_from("T ")
)
@example(date(2026, 1, 1), [datetime(2026, 1, 1, tzinfo=UTC)], "T")
def test_what_is_not_older_than_a_moment_is_dropped(
    limit: date, uploads: list[datetime | None], separator: str
) -> None:
    written = limit.isoformat(separator) if isinstance(limit, datetime) else limit.isoformat()
    filters = filters_of(enabled("exclude_newer") + f"[exclude_newer]\ndate = {written}\n")
    times = {f"sample-{number}.0.tar.gz": each for number, each in enumerate(uploads)}
    page = make_page(
        *(make_file(name, upload_time=each.isoformat() if each else None) for name, each in times.items()),
        versions=tuple(f"{number}.0" for number in range(len(uploads))),
    )
    kept = [file.filename for file in Selection(filters, page).page.files]
    assert kept == [name for name, each in times.items() if each and in_utc(each) < in_utc(limit)]
