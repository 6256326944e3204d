"""A plain answer is read, however it is cut into pieces; and nothing else is taken for one."""

import itertools
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import IncompleteRead

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.config import HttpConfig
from bandersnatch.lane import GoneAnswerError, Lane, PlainAnswer, UnfitAnswerError
from bandersnatch.retries import BudgetedRetry, RetryBudget, RetryPolicy
from bandersnatch.routes import Routes
from tests.builders import unhurried

BYTES = b"0123456789"
PLAIN = b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: "x"\r\n\r\n'


@contextmanager
def lane_to(
    answers: Sequence[bytes], limit_seconds: float = 30, headers: dict[str, str] | None = None
) -> Iterator[Lane]:
    """Give a lane to a server that sends these pieces, each when the client has read the one before, and then closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        origin = f"http://127.0.0.1:{server.getsockname()[1]}"
        asked: list[bytes] = []

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                asked.append(connection.recv(65536))
                for answer in answers:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        config = HttpConfig(origin, allow_non_https=True)
        policy = RetryPolicy()
        with closing(Routes(config, BudgetedRetry.of(policy, RetryBudget(1)), headers or {})) as routes:
            lane = Lane(origin, routes.to(origin), 10, limit_seconds)
            try:
                yield lane
            finally:
                lane.close()
                thread.join()
        (request,) = asked
        assert request.startswith(b"GET /packages/x HTTP/1.1\r\nHost: 127.0.0.1:")
        assert request.endswith(b"Accept-Encoding: identity\r\n\r\n")


def ask(lane: Lane, size: int = len(BYTES)) -> bytes | None:
    lane.ask(f"{lane.origin}/packages/x", size)
    return lane.answer()


def cut(whole: bytes, at: Sequence[int]) -> list[bytes]:
    ends = [0, *sorted(at), len(whole)]
    return [whole[begin:end] for begin, end in itertools.pairwise(ends)]


@pytest.mark.parametrize("at", [[], [1], [9, 20], [len(PLAIN) - 1], [len(PLAIN)], [len(PLAIN), len(PLAIN) + 4]])
def test_an_answer_is_whole_however_it_is_cut(at: list[int]) -> None:
    with lane_to(cut(PLAIN + BYTES, at)) as lane:
        assert ask(lane) == BYTES
        assert lane.is_open()


def test_what_every_request_shall_have_is_sent() -> None:
    with lane_to([PLAIN + BYTES], headers={"User-Agent": "tester"}) as lane:
        assert b"User-Agent: tester\r\n" in lane._behind_target
        assert ask(lane) == BYTES


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: Upgrade, keep-alive\r\nContent-Length: 10\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\n",
    ],
)
def test_a_server_that_may_close_the_connection_is_asked_no_more(head: bytes) -> None:
    with lane_to([head + BYTES]) as lane:
        assert ask(lane) == BYTES
        assert not lane.is_open()


def test_what_is_gone_is_no_document_and_no_trouble() -> None:
    with lane_to([b"HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nnot here"]) as lane:
        assert ask(lane) is None
        assert lane.is_open()


def test_a_large_document_that_is_gone_is_told_apart() -> None:
    with lane_to([b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"]) as lane:
        lane.ask(f"{lane.origin}/packages/x", 10**9)
        with pytest.raises(GoneAnswerError):
            lane.begin_answer()


UNFIT = {
    "more than the document": PLAIN + BYTES + b"!",
    "another length": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + BYTES,
    "no length": b"HTTP/1.1 200 OK\r\n\r\n" + BYTES,
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Length: 10\r\n\r\n" + BYTES,
    "a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 10, 10\r\n\r\n" + BYTES,
    "a length below zero": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + BYTES,
    "a length with a sign": b"HTTP/1.1 200 OK\r\nContent-Length: +10\r\n\r\n" + BYTES,
    "a length of many digits": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"0" * 40 + b"10\r\n\r\n" + BYTES,
    "chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n" + BYTES,
    "compressed": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Encoding: gzip\r\n\r\n" + BYTES,
    "a header over two lines": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 10\r\n\r\n" + BYTES,
    "a space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 10\r\n\r\n" + BYTES,
    "a header without a colon": b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 10\r\n\r\n" + BYTES,
    "lines that end with a line feed": b"HTTP/1.1 200 OK\r\nX: a\nContent-Length: 10\r\n\r\n" + BYTES,
    "only a first answer": b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN + BYTES,
    "another protocol": b"HTTP/2 200\r\nContent-Length: 10\r\n\r\n" + BYTES,
    "no status": b"nonsense\r\nContent-Length: 10\r\n\r\n" + BYTES,
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
}


@pytest.mark.parametrize("answer", UNFIT.values(), ids=UNFIT)
def test_what_is_not_plain_is_refused(answer: bytes) -> None:
    with lane_to([answer]) as lane, pytest.raises(UnfitAnswerError):
        ask(lane)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200", PLAIN, PLAIN + BYTES[:-1]])
def test_what_breaks_off_is_an_error(sent: bytes) -> None:
    with lane_to([sent]) as lane, pytest.raises(IncompleteRead):
        ask(lane)


def test_a_document_that_takes_too_long_is_given_up() -> None:
    with lane_to([PLAIN, BYTES[:5]], limit_seconds=0) as lane, pytest.raises(TimeoutError, match="not all was there"):
        ask(lane)


@unhurried
@given(st.binary(max_size=200))
def test_no_head_is_more_than_refused(head: bytes) -> None:
    try:
        answer = PlainAnswer(head)
    except UnfitAnswerError:
        return
    assert 0 <= answer.status <= 999
    assert answer.length >= 0


names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True)
values = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)


@unhurried
@given(st.dictionaries(names.map(str.lower), values, max_size=8), st.integers(0, 10**15))
def test_the_headers_that_say_nothing_of_the_document_change_nothing(others: dict[str, str], length: int) -> None:
    known = {"content-length", "transfer-encoding", "content-encoding", "connection", "etag"}
    fields = {**{name: value for name, value in others.items() if name not in known}, "Content-Length": str(length)}
    head = "HTTP/1.1 200 OK\r\n" + "\r\n".join(f"{name}: {value}" for name, value in fields.items())
    answer = PlainAnswer(head.encode())
    assert (answer.status, answer.length, answer.etag, answer.is_last) == (200, length, None, False)
