"""When a host is given up for the rest of the run."""

from contextlib import closing

import pytest

from bandersnatch.config.config import HttpConfig
from bandersnatch.errors import HostDownError, NotFoundError, UpstreamUnavailableError
from bandersnatch.http.circuit_breaker import CircuitBreaker
from bandersnatch.http.fetcher import Fetcher
from bandersnatch.http.retries import RetryPolicy
from tests.support.fakepypi import FakePyPI, Reset, Status

HOST = "index.example"


def make_fetcher(**policy: int) -> Fetcher:
    return Fetcher(HttpConfig("", allow_non_https=True), RetryPolicy(backoff_seconds=0, **policy))  # type: ignore[arg-type]


def test_a_host_is_down_after_so_many_failures_in_a_row() -> None:
    breaker = CircuitBreaker(3)
    states = []
    for _ in range(4):
        states.append(breaker.is_down(HOST))
        breaker.failed(HOST)
    assert states == [False, False, False, True]


def test_a_success_makes_up_for_failures() -> None:
    breaker = CircuitBreaker(2)
    for _ in range(5):
        breaker.failed(HOST)
        breaker.succeeded(HOST)
    assert not breaker.is_down(HOST)


def test_a_host_that_is_down_stays_so() -> None:
    breaker = CircuitBreaker(1)
    breaker.failed(HOST)
    breaker.succeeded(HOST)
    assert breaker.is_down(HOST)


def test_one_subject_counts_for_a_quarter_at_the_most() -> None:
    breaker = CircuitBreaker(20)
    for subject in ("foo", "bar", "baz"):
        for _ in range(100):
            breaker.failed(HOST, subject)
    assert not breaker.is_down(HOST)
    for _ in range(4):
        breaker.failed(HOST, "foobar")
    assert not breaker.is_down(HOST)
    breaker.failed(HOST, "foobar")
    assert breaker.is_down(HOST)


def test_after_a_success_a_subject_counts_anew() -> None:
    breaker = CircuitBreaker(4)
    for _ in range(4):
        breaker.failed(HOST, "foo")
        breaker.succeeded(HOST)
    for subject in ("foo", "bar", "baz", "foobar"):
        breaker.failed(HOST, subject)
    assert breaker.is_down(HOST)


def test_one_host_does_not_stand_for_another() -> None:
    breaker = CircuitBreaker(1)
    breaker.failed(HOST)
    assert not breaker.is_down("files.example")


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
