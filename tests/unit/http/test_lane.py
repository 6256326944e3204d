"""A plain answer is read, however it is cut into pieces; and nothing else is taken for one."""

import gzip
import itertools
import random
import socket
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import IncompleteRead
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPConnectionPool
from urllib3.util.wait import wait_for_read

from bandersnatch.http.body import Answer
from bandersnatch.http.connections import Trust
from bandersnatch.http.lane import GoneAnswerError, Lane, PlainHead, Question, UnfitAnswerError
from bandersnatch.http.routes import Route
from tests.support.builders import unhurried

BYTES = b"0123456789"
PLAIN = b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: "x"\r\n\r\n'


class Pieces:
    """What a lane needs of a socket; each of these pieces is what one ``recv`` has, and after them comes the end."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = deque(pieces)
        self.sent = b""

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def recv(self, most: int) -> bytes:
        piece = self._pieces.popleft() if self._pieces else b""
        if len(piece) > most:
            self._pieces.appendleft(piece[most:])
        return piece[:most]

    def close(self) -> None:
        self._pieces.clear()


class Way(Route, frozen=True):
    """A way that leads to such pieces."""

    pieces: Pieces

    def connect(self, timeout_seconds: float) -> socket.socket:
        assert timeout_seconds > 0
        return cast(socket.socket, self.pieces)


def way_to(pieces: Pieces, headers: Mapping[str, str] | None = None) -> Way:
    pool = HTTPConnectionPool("index.example")
    return Way(pool, headers or {}, wants_whole_urls=False, trust=Trust(pool.host), pieces=pieces)


def lane_to(pieces: Sequence[bytes], limit_seconds: float = 30, headers: Mapping[str, str] | None = None) -> Lane:
    """Return a lane on which these pieces come."""
    return Lane("http://index.example:8080", way_to(Pieces(pieces), headers), 10, limit_seconds)


def ask(lane: Lane, size: int = len(BYTES)) -> bytes | None:
    """Ask for a document of known size; None stands for one that is gone."""
    lane.ask(Question(f"{lane.origin}/packages/x", size))
    answer = whole(lane)
    return answer.body if answer.status == 200 else None


def whole(lane: Lane) -> Answer:
    """Receive until the answer is whole."""
    while (answer := lane.receive()) is None:
        pass
    return answer


def cut(whole: bytes, at: Sequence[int]) -> list[bytes]:
    ends = [0, *sorted(at), len(whole)]
    return [whole[begin:end] for begin, end in itertools.pairwise(ends)]


@pytest.mark.parametrize("at", [[], [1], [9, 20], [len(PLAIN) - 1], [len(PLAIN)], [len(PLAIN), len(PLAIN) + 4]])
def test_an_answer_is_whole_however_it_is_cut(at: list[int]) -> None:
    lane = lane_to(cut(PLAIN + BYTES, at))
    assert ask(lane) == BYTES
    assert lane.is_open()


def test_a_request_has_what_every_request_shall_have() -> None:
    lane = lane_to([PLAIN + BYTES], headers={"User-Agent": "tester"})
    assert ask(lane) == BYTES
    assert cast(Pieces, lane.socket).sent == (
        b"GET /packages/x HTTP/1.1\r\nHost: index.example:8080\r\nUser-Agent: tester\r\nAccept-Encoding: identity\r\n\r\n"
    )


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: Upgrade, keep-alive\r\nContent-Length: 10\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\n",
    ],
)
def test_a_server_that_may_close_the_connection_is_asked_no_more(head: bytes) -> None:
    lane = lane_to([head + BYTES])
    assert ask(lane) == BYTES
    assert not lane.is_open()


def test_what_is_gone_is_no_document_and_no_trouble() -> None:
    lane = lane_to([b"HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nnot here", PLAIN + BYTES])
    assert ask(lane) is None
    assert ask(lane) == BYTES


def test_a_large_document_that_is_gone_is_told_apart_and_the_lane_goes_on() -> None:
    lane = lane_to([b"HTTP/1.1 410 Gone\r\nContent-Length: 8\r\n\r\nnot", b" any", b"more"[:1], PLAIN + BYTES])
    lane.ask(Question(f"{lane.origin}/packages/x", 10**9))
    with pytest.raises(GoneAnswerError):
        lane.begin_answer()
    assert ask(lane) == BYTES


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
    "long headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 4_000 + b"Content-Length: 10\r\n\r\n" + BYTES,
    "a header with a zero": b"HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 10\r\n\r\n" + BYTES,
    "a header without a name": b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 10\r\n\r\n" + BYTES,
}


@pytest.mark.parametrize("answer", UNFIT.values(), ids=UNFIT)
def test_what_is_not_plain_is_refused(answer: bytes) -> None:
    with pytest.raises(UnfitAnswerError):
        ask(lane_to([answer]))


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200", PLAIN, PLAIN + BYTES[:-1]])
def test_what_breaks_off_is_an_error(sent: bytes) -> None:
    with pytest.raises(IncompleteRead):
        ask(lane_to([sent]))


def test_a_document_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(TimeoutError, match="not all was there"):
        ask(lane_to([PLAIN, BYTES[:5]], limit_seconds=0))


@pytest.mark.parametrize("value", [b" " * 15_000 + b"\n", b"\t " * 7_000 + b"\0"])
def test_a_header_full_of_blanks_that_ends_wrongly_is_refused_as_quickly_as_any_other(value: bytes) -> None:
    """With a pattern that can divide blanks in many ways, each of these took minutes, in which no signal was heard."""
    with pytest.raises(UnfitAnswerError):
        PlainHead(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX:" + value)


def test_a_header_full_of_blanks_is_read_as_quickly_as_any_other() -> None:
    answer = PlainHead(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX:a" + b" " * 15_000 + b"b")
    assert (answer.status, answer.length) == (200, 10)


@unhurried
@given(st.binary(max_size=200))
def test_no_head_is_more_than_refused(head: bytes) -> None:
    try:
        answer = PlainHead(head)
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
    answer = PlainHead(head.encode())
    assert (answer.status, answer.length, answer.etag, answer.is_last) == (200, length, None, False)


# Pages: of unknown size, perhaps compressed, perhaps unchanged

PAGE = b'{"files": []}' * 20
ETAG = {"If-None-Match": '"x"'}


def page(lane: Lane, most: int = 1000, headers: Mapping[str, str] | None = None) -> Answer:
    lane.ask(Question(f"{lane.origin}/simple/x/", most, is_known=False, headers=headers or {}))
    return whole(lane)


def answer_with(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


def test_a_page_comes_with_what_tells_which_one_it_is() -> None:
    fields = ("ETAG: W/x", "content-type:  text/plain ; x=y", "X-PyPI-Last-Serial: 7", "Server: x")
    found = page(lane_to([answer_with(PAGE, *fields)]))
    assert (found.status, found.body, found.url) == (200, PAGE, "http://index.example:8080/simple/x/")
    assert found.headers["ETag"] == "W/x"
    assert found.headers["Content-Type"] == "text/plain ; x=y"
    assert found.headers["X-PyPI-Last-Serial"] == "7"


def test_a_page_is_asked_for_with_its_headers_and_may_be_compressed() -> None:
    lane = lane_to([answer_with(gzip.compress(PAGE), "Content-Encoding: GZIP"), answer_with(PAGE)])
    assert page(lane, headers=ETAG).body == PAGE
    assert cast(Pieces, lane.socket).sent == (
        b'GET /simple/x/ HTTP/1.1\r\nHost: index.example:8080\r\nAccept-Encoding: gzip\r\nIf-None-Match: "x"\r\n\r\n'
    )
    assert page(lane).body == PAGE


@pytest.mark.parametrize("fields", [(), ("Content-Encoding: gzip",)])
def test_an_unchanged_page_has_no_body_whatever_length_it_tells(fields: tuple[str, ...]) -> None:
    unchanged = answer_with(PAGE, *fields, status="304 Not Modified").removesuffix(PAGE)
    lane = lane_to([unchanged, b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", answer_with(PAGE)])
    assert (page(lane, headers=ETAG).status, page(lane, headers=ETAG).body, page(lane).body) == (304, b"", PAGE)


def test_a_page_that_is_gone_may_say_so_compressed() -> None:
    lane = lane_to([answer_with(gzip.compress(b"gone"), "Content-Encoding: gzip", status="404 Not Found")])
    assert page(lane).status == 404
    assert lane.is_open()


def test_a_lane_does_not_wait_where_only_a_part_of_tls_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a server's session tickets, which come behind every handshake: others' answers would wait with it."""
    certificate = str(Path(__file__).parents[2] / "data" / "loopback.pem")
    server_side, client_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    server_side.load_cert_chain(certificate)
    client_side.load_verify_locations(certificate)
    ours, theirs = socket.socketpair()
    with ThreadPoolExecutor(1) as executor, ours, theirs:
        serving = executor.submit(server_side.wrap_socket, theirs, server_side=True)
        with client_side.wrap_socket(ours, server_hostname="127.0.0.1") as client, serving.result() as server:
            client.settimeout(30)
            monkeypatch.setattr(Way, "connect", lambda *_: client)
            lane = lane_to([])
            lane.ask(Question(f"{lane.origin}/simple/x/", 10**6, is_known=False))
            assert server.recv(10_000).startswith(b"GET /simple/x/")
            assert wait_for_read(client, timeout=30), "the tickets"
            assert lane.receive() is None
            body = random.Random(1).randbytes(100_000)
            sending = executor.submit(server.sendall, answer_with(body))
            while (answer := lane.receive()) is None:
                wait_for_read(client, timeout=30)
            sending.result()
            assert answer.body == body
            assert client.gettimeout() == 30


UNFIT_PAGES = {
    "larger than it may be": answer_with(b"x" * 1001),
    "larger than it may be, decompressed": answer_with(gzip.compress(bytes(8001)), "Content-Encoding: gzip"),
    "compressed in another way": answer_with(b"x", "Content-Encoding: br"),
    "compressed twice": answer_with(b"x", "Content-Encoding: gzip, gzip"),
    "not compressed": answer_with(PAGE, "Content-Encoding: gzip"),
    "half compressed": answer_with(gzip.compress(PAGE)[:-1], "Content-Encoding: gzip"),
    "compressed, and more": answer_with(gzip.compress(PAGE) + b"x", "Content-Encoding: gzip"),
    "in chunks": answer_with(PAGE, "Transfer-Encoding: chunked"),
    "with two types": answer_with(PAGE, "Content-Type: a", "content-type: b"),
    "with two ETags": answer_with(PAGE, "ETag: a", "ETag: b"),
    "partial": answer_with(PAGE, status="206 Partial Content"),
    "no content": answer_with(b"", status="204 No Content"),
    "unchanged, and more": b"HTTP/1.1 304 Not Modified\r\n\r\n" + PAGE,
}


@pytest.mark.parametrize("answer", UNFIT_PAGES.values(), ids=UNFIT_PAGES)
def test_a_page_that_does_not_come_plainly_is_refused(answer: bytes) -> None:
    with pytest.raises(UnfitAnswerError):
        page(lane_to([answer]))


@pytest.mark.parametrize("value", ["x\r\nHost: y", "x\ny", "x\0"])
def test_a_header_that_would_be_two_is_not_sent(value: str) -> None:
    lane = lane_to([])
    with pytest.raises(ValueError, match="no value of a header"):
        page(lane, headers={"If-None-Match": value})
    assert cast(Pieces, lane.socket).sent == b""


@unhurried
@given(st.binary(max_size=2000), st.data())
def test_any_page_comes_whole_compressed_or_not_and_however_it_is_cut(body: bytes, data: st.DataObject) -> None:
    sent = answer_with(body)
    if data.draw(st.booleans()):
        sent = answer_with(gzip.compress(body), "Content-Encoding: gzip")
    at = data.draw(st.lists(st.integers(0, len(sent)), max_size=5))
    assert page(lane_to([piece for piece in cut(sent, at) if piece]), most=3000).body == body


@unhurried
@given(st.binary(max_size=300))
def test_whatever_is_said_to_be_compressed_is_a_page_or_refused(body: bytes) -> None:
    with suppress(UnfitAnswerError):
        page(lane_to([answer_with(body, "Content-Encoding: gzip")]))
