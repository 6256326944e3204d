"""A SOCKS proxy on loopback (versions 4, 4a, 5) that leads each connection to one server, and tells who asked for what."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import BinaryIO, NamedTuple

NO_PASSWORD, PASSWORD = 0, 2
NAME = 3


class Visit(NamedTuple):
    """One connection: the version of SOCKS, who asked, and the host as it was asked for: a name or an address."""

    version: int
    user: str
    password: str
    host: str


class SocksProxy:
    """``address`` is its host and port; ``visits`` are the connections that were asked for."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.visits: list[Visit] = []
        self._target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        """Accept connections until the listener is closed."""
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                Thread(target=self._meet, args=(connection,), daemon=True).start()

    def _meet(self, connection: socket.socket) -> None:
        with connection, suppress(OSError), connection.makefile("rb") as received:
            version = received.read(1)[0]
            self.visits.append(_visit_4(received) if version == 4 else _visit_5(received, connection))
            granted = b"\0\x5a" + bytes(6) if version == 4 else b"\5\0\0\1" + bytes(6)
            with socket.create_connection(self._target) as server:
                connection.sendall(granted)
                Thread(target=_pump, args=(server, connection), daemon=True).start()
                _pump(connection, server)


def _visit_4(received: BinaryIO) -> Visit:
    received.read(3)
    address = received.read(4)
    user = _until_zero(received)
    host = _until_zero(received) if address[:3] == bytes(3) and address[3] else socket.inet_ntoa(address)
    return Visit(4, user, "", host)


def _visit_5(received: BinaryIO, connection: socket.socket) -> Visit:
    methods = received.read(received.read(1)[0])
    user = password = ""
    connection.sendall(bytes([5, PASSWORD if PASSWORD in methods else NO_PASSWORD]))
    if PASSWORD in methods:
        received.read(1)
        user = received.read(received.read(1)[0]).decode()
        password = received.read(received.read(1)[0]).decode()
        connection.sendall(b"\1\0")
    kind = received.read(4)[3]
    host = received.read(received.read(1)[0]).decode() if kind == NAME else socket.inet_ntoa(received.read(4))
    received.read(2)
    return Visit(5, user, password, host)


def _until_zero(received: BinaryIO) -> str:
    return b"".join(iter(lambda: received.read(1), b"\0")).decode()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def socks_proxy(url: str) -> Iterator[SocksProxy]:
    """Lead connections to the server with this base URL."""
    host, _, port = url.partition("://")[2].partition(":")
    proxy = SocksProxy((host, int(port)))
    Thread(target=proxy.serve, daemon=True).start()
    try:
        yield proxy
    finally:
        with suppress(OSError):
            proxy.listener.shutdown(socket.SHUT_RDWR)
        proxy.listener.close()
