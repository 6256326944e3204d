"""When a host is given up for the rest of the run."""

from bandersnatch.http.circuit_breaker import CircuitBreaker

HOST = "index.example"


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
