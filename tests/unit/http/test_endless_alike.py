"""A server that never falls silent holds no request: heads have a deadline, bodies a least speed, and all has a bound."""

import gzip
import itertools
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing

import pytest

from bandersnatch.errors import BrokenBodyError, MalformedResponseError, UpstreamUnavailableError
from bandersnatch.http.bounded_connection import EndlessAnswerError, MinimumSpeed
from tests.support.asking import Way, for_documents, one_way_quick
from tests.support.fetching import DATA
from tests.support.scripted import Line, answer, scripted

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


def one_quick(cases: Mapping[str, Pieces]) -> pytest.MarkDecorator:
    """Each of them waits for a time limit: the quick tests have the first one only."""
    first = next(iter(cases))
    late = (pytest.mark.slow, pytest.mark.measured)
    params = [pytest.param(pieces, id=name, marks=() if name == first else late) for name, pieces in cases.items()]
    return pytest.mark.parametrize("pieces", params)


HEAD_IS_LATE = "no end of the answer: its headers were not there after"
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
    "small chunks": lambda: itertools.chain([CHUNKED], itertools.repeat(b"1\r\nx\r\n")),
    "empty deflate blocks": lambda: itertools.chain([GZIPPED, GZIP_BEGIN], itertools.repeat(EMPTY_BLOCK)),
}


@one_way_quick
@one_quick(HEADS)
def test_a_head_that_drips_is_given_up(way: Way, pieces: Pieces) -> None:
    with (
        scripted(lambda line, _: line.drip(pieces())) as url,
        closing(way.make(timeout_seconds=TIMEOUT, attempts=1)) as client,
        pytest.raises(UpstreamUnavailableError, match=rf"{HEAD_IS_LATE}|no answer for 0\.5 s$"),
    ):
        way.fetch(client, f"{url}/x")


@one_way_quick
@one_quick(BODIES)
def test_a_body_that_drips_is_given_up(way: Way, pieces: Pieces) -> None:
    with (
        scripted(lambda line, _: line.drip(pieces())) as url,
        closing(way.make(timeout_seconds=TIMEOUT, attempts=1)) as client,
        pytest.raises(BrokenBodyError, match="no end of the answer: only"),
    ):
        way.fetch(client, f"{url}/x")


AROUND_BODIES = {
    "the extension of a chunk": lambda: with_head(CHUNKED, b"5;x="),
    "trailers": lambda: itertools.chain([CHUNKED, b"1\r\nx\r\n0\r\n"], itertools.repeat(b"X: y\r\n")),
}


@one_way_quick
@one_quick(AROUND_BODIES)
def test_what_drips_around_a_body_is_given_up(way: Way, pieces: Pieces) -> None:
    with (
        scripted(lambda line, _: line.drip(pieces())) as url,
        closing(way.make(timeout_seconds=TIMEOUT, attempts=1)) as client,
        pytest.raises(BrokenBodyError, match=r"no answer for 0\.5 s|no end of the answer: only"),
    ):
        way.fetch(client, f"{url}/x")


def flood(line: Line, begin: bytes, block: bytes) -> None:
    line.send(begin)
    while True:
        line.send(block)


def test_interim_answers_have_a_bound_however_fast_they_come(way: Way) -> None:
    with (
        scripted(lambda line, _: flood(line, b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)) as url,
        closing(way.make(attempts=1)) as client,
        pytest.raises(UpstreamUnavailableError, match="more than 262144 bytes of headers"),
    ):
        way.fetch(client, f"{url}/x")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells how much has come")
@pytest.mark.slow
@pytest.mark.measured
def test_extensions_of_chunks_have_a_bound(way: Way) -> None:
    block = b"".join([b"1;", b"x" * 10_000, b"\r\ny\r\n"]) * 100
    with (
        scripted(lambda line, _: flood(line, CHUNKED, block)) as url,
        closing(way.make(timeout_seconds=TIMEOUT, attempts=1)) as client,
        pytest.raises(BrokenBodyError, match=r"of \d+ bytes, only \d+ are the body"),
    ):
        way.fetch(client, f"{url}/x")


def test_trailers_have_a_bound(way: Way) -> None:
    block = b"1;x\r\ny\r\n0\r\n" + b"X: y\r\n" * 10_000
    with (
        scripted(lambda line, _: flood(line, CHUNKED, block)) as url,
        closing(way.make(attempts=1)) as client,
        pytest.raises(UpstreamUnavailableError),
    ):
        way.fetch(client, f"{url}/x")


@for_documents
def test_empty_blocks_have_a_bound_however_fast_they_come(way: Way) -> None:
    begin = GZIPPED.replace(b"1000000", b"100000000000") + GZIP_BEGIN
    with (
        scripted(lambda line, _: flood(line, begin, EMPTY_BLOCK * 10_000)) as url,
        closing(way.make(attempts=1)) as client,
        pytest.raises(MalformedResponseError, match="compressed bytes, only 0 came"),
    ):
        way.ask(client, f"{url}/x", {}, 1_000_000)


def test_an_answer_that_comes_slowly_but_surely_is_taken(way: Way) -> None:
    whole = answer(DATA)
    with (
        scripted(lambda line, _: line.drip(whole[at : at + 1000] for at in range(0, len(whole), 1000))) as url,
        closing(way.make(timeout_seconds=5)) as client,
    ):
        assert way.fetch(client, f"{url}/x") == DATA


def test_time_in_which_nobody_waited_does_not_count() -> None:
    speed = MinimumSpeed(10)
    for _ in range(100):
        speed.count(0.01, 1)
    speed.count(9, 10_000)
    with pytest.raises(EndlessAnswerError, match=r"only 9999 bytes came in 10\.0 s"):
        speed.count(10, 9_999)
