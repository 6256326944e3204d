"""What bounds a client: connections that are kept, requests that are too large, and clients that are slow or idle."""

import os
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from io import FileIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from bandersnatch.errors import UsageError
from bandersnatch.serving import server
from bandersnatch.serving.server import MOST_CONNECTIONS, THREADS, Limits, SlowClients, listening
from bandersnatch.serving.site import Document, Redirect, Site
from bandersnatch.storage.layout import Layout
from tests.support.serving import (
    LOOPBACK,
    WHEEL,
    WHEEL_BYTES,
    Client,
    make_web,
    needs_waitress,
    read_all,
    send_raw,
    server_of,
)

pytestmark = needs_waitress

LARGE_BYTES = 100_000_000
HURRIED = Limits(idle_seconds=1, request_seconds=1.0, reading_seconds=1.0)
GET = f"GET /{WHEEL} HTTP/1.1\r\nHost: x\r\n".encode()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(make_web(tmp_path_factory.mktemp("site") / "web"), Layout())


@pytest.fixture(scope="module")
def port(site: Site) -> Iterator[int]:
    with server_of(site) as port:
        yield port


def status_of(answer: bytes) -> int:
    version, status, _ = answer.split(b" ", 2)
    assert version in (b"HTTP/1.0", b"HTTP/1.1")
    return int(status)


def test_connection_is_kept(port: int) -> None:
    with closing(Client(port)) as client:
        client.connection.connect()
        connection = client.connection.sock
        assert [client.ask(path).status for path in ("/simple/", f"/{WHEEL}", "/nothing", "/simple/f")] == [
            200,
            200,
            404,
            301,
        ]
        assert client.connection.sock is connection


def test_of_requests_sent_at_once_the_first_is_answered(port: int) -> None:
    answers = send_raw(port, (GET + b"\r\n") * 100)
    assert answers.count(b"HTTP/1.1 200 OK") == answers.count(WHEEL_BYTES) == 1
    assert b"Connection: close" in answers


@pytest.mark.parametrize("last", [b"Connection: close\r\n\r\n", b"Connection: close\r\nIf-None-Match: *\r\n\r\n"])
def test_client_may_ask_for_the_end_of_the_connection(port: int, last: bytes) -> None:
    assert b"Connection: close" in send_raw(port, GET + last)


def test_request_without_a_body_need_not_wait_for_one(port: int) -> None:
    answer = send_raw(port, GET + b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
    assert (status_of(answer), answer.endswith(WHEEL_BYTES)) == (200, True)


def test_request_with_a_body_waits_until_it_is_told_to_go_on(port: int) -> None:
    with socket.create_connection((LOOPBACK, port), timeout=30) as connection:
        connection.sendall(
            b"POST /pypi HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert status_of(read_all(connection)) == 405


def test_http_1_0_has_one_answer(port: int) -> None:
    answer = send_raw(port, f"GET /{WHEEL} HTTP/1.0\r\n\r\n".encode())
    assert status_of(answer) == 200
    assert answer.endswith(WHEEL_BYTES)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 17_000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 70000\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n11171\r\n" + b"a" * 70_001 + b"\r\n0\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    ],
    ids=["line", "headers", "length", "chunks", "coding", "nonsense", "negative", "two lengths"],
)
def test_request_that_is_too_large_or_wrong_is_refused(port: int, request_: bytes, status: int) -> None:
    assert status_of(send_raw(port, request_)) == status


class TellingSite(Site):
    """A site that tells of each large file that the server has closed."""

    def __init__(self, web: Path, layout: Layout) -> None:
        super().__init__(web, layout)
        self.closed = threading.Semaphore(0)

    def find(self, path: str, accept: str | None) -> Document | Redirect | None:
        found = super().find(path, accept)
        if not isinstance(found, Document) or found.status.st_size != LARGE_BYTES:
            return found
        closed = self.closed

        class TellingFile(FileIO):
            def close(self) -> None:
                if not self.closed:
                    super().close()
                    closed.release()

        with found.file as file:
            return replace(found, file=TellingFile(os.dup(file.fileno())))


@pytest.fixture
def large_site(tmp_path: Path) -> TellingSite:
    """A site with a file that fits into no buffer of the system."""
    web = make_web(tmp_path / "web")
    with (web / "packages/large.whl").open("wb") as file:
        file.truncate(LARGE_BYTES)
    return TellingSite(web, Layout())


@pytest.fixture
def large(large_site: TellingSite) -> Iterator[int]:
    """A server with short limits for that site."""
    with server_of(large_site, HURRIED) as port:
        yield port


LARGE = b"GET /packages/large.whl HTTP/1.1\r\n\r\n"


def test_idle_connections_are_closed(large: int) -> None:
    with ExitStack() as stack:
        connections = []
        for sent in (b"", b"GET / HT", b"GET / HTTP/1.1\r\n\r\n"):
            connections.append(stack.enter_context(socket.create_connection((LOOPBACK, large), timeout=30)))
            connections[-1].sendall(sent)
        nothing, half, whole = map(read_all, connections)  # it returns
    assert nothing == half == b""
    assert status_of(whole) == 200


@pytest.mark.slow  # its rule is tested without a server, below
@pytest.mark.measured
def test_request_that_comes_byte_by_byte_is_given_up(large: int) -> None:
    with socket.create_connection((LOOPBACK, large), timeout=0.2) as connection, suppress(ConnectionError):
        while True:
            connection.sendall(b"x")
            with suppress(TimeoutError):
                if not connection.recv(1):
                    break


@pytest.mark.slow  # as above
@pytest.mark.measured
def test_clients_that_do_not_read_occupy_no_thread_and_are_given_up(large: int, large_site: TellingSite) -> None:
    with ExitStack() as stack:
        for _ in range(2 * THREADS):
            connection = stack.enter_context(socket.create_connection((LOOPBACK, large), timeout=30))
            connection.sendall(LARGE)
        with closing(Client(large)) as client:
            assert client.ask(f"/{WHEEL}").body == WHEEL_BYTES
        for _ in range(2 * THREADS):
            assert large_site.closed.acquire(timeout=30)


def test_large_file_arrives_whole(large: int) -> None:
    with closing(Client(large)) as client:
        answer = client.ask("/packages/large.whl", Range="bytes=10-")
    assert (answer.status, len(answer.body)) == (206, 99_999_990)


def channel(left: int, request: object = None) -> Any:
    """What the server knows of a connection: how much of an answer is left to send, and a request that is incomplete."""
    made = SimpleNamespace(total_outbufs_len=left, request=request, is_closed=False)
    made.handle_close = lambda: setattr(made, "is_closed", True)
    return made


def looked_at(steps: list[tuple[float, dict[int, Any]]]) -> None:
    watch = SlowClients(Limits(request_seconds=30.0, reading_seconds=60.0, reading_bytes=1000))
    for now, channels in steps:
        watch.look(channels, now)


def test_request_must_be_complete_in_time() -> None:
    slow, quick = channel(0, object()), channel(0, object())
    looked_at([(1.0, {4: slow, 5: quick}), (30.0, {4: slow, 5: quick})])
    assert not slow.is_closed
    quick.request = None
    looked = [(1.0, {4: slow}), (31.0, {4: slow, 5: quick})]
    looked_at(looked)
    assert (slow.is_closed, quick.is_closed) == (True, False)


@pytest.mark.parametrize(("lefts", "is_closed"), [([5000, 4500], True), ([5000, 3900], False), ([500, 9000], False)])
def test_answer_must_be_read_fast_enough(lefts: list[int], is_closed: bool) -> None:
    reader = channel(lefts[0])
    watch = SlowClients(Limits(reading_seconds=60.0, reading_bytes=1000))
    for now, left in zip((1.0, 61.0), lefts, strict=True):
        reader.total_outbufs_len = left
        watch.look({4: reader}, now)
    assert reader.is_closed is is_closed


def test_another_connection_of_the_same_number_has_its_own_time() -> None:
    one, other = channel(0, object()), channel(0, object())
    looked_at([(1.0, {4: one}), (40.0, {4: other}), (50.0, {4: other})])
    assert not other.is_closed


def test_few_open_files_are_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = {(1024, 1024): 480, (1024, 100_000): MOST_CONNECTIONS, (20, 20): 1, (-1, -1): MOST_CONNECTIONS}
    for limits, connections in allowed.items():
        monkeypatch.setattr(resource, "getrlimit", lambda _, limits=limits: limits)
        monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
        assert server._allowed_connections() == connections


def test_address_in_use_is_an_error() -> None:
    in_use = pytest.raises(UsageError, match=r"can't listen on .*: Address already")
    with listening(LOOPBACK, 0) as listener, in_use, listening(LOOPBACK, listener.getsockname()[1]):
        pass


@pytest.mark.parametrize("host", ["1.2.3.4.5", "", "n" * 100])
def test_address_that_is_none_is_an_error(host: str) -> None:
    with pytest.raises(UsageError, match=f"--bind {host}: "), listening(host, 0):
        pass


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_2000_idle_clients_do_not_hurt(port: int) -> None:
    with closing(Client(port)) as client:
        assert client.ask("/simple/foo-bar/").status == 200  # so that all threads of the server have begun
    threads = threading.active_count()
    with ExitStack() as stack:
        for _ in range(2000):
            stack.enter_context(socket.create_connection((LOOPBACK, port), timeout=30))
        for _ in range(10):
            with closing(Client(port)) as client:
                assert client.ask("/simple/foo-bar/").status == 200
                assert client.ask(f"/{WHEEL}").body == WHEEL_BYTES
        assert threading.active_count() == threads
