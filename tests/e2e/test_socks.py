"""Requests go through a SOCKS proxy, and it is the proxy who resolves names; needs the package PySocks."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.support.builders import make_conversation
from tests.support.fakepypi import FakePyPI
from tests.support.fetching import DATA, get, ok

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_proxies")]

SOCKS_4, SOCKS_5 = 4, 5
IPV4_ADDRESS = 1


class Handler(socketserver.StreamRequestHandler):
    """Leads a connection to the server's one port, whatever host it is for."""

    server: "Server"

    def handle(self) -> None:
        self.server.asked.append(self._accept_4() if self.rfile.read(1)[0] == SOCKS_4 else self._accept_5())
        with socket.create_connection(("127.0.0.1", self.server.to_port)) as there:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += self.rfile.readline()
            there.sendall(head)
            there.shutdown(socket.SHUT_WR)
            while data := there.recv(65536):
                self.wfile.write(data)

    def _accept_4(self) -> bytes:
        host = self.rfile.read(7)[-4:]
        while self.rfile.read(1) != b"\0":
            pass
        self.wfile.write(b"\0\x5a" + bytes(6))
        return host

    def _accept_5(self) -> bytes:
        self.rfile.read(self.rfile.read(1)[0])
        self.wfile.write(b"\5\0")
        kind = self.rfile.read(4)[3]
        host = self.rfile.read(4 if kind == IPV4_ADDRESS else self.rfile.read(1)[0])
        self.rfile.read(2)
        self.wfile.write(b"\5\0\0\1" + bytes(6))
        return host


class Server(socketserver.ThreadingTCPServer):
    """A SOCKS proxy; ``asked`` tells for which hosts."""

    def __init__(self, to_port: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.to_port = to_port
        self.asked: list[bytes] = []


@contextmanager
def socks_server(to_port: int) -> Iterator[Server]:
    with Server(to_port) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("value", "host", "asked"),
    [
        ("127.0.0.1:{port}", "index.example", b"index.example"),
        ("socks://127.0.0.1:{port}", "index.example", b"index.example"),
        ("socks5://127.0.0.1:{port}", "index.example", b"index.example"),
        ("socks5h://127.0.0.1:{port}", "index.example", b"index.example"),
        ("socks5://127.0.0.1:{port}", "127.0.0.2", bytes((127, 0, 0, 2))),
        ("socks4://127.0.0.1:{port}", "127.0.0.2", bytes((127, 0, 0, 2))),
    ],
)
@pytest.mark.parametrize("is_configured", [False, True])
def test_requests_go_through_a_socks_server(
    pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch, value: str, host: str, asked: bytes, *, is_configured: bool
) -> None:
    pypi.fault("/x", ok())
    with socks_server(int(pypi.url.rpartition(":")[2])) as server:
        proxy = value.format(port=server.server_address[1])
        if is_configured:
            proxy = proxy.replace("socks://", "socks5://") if "://" in proxy else f"socks5://{proxy}"
        else:
            monkeypatch.setenv("SOCKS_PROXY", proxy)
        with closing(make_conversation(proxy=proxy if is_configured else "")) as conversation:
            assert get(conversation, f"http://{host}/x") == DATA
    assert server.asked == [asked]
