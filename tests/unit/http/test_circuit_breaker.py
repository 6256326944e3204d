"""When a host is given up for the rest of the run."""

import sys
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.http.circuit_breaker import CircuitBreaker
from tests.support.builders import unhurried
from tests.support.forking import in_process

HOST = "index.example"

forks = pytest.mark.skipif(sys.platform != "linux", reason="worker processes need Linux")


def fail(breaker: CircuitBreaker, subjects: Sequence[str]) -> None:
    for subject in subjects:
        breaker.failed(HOST, subject)


def as_process(breaker: CircuitBreaker, place: int, call: Callable[[], object]) -> None:
    """Call a function in a forked process that has a place of its own."""

    def run() -> None:
        breaker.take_place(place)
        call()

    in_process(run)


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


@forks
def test_processes_count_together() -> None:
    breaker = CircuitBreaker(20)
    breaker.share(5)
    for place in range(1, 6):
        assert not breaker.is_down(HOST)
        as_process(breaker, place, partial(fail, breaker, [f"{place}-{n}" for n in range(4)]))
    assert breaker.is_down(HOST)
    as_process(breaker, 3, lambda: sys.exit(not breaker.is_down(HOST)))


@forks
def test_a_success_of_one_process_makes_up_for_the_failures_of_all() -> None:
    breaker = CircuitBreaker(4)
    breaker.share(2)
    for _ in range(3):
        as_process(breaker, 1, partial(fail, breaker, ["0", "1", "2"]))
        as_process(breaker, 2, lambda: breaker.succeeded(HOST))
    as_process(breaker, 2, partial(fail, breaker, ["0", "1", "2"]))
    assert not breaker.is_down(HOST)
    as_process(breaker, 1, lambda: breaker.failed(HOST))
    assert breaker.is_down(HOST)


@forks
def test_one_subject_counts_for_a_quarter_although_several_processes_work_on_it() -> None:
    breaker = CircuitBreaker(20)
    breaker.share(6)
    for place in range(1, 7):
        as_process(breaker, place, partial(fail, breaker, ["foo"] * 10))
    assert not breaker.is_down(HOST)


@forks
def test_what_one_process_finds_down_all_know() -> None:
    breaker = CircuitBreaker(1)
    breaker.failed("a.example")
    breaker.share(2)
    as_process(breaker, 1, lambda: breaker.failed("b.example"))
    as_process(breaker, 2, lambda: breaker.failed("c.example"))
    assert [breaker.is_down(f"{name}.example") for name in "abcd"] == [True, True, True, False]
    breaker.share(2)
    assert [breaker.is_down(f"{name}.example") for name in "abcd"] == [True, True, True, False]


def test_very_many_hosts_are_counted_too() -> None:
    breaker = CircuitBreaker(2)
    for number in range(100):
        breaker.failed(f"{number}.example")
        breaker.failed(f"{number}.example")
        breaker.failed("0.example")
    assert breaker.is_down("0.example")
    assert breaker.is_down("50.example")
    assert breaker.is_down("99.example")
    assert not breaker.is_down("other.example")


EVENTS = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "foo", "bar", "baz", "SUCCESS"])), max_size=40)


@unhurried
@given(EVENTS, st.integers(1, 8))
def test_a_host_is_down_as_a_simple_count_says(events: Sequence[tuple[str, str]], until_down: int) -> None:
    breaker, rows, down = CircuitBreaker(until_down), {"a": [""][:0], "b": [""][:0]}, set()
    for host, subject in events:
        if subject == "SUCCESS":
            breaker.succeeded(host)
            rows[host].clear()
        else:
            breaker.failed(host, subject)
            rows[host].append(subject)
        row, most = rows[host], max(1, until_down // 4)
        if row.count("") + sum(min(row.count(name), most) for name in set(row) - {""}) >= until_down:
            down.add(host)
        assert {name for name in "ab" if breaker.is_down(name)} == down
