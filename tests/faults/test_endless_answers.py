"""A server that never falls silent holds no request: heads have a deadline, bodies a least speed, and all has a bound."""

import gzip
import itertools
import zlib
from collections.abc import Callable, Iterable
from contextlib import closing

import pytest

from bandersnatch.errors import BrokenBodyError, MalformedResponseError, UpstreamUnavailableError
from bandersnatch.http.connections import EndlessAnswerError, LeastSpeed
from bandersnatch.project.equipment import Pace
from tests.support.builders import make_fetcher
from tests.support.fetching import DATA, Way, every_way, get
from tests.support.rig import HURRIED, IN_PROCESSES, Rig
from tests.support.scripted import Asked, Line, Relay, answer, scripted

Pieces = Callable[[], Iterable[bytes]]
TIMEOUT = 0.5
MANY = 10**6
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIPPED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\n"
GZIP_BEGIN = gzip.compress(b"", mtime=0)[:10]
EMPTY_BLOCK = zlib.compressobj(wbits=-15).flush(zlib.Z_SYNC_FLUSH)


def bytes_of(*parts: bytes, then: bytes = b"x") -> Iterable[bytes]:
    """Return single bytes: of these parts, and then for ever."""
    known = b"".join(parts)
    return itertools.chain((known[at : at + 1] for at in range(len(known))), itertools.repeat(then))


def with_head(*parts: bytes) -> Iterable[bytes]:
    """Return a head as a whole, which so is there in time, and then single bytes for ever."""
    return itertools.chain([b"".join(parts)], itertools.repeat(b"x"))


HEADS = {
    "status line": lambda: bytes_of(b"HTTP/1.1 200 "),
    "headers": lambda: bytes_of(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * MANY),
    "one header": lambda: bytes_of(b"HTTP/1.1 200 OK\r\nX: "),
    "interim answers": lambda: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "headers of an interim answer": lambda: bytes_of(b"HTTP/1.1 100 Continue\r\n", b"X: y\r\n" * MANY),
}
BODIES = {
    "a body": lambda: with_head(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
    "a body up to the end": lambda: with_head(b"HTTP/1.1 200 OK\r\n\r\n"),
    "the extension of a chunk": lambda: with_head(CHUNKED, b"5;x="),
    "small chunks": lambda: itertools.chain([CHUNKED], itertools.repeat(b"1\r\nx\r\n")),
    "trailers": lambda: itertools.chain([CHUNKED, b"1\r\nx\r\n0\r\n"], itertools.repeat(b"X: y\r\n")),
    "empty deflate blocks": lambda: itertools.chain([GZIPPED, GZIP_BEGIN], itertools.repeat(EMPTY_BLOCK)),
}


@every_way
@pytest.mark.parametrize("pieces", HEADS.values(), ids=HEADS)
def test_a_head_that_drips_is_given_up(fetch: Way, pieces: Pieces) -> None:
    with (
        scripted(lambda line, _: line.drip(pieces())) as url,
        closing(make_fetcher(timeout_seconds=TIMEOUT, attempts=1)) as fetcher,
        pytest.raises(UpstreamUnavailableError, match="no end of the answer: its headers were not there after"),
    ):
        fetch(fetcher, f"{url}/x")


@every_way
@pytest.mark.parametrize("pieces", BODIES.values(), ids=BODIES)
def test_a_body_that_drips_is_given_up(fetch: Way, pieces: Pieces) -> None:
    with (
        scripted(lambda line, _: line.drip(pieces())) as url,
        closing(make_fetcher(timeout_seconds=TIMEOUT, attempts=1)) as fetcher,
        pytest.raises(BrokenBodyError, match="no end of the answer: only"),
    ):
        fetch(fetcher, f"{url}/x")


def flood(line: Line, begin: bytes, block: bytes) -> None:
    line.send(begin)
    while True:
        line.send(block)


@every_way
def test_interim_answers_have_a_bound_however_fast_they_come(fetch: Way) -> None:
    with (
        scripted(lambda line, _: flood(line, b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)) as url,
        closing(make_fetcher(attempts=1)) as fetcher,
        pytest.raises(UpstreamUnavailableError, match="more than 262144 bytes of headers"),
    ):
        fetch(fetcher, f"{url}/x")


@pytest.mark.parametrize("fetch", [get])
@pytest.mark.parametrize("block", [b"1;" + b"x" * 10_000 + b"\r\ny\r\n", b"1;x\r\ny\r\n0\r\n" + b"X: y\r\n" * 10_000])
def test_what_comes_around_a_body_has_a_bound(fetch: Way, block: bytes) -> None:
    with (
        scripted(lambda line, _: flood(line, CHUNKED, block)) as url,
        closing(make_fetcher(attempts=1)) as fetcher,
        pytest.raises(UpstreamUnavailableError),
    ):
        fetch(fetcher, f"{url}/x")


def test_empty_blocks_have_a_bound_however_fast_they_come() -> None:
    begin = GZIPPED.replace(b"1000000", b"100000000000") + GZIP_BEGIN
    with (
        scripted(lambda line, _: flood(line, begin, EMPTY_BLOCK * 10_000)) as url,
        closing(make_fetcher(attempts=1)) as fetcher,
        pytest.raises(MalformedResponseError, match="larger than 1000000 bytes"),
    ):
        fetcher.get(f"{url}/x", {}, 1_000_000)


@every_way
def test_an_answer_that_comes_slowly_but_surely_is_taken(fetch: Way) -> None:
    whole = answer(DATA)
    with (
        scripted(lambda line, _: line.drip(whole[at : at + 1000] for at in range(0, len(whole), 1000))) as url,
        closing(make_fetcher(timeout_seconds=5)) as fetcher,
    ):
        assert fetch(fetcher, f"{url}/x") == DATA


def test_time_in_which_nobody_waited_does_not_count() -> None:
    speed = LeastSpeed(10)
    for _ in range(100):
        speed.count(0.01, 1)
    speed.count(9, 10_000)
    with pytest.raises(EndlessAnswerError, match=r"only 9999 bytes came in 10\.0 s"):
        speed.count(10, 9_999)


@pytest.mark.parametrize("pace", [HURRIED, IN_PROCESSES], ids=["in one thread", "in processes"])
@pytest.mark.parametrize("pieces", [HEADS["status line"], BODIES["a body"]], ids=["heads", "bodies"])
@pytest.mark.parametrize(
    ("what", "failed"), [("/pypi", set()), ("/simple/foo/", {"foo"}), ("/packages/", {"foo", "bar"})]
)
def test_a_run_ends_whatever_drips(rig: Rig, what: str, failed: set[str], pieces: Pieces, pace: Pace) -> None:
    for name in ("foo", "bar"):
        rig.pypi.add_file(name, "1.0")
    relay = Relay(rig.pypi.url)

    def serve(line: Line, asked: Asked) -> None:
        if asked.target.startswith(what):
            line.drip(pieces())
        line.send(relay.answer(asked))

    with scripted(serve) as relay.url:
        report = rig.run(master=relay.url, timeout=str(TIMEOUT), pace=pace)
    assert {failure.project for failure in report.failures} == failed
