"""Conditional requests and ranges, case by case as RFC 9110 has them, and for any numbers."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.serving.conditions import (
    Span,
    UnsatisfiableRangeError,
    Validators,
    requested_span,
    status_of_conditions,
    validators,
)
from tests.support.serving import LAST_MODIFIED, WRITTEN

CURRENT = Validators('"a-b-c"', WRITTEN)
BEFORE, AFTER = (formatdate(WRITTEN + seconds, usegmt=True) for seconds in (-1, 1))
NOW = WRITTEN + 1000.0


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 200),
        ({"if-none-match": '"a-b-c"'}, 304),
        ({"if-none-match": 'W/"a-b-c"'}, 304),
        ({"if-none-match": '"x", "a-b-c"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"x"'}, 200),
        ({"if-none-match": "a-b-c"}, 200),
        ({"if-modified-since": LAST_MODIFIED}, 304),
        ({"if-modified-since": AFTER}, 304),
        ({"if-modified-since": BEFORE}, 200),
        ({"if-modified-since": "yesterday"}, 200),
        ({"if-none-match": '"x"', "if-modified-since": AFTER}, 200),
        ({"if-match": '"a-b-c"'}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": '"x"'}, 412),
        ({"if-match": 'W/"a-b-c"'}, 412),
        ({"if-match": '"x"', "if-none-match": '"a-b-c"'}, 412),
        ({"if-unmodified-since": LAST_MODIFIED}, 200),
        ({"if-unmodified-since": BEFORE}, 412),
        ({"if-unmodified-since": "tomorrow"}, 200),
        ({"if-match": '"a-b-c"', "if-unmodified-since": BEFORE}, 200),
    ],
    ids=repr,
)
def test_conditions(asked: dict[str, str], status: int) -> None:
    assert status_of_conditions(asked, CURRENT) == status


@pytest.mark.parametrize(
    ("value", "span"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=2-5", Span(2, 6)),
        ("bytes=2-", Span(2, 10)),
        ("bytes=2-99", Span(2, 10)),
        (f"bytes=2-{'9' * 5000}", Span(2, 10)),
        ("bytes=-3", Span(7, 10)),
        ("bytes=-99", Span(0, 10)),
        (" Bytes = 2 - 5 ", Span(2, 6)),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("", None),
    ],
)
def test_ranges(value: str, span: Span | None) -> None:
    assert requested_span({"range": value}, CURRENT, 10, NOW) == span


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=10-11", "bytes=-0", f"bytes={'9' * 5000}-"])
def test_ranges_beyond_the_end(value: str) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        requested_span({"range": value}, CURRENT, 10, NOW)


@pytest.mark.parametrize("value", ["bytes=0-", "bytes=-5"])
def test_an_empty_file_has_no_range(value: str) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        requested_span({"range": value}, CURRENT, 0, NOW)


@pytest.mark.parametrize(
    ("if_range", "is_current"),
    [
        ('"a-b-c"', True),
        ('"x"', False),
        ('W/"a-b-c"', False),
        (LAST_MODIFIED, True),
        (BEFORE, False),
        (AFTER, False),
        ("nonsense", False),
    ],
)
def test_range_of_another_state_is_the_whole_document(if_range: str, is_current: bool) -> None:
    span = requested_span({"range": "bytes=2-5", "if-range": if_range}, CURRENT, 10, NOW)
    assert span == (Span(2, 6) if is_current else None)


def test_date_alone_is_not_believed_within_the_second_of_the_writing() -> None:
    asked = {"range": "bytes=2-5", "if-range": LAST_MODIFIED}
    assert requested_span(asked, CURRENT, 10, WRITTEN + 0.5) is None


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_span_is_what_a_slice_is(begin: int, length: int, size: int) -> None:
    try:
        span = requested_span({"range": f"bytes={begin}-{begin + length}"}, CURRENT, size, NOW)
    except UnsatisfiableRangeError:
        assert begin >= size
    else:
        assert span == Span(begin, min(begin + length + 1, size))


@given(st.text(), st.text(), st.integers(0, 100))
def test_any_headers_are_answered(value: str, other: str, size: int) -> None:
    names = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
    assert all(status_of_conditions({name: value}, CURRENT) in (200, 304, 412) for name in names)
    try:
        span = requested_span({"range": f"bytes={value}", "if-range": other}, CURRENT, size, NOW)
    except UnsatisfiableRangeError:
        return
    assert span is None or 0 <= span.begin < span.end <= size


def test_validators_tell_states_apart() -> None:
    states = [(1, 10, 5), (2, 10, 5), (1, 11, 5), (1, 10, 6)]
    assert len({validators(*state).etag for state in states}) == len(states)


@pytest.mark.parametrize("nanoseconds", [-(10**18), 0, 10**30])
def test_a_wrong_clock_gives_a_date_that_can_be_written(nanoseconds: int) -> None:
    assert validators(1, 2, nanoseconds).last_modified.endswith(" GMT")
