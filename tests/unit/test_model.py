"""What the values of a page say."""

import pytest

from tests.support.builders import wire_page
from tests.support.parsed_pages import parse, parse_one_file


def test_an_active_page_is_not_quarantined() -> None:
    assert not parse(wire_page()).is_quarantined


@pytest.mark.parametrize(("serial", "expected"), [(0, 0), (7, 7), (7.0, 7), ("105", 105), (None, None)])
def test_the_serial_may_be_a_number_or_the_text_that_bandersnatch_writes(serial: object, expected: int | None) -> None:
    assert parse(wire_page(meta={"_last-serial": serial})).serial == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-01T00:00:01", 1.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("1970-01-01T00:00:00.250000Z", 0.25),
    ],
)
def test_an_upload_time_is_in_utc_and_its_text_is_kept(text: str, seconds: float) -> None:
    file = parse_one_file(upload_time=text)
    assert (file.mtime, file.upload_time) == (seconds, text)
