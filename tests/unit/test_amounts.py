"""Numbers of things and of bytes in messages."""

import pytest

from bandersnatch.amounts import count_of, size_of


@pytest.mark.parametrize(("number", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files")])
def test_one_thing_has_no_s(number: int, text: str) -> None:
    assert count_of(number, "file") == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (45_211, "45.2 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (2_100_000_000, "2.1 GB"),
        (35 * 10**12, "35.0 TB"),
        (2 * 10**18, "2000.0 PB"),
    ],
)
def test_sizes_have_the_unit_that_people_would_choose(size_bytes: int, text: str) -> None:
    assert size_of(size_bytes) == text
