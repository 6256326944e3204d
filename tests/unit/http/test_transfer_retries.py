"""Transfer: when a host is given up, when retries are spent, and what waits without a place in flight."""

import os
from collections.abc import Mapping
from contextlib import closing
from threading import Barrier, Event
from typing import Any

import pytest

from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.errors import (
    BrokenBodyError,
    HostDownError,
    InterruptedRunError,
    StorageError,
    TimeLimitError,
    UpstreamError,
    UpstreamUnavailableError,
)
from bandersnatch.http.request import Head, Request
from bandersnatch.http.retry_policy import RetryPolicy
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.http.transfer import Transfer
from tests.support.fakepypi import FakePyPI, Fault, Reset, ShortBody, Stall, Status
from tests.support.fetching import DATA, ok
from tests.support.scripted import Asked, Line, answer, scripted
from tests.support.transferring import Pieces, fetch, get


def transfer_with(workers: int = 10, **policy: Any) -> Transfer:
    limits = RunLimits(RetryPolicy(backoff_seconds=0, **policy))
    return Transfer(HttpConfig("", allow_non_https=True, workers=workers), limits)


class Started:
    """Requests that were started, and what came of them, in that order."""

    def __init__(self, transfer: Transfer) -> None:
        self.transfer = transfer
        self.answers: list[bytes | Exception | None] = []
        self.urls: list[str] = []

    def start(self, url: str, receiver: Pieces | None = None, subject: str = "") -> None:
        def done(value: bytes | None, error: Exception | None) -> None:
            self.urls.append(url)
            self.answers.append(error or value)

        self.transfer.start(Request(url, receiver or Pieces(), subject=subject), done)

    def finish(self) -> list[bytes | Exception | None]:
        while self.transfer.pending():
            self.transfer.advance(10)
        return self.answers


@pytest.fixture
def started(transfer: Transfer) -> Started:
    return Started(transfer)


# Hosts that are given up


def test_one_subject_counts_for_a_quarter_at_the_most(pypi: FakePyPI) -> None:
    pypi.fault("/x", Status(403), times=None)
    with closing(transfer_with(attempts=1, failures_until_down=8)) as transfer:
        started = Started(transfer)
        for _ in range(20):
            started.start(f"{pypi.url}/x", subject="foo")
        assert not any(isinstance(answer, HostDownError) for answer in started.finish())
        for subject in ("bar", "baz", "foobar"):
            for _ in range(2):
                started.start(f"{pypi.url}/x", subject=subject)
        started.finish()
        started.start(f"{pypi.url}/x", subject="other")
        assert isinstance(started.finish()[-1], HostDownError)


def test_a_host_is_given_up_after_twenty_failures_in_a_row(pypi: FakePyPI) -> None:
    pypi.fault("/x", Status(503), times=None)
    pypi.fault("/y", ok(), times=None)
    policy = RetryPolicy(attempts=1)
    with closing(Transfer(HttpConfig("", allow_non_https=True, workers=1), RunLimits(policy))) as transfer:
        started = Started(transfer)
        for number in range(policy.failures_until_down - 1):
            started.start(f"{pypi.url}/x", subject=f"foo-{number}")
        started.finish()
        started.start(f"{pypi.url}/y")
        assert started.finish()[-1] == DATA
    assert len(pypi.requests) == 20


def test_what_waits_is_not_asked_when_its_host_is_given_up(pypi: FakePyPI) -> None:
    pypi.fault("/x", Status(503), times=None)
    with closing(transfer_with(workers=1, attempts=1, failures_until_down=2)) as transfer:
        started = Started(transfer)
        for _ in range(10):
            started.start(f"{pypi.url}/x")
        answers = started.finish()
    assert [type(answer) for answer in answers] == [UpstreamUnavailableError] * 2 + [HostDownError] * 8
    assert len(pypi.requests) == 2


# Retries


def test_what_is_put_back_holds_no_place_in_flight(pypi: FakePyPI) -> None:
    pypi.fault("/x", Status(503, {"Retry-After": "1"}), ok())
    pypi.fault("/y", ok(), times=None)
    with closing(transfer_with(workers=1)) as transfer:
        started = Started(transfer)
        for name in "xyyy":
            started.start(f"{pypi.url}/{name}")
        assert started.finish() == [DATA] * 4
    assert [url[-1] for url in started.urls] == ["y", "y", "y", "x"]


def test_no_more_requests_are_in_flight_than_allowed(pypi: FakePyPI) -> None:
    in_flight = most = 0

    def serve(line: Line, asked: Asked) -> None:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        line.pause(0.01)
        in_flight -= 1
        line.send(answer(DATA))

    with scripted(serve) as url, closing(transfer_with(workers=3)) as transfer:
        started = Started(transfer)
        for _ in range(20):
            started.start(f"{url}/x")
        assert started.finish() == [DATA] * 20
    assert most == 3


class Resuming(Pieces):
    """Goes on where a body broke off; servers that send the whole of it all the same are no matter here."""

    can_resume = True


@pytest.mark.parametrize(("receiver", "requests"), [(Pieces, 4), (Resuming, 3)])
def test_a_body_that_always_breaks_off_is_asked_for_a_few_times(
    pypi: FakePyPI, receiver: type[Pieces], requests: int
) -> None:
    pypi.fault("/simple/", ShortBody(3), times=None)
    taker = receiver()
    with closing(transfer_with()) as transfer, pytest.raises(BrokenBodyError, match="the body broke off"):
        fetch(transfer, Request(f"{pypi.url}/simple/", taker))
    assert len(pypi.requests) == len(taker.heads) == len(taker.errors) == requests


def test_bodies_that_break_off_use_up_the_retries_of_the_run(pypi: FakePyPI) -> None:
    pypi.fault("/simple/", ShortBody(3), times=None)
    with closing(transfer_with(retries_per_run=1)) as transfer, pytest.raises(BrokenBodyError):
        fetch(transfer, Request(f"{pypi.url}/simple/", Pieces()))
    assert len(pypi.requests) == 2


def test_what_gets_on_within_each_time_limit_may_take_many(pypi: FakePyPI) -> None:
    sent = bytes(1024 * 1024)

    def serve(line: Line, asked: Asked) -> None:
        number = len(receiver.heads)
        if number == 5:
            line.send(answer(DATA))
        line.send(answer(sent + b"x").removesuffix(b"x"))
        line.pause(10)

    receiver = Resuming()
    config, policy = (
        HttpConfig("", allow_non_https=True, global_timeout_seconds=0.3),
        RetryPolicy(failures_until_down=3),
    )
    with scripted(serve) as url, closing(Transfer(config, RunLimits(policy))) as transfer:
        assert fetch(transfer, Request(f"{url}/x", receiver)) == DATA
    assert [type(error) for error in receiver.errors] == [TimeLimitError] * 5


# Others


def test_a_closed_transfer_breaks_off_what_is_under_way(pypi: FakePyPI) -> None:
    stall = Stall()
    pypi.fault("/simple/", stall, times=None)
    receiver, waiting = Pieces(), Pieces()
    transfer = transfer_with(workers=1)
    started = Started(transfer)
    started.start(f"{pypi.url}/simple/", receiver)
    started.start(f"{pypi.url}/simple/", waiting)
    while not stall.started.is_set():
        transfer.advance(0.01)
    transfer.close()
    transfer.close()
    assert [type(error) for error in receiver.errors] == [InterruptedRunError]
    assert waiting.errors == []
    assert started.answers == []
    assert transfer.pending() == 0


class StoppedError(BaseException):
    """Comes in the middle of something, like a signal."""


class Stopping(Pieces):
    def end(self) -> bytes:
        raise StoppedError


def test_a_transfer_closed_after_a_redirect_breaks_off_what_waits_to_follow_it() -> None:
    """Its receiver holds what it has opened, and is to let it go."""
    are_asked, are_answered, is_redirected = Barrier(3), Barrier(3), Event()

    def serve(line: Line, asked: Asked) -> None:
        are_asked.wait(30)
        if asked.target == "/moved":
            line.send(answer(b"", "Location: /x", status="302 Found"))
            is_redirected.set()
        else:
            assert is_redirected.wait(30)
            line.send(answer(DATA))
        are_answered.wait(30)

    receiver, transfer = Pieces(), transfer_with()
    with scripted(serve) as url:
        started = Started(transfer)
        started.start(f"{url}/moved", receiver)
        started.start(f"{url}/x", Stopping())
        while are_asked.n_waiting < 2:
            transfer.advance(0.01)
        are_asked.wait(30)
        are_answered.wait(30)
        with pytest.raises(StoppedError):
            transfer.advance(30)
        transfer.close()
    assert [type(error) for error in receiver.errors] == [InterruptedRunError]
    assert started.answers == []


def test_whoever_is_told_may_close_it(pypi: FakePyPI) -> None:
    pypi.fault("/x", ok(), times=None)
    transfer = transfer_with()
    answers: list[bytes | Exception | None] = []

    def close(value: bytes | None, error: Exception | None) -> None:
        answers.append(error or value)
        transfer.close()

    for _ in range(5):
        transfer.start(Request(f"{pypi.url}/x", Pieces()), close)
    while transfer.pending():
        transfer.advance(10)
    assert answers == [DATA]


def test_a_watched_pipe_ends_the_wait(transfer: Transfer) -> None:
    reader, writer = os.pipe()
    transfer.watch(reader)
    os.write(writer, b"x")
    transfer.advance(60)
    assert os.read(reader, 1) == b"x"
    transfer.unwatch(reader)
    os.close(reader)
    os.close(writer)


def test_done_is_never_called_by_start(pypi: FakePyPI, started: Started) -> None:
    for url in (f"{pypi.url}/simple/", "http://[", "nonsense", "https://a..example/"):
        started.start(url)
        assert started.answers == []
        answers = started.finish()
        assert isinstance(answers.pop(), bytes if url.startswith(pypi.url) else UpstreamError)


def test_a_bug_of_a_receiver_reaches_whoever_asked(pypi: FakePyPI, transfer: Transfer) -> None:
    class Buggy(Pieces):
        def write(self, piece: bytes) -> None:
            raise ZeroDivisionError

    pypi.fault("/x", ok())
    with pytest.raises(ZeroDivisionError):
        fetch(transfer, Request(f"{pypi.url}/x", Buggy()))
    pypi.fault("/x", ok())
    assert get(transfer, f"{pypi.url}/x") == DATA


# What a receiver is told


class Recording(Pieces):
    """Notes what it is told, as letters: headers, begin, end, break off."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = ""

    def headers(self) -> Mapping[str, str]:
        self.calls += "h"
        return super().headers()

    def begin(self, head: Head) -> None:
        self.calls += "b"
        super().begin(head)

    def end(self) -> bytes:
        self.calls += "e"
        return super().end()

    def abort(self, error: Exception) -> None:
        self.calls += "x"
        super().abort(error)


ENDS = {
    "a document": ([ok()], "hbe"),
    "a redirect": ([Status(302, {"Location": "/x"}), ok()], "hbe"),
    "redirects without end": ([Status(302, {"Location": "/x"})] * 50, "hxhx"),  # the first may be of another request
    "a redirect to nowhere": ([Status(302, {"Location": "http://["})], "hx"),
    "a redirect to FTP": ([Status(302, {"Location": "ftp://127.0.0.1/x"})], "hx"),
    "404": ([Status(404)], "hx"),
    "403": ([Status(403)], "hx"),
    "503": ([Status(503)] * 3, "hxhxhx"),
    "a reset": ([Reset(), ok()], "hxhbe"),
    "304 without condition": ([Status(304)], "hx"),
    "206 without range": ([Status(206)], "hx"),
}


@pytest.mark.parametrize(("faults", "calls"), ENDS.values(), ids=ENDS)
def test_each_attempt_of_a_receiver_has_an_end(
    pypi: FakePyPI, transfer: Transfer, faults: list[Fault], calls: str
) -> None:
    pypi.fault("/x", *faults)
    receiver = Recording()
    started = Started(transfer)
    started.start(f"{pypi.url}/x", receiver)
    (answer,) = started.finish()
    assert receiver.calls == calls
    assert isinstance(answer, Exception) == (calls[-1] == "x")


@pytest.mark.parametrize("place", ["headers", "begin", "write", "end", "abort"])
def test_what_a_receiver_raises_reaches_whoever_asked_and_no_one_else(pypi: FakePyPI, place: str) -> None:
    class Raising(Pieces):
        pass

    def fail(*_: object) -> None:
        raise StorageError("x", "write", "it is full")

    setattr(Raising, place, fail)
    pypi.fault("/x", ok(), times=None)
    pypi.fault("/y", Status(503), times=None)
    with closing(transfer_with(attempts=3)) as transfer:
        started = Started(transfer)
        started.start(f"{pypi.url}/{'y' if place == 'abort' else 'x'}", Raising())
        started.start(f"{pypi.url}/x")
        answers = started.finish()
    assert sorted(type(answer).__name__ for answer in answers) == ["StorageError", "bytes"]
    assert len(pypi.requests) == (1 if place == "headers" else 2)
