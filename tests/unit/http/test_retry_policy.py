"""How often and how soon a request is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.http.retry_policy import RetryPolicy
from tests.support.builders import unhurried

POLICY = RetryPolicy()


@unhurried
@given(st.integers(2, 10_000))
def test_pauses_grow_up_to_a_cap_and_differ_by_chance(failures: int) -> None:
    assert 1.0 <= POLICY.pause_seconds(failures) <= POLICY.longest_backoff_seconds


def test_the_first_retry_is_immediate() -> None:
    assert POLICY.pause_seconds(1) == 0.0


@pytest.mark.parametrize(
    ("status", "retry_after", "expected"),
    [(429, "7", 7.0), (503, " 7 ", 7.0), (503, "999999", 120.0), (503, "soon", 0.0), (500, "7", 0.0)],
)
def test_upstream_says_how_long_to_wait(status: int, retry_after: str, expected: float) -> None:
    assert POLICY.pause_seconds(1, status, retry_after) == expected
