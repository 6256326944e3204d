"""How often requests are tried again."""

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.config.config import HttpConfig
from bandersnatch.errors import UpstreamUnavailableError
from bandersnatch.http.fetcher import Fetcher
from bandersnatch.http.retries import RetryBudget, RetryPolicy
from tests.support.builders import unhurried
from tests.support.fakepypi import FakePyPI, Reset, Status


def make_fetcher(**policy: int) -> Fetcher:
    return Fetcher(HttpConfig("", allow_non_https=True), RetryPolicy(backoff_seconds=0, **policy))  # type: ignore[arg-type]


@unhurried
@given(st.integers(0, 20), st.integers(0, 30))
def test_a_budget_has_as_many_retries_as_it_was_given(retries: int, takes: int) -> None:
    budget = RetryBudget(retries)
    assert sum(budget.take() for _ in range(takes)) == min(retries, takes)


def test_when_the_budget_is_spent_errors_are_final(pypi: FakePyPI) -> None:
    pypi.fault("/x", Status(503), times=None)
    with closing(make_fetcher(attempts=3, retries_per_run=3)) as fetcher:
        for _ in range(3):
            with pytest.raises(UpstreamUnavailableError, match=f"^{pypi.url}/x: "):
                fetcher.get(f"{pypi.url}/x", {})
    assert len(pypi.requests) == 3 + 2 + 1


def test_what_needs_no_retry_takes_none_of_the_budget(pypi: FakePyPI) -> None:
    with closing(make_fetcher(attempts=2, retries_per_run=1)) as fetcher:
        for _ in range(5):
            fetcher.get(f"{pypi.url}/simple/", {})
        pypi.fault("/simple/", Reset())
        fetcher.get(f"{pypi.url}/simple/", {})
