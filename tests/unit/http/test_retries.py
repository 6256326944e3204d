"""How often requests are tried again, and when a host is given up."""

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.config.config import HttpConfig
from bandersnatch.errors import HostDownError, NotFoundError, UpstreamUnavailableError
from bandersnatch.http.fetcher import Fetcher
from bandersnatch.http.retries import CircuitBreaker, RetryBudget, RetryPolicy
from tests.support.builders import unhurried
from tests.support.fakepypi import FakePyPI, Reset, Status

HOST = "index.example"


def make_fetcher(**policy: int) -> Fetcher:
    return Fetcher(HttpConfig("", allow_non_https=True), RetryPolicy(backoff_seconds=0, **policy))  # type: ignore[arg-type]


@unhurried
@given(st.integers(0, 20), st.integers(0, 30))
def test_a_budget_has_as_many_retries_as_it_was_given(retries: int, takes: int) -> None:
    budget = RetryBudget(retries)
    assert sum(budget.take() for _ in range(takes)) == min(retries, takes)


def test_a_host_is_down_after_so_many_failures_in_a_row() -> None:
    health = CircuitBreaker(3)
    states = []
    for _ in range(4):
        states.append(health.is_down(HOST))
        health.failed(HOST)
    assert states == [False, False, False, True]


def test_a_success_makes_up_for_failures() -> None:
    health = CircuitBreaker(2)
    for _ in range(5):
        health.failed(HOST)
        health.succeeded(HOST)
    assert not health.is_down(HOST)


def test_a_host_that_is_down_stays_so() -> None:
    health = CircuitBreaker(1)
    health.failed(HOST)
    health.succeeded(HOST)
    assert health.is_down(HOST)


def test_one_subject_counts_for_a_quarter_at_the_most() -> None:
    health = CircuitBreaker(20)
    for subject in ("foo", "bar", "baz"):
        for _ in range(100):
            health.failed(HOST, subject)
    assert not health.is_down(HOST)
    for _ in range(4):
        health.failed(HOST, "foobar")
    assert not health.is_down(HOST)
    health.failed(HOST, "foobar")
    assert health.is_down(HOST)


def test_after_a_success_a_subject_counts_anew() -> None:
    health = CircuitBreaker(4)
    for _ in range(4):
        health.failed(HOST, "foo")
        health.succeeded(HOST)
    for subject in ("foo", "bar", "baz", "foobar"):
        health.failed(HOST, subject)
    assert health.is_down(HOST)


def test_one_host_does_not_stand_for_another() -> None:
    health = CircuitBreaker(1)
    health.failed(HOST)
    assert not health.is_down("files.example")


@pytest.mark.parametrize("fault", [Status(503), Reset()])
def test_a_host_that_is_down_is_not_asked_any_more(pypi: FakePyPI, fault: Status | Reset) -> None:
    pypi.fault("/x", fault, times=None)
    with closing(make_fetcher(attempts=1, failures_until_down=2)) as fetcher:
        for _ in range(2):
            with pytest.raises(UpstreamUnavailableError):
                fetcher.get(f"{pypi.url}/x", {})
        with pytest.raises(HostDownError, match="gave no usable answer to 2 requests in a row"):
            fetcher.get(f"{pypi.url}/simple/", {})
    assert len(pypi.requests) == 2


@pytest.mark.parametrize("status", [404, 410])
def test_an_answer_that_says_no_is_an_answer(pypi: FakePyPI, status: int) -> None:
    pypi.fault("/x", Status(status), times=None)
    with closing(make_fetcher(attempts=1, failures_until_down=2)) as fetcher:
        for _ in range(5):
            with pytest.raises((NotFoundError, UpstreamUnavailableError)):
                fetcher.get(f"{pypi.url}/x", {})
    assert len(pypi.requests) >= 5  # one that is not the first on its connection is had once more


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
