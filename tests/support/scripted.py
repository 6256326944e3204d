"""A server on loopback that sends exactly what a test says, byte by byte if need be, and endlessly if it says so."""

import itertools
import os
import select
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from threading import Event, Thread

from tests.support.processes import FOR_PROCESS, process_at

PAUSE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Asked:
    """A request; ``number`` is how many came before it on its connection, which has these ``ports``, the client's first."""

    target: str
    number: int
    request: bytes
    ports: tuple[int, int] = (0, 0)

    def relayed(self, upstream: str, to: str) -> bytes:
        """Return what a server answers to this request; in its documents the URLs are those of another server."""
        head, _, body = self.request.partition(b"\r\n\r\n")
        kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"accept-encoding:")]
        kept.append(f"{FOR_PROCESS}: {process_at(*self.ports) or os.getpid()}".encode())
        host, _, port = upstream.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"\r\n".join([*kept, b"Connection: close", b"", body]))
            received = b"".join(iter(partial(connection.recv, 65536), b""))
        assert len(upstream) == len(to), "else the lengths would be wrong"
        return received.replace(upstream.encode(), to.encode())


class Line:
    """The connection to the client."""

    def __init__(self, connection: socket.socket, closing: Event) -> None:
        self._connection, self._closing = connection, closing

    def send(self, data: bytes) -> None:
        """Send all of it at once."""
        self._connection.sendall(data)

    def drip(self, pieces: Iterable[bytes]) -> None:
        """Send one piece after the other, with pauses; ends where the client has gone, or the test is over."""
        for piece in pieces:
            self._connection.sendall(piece)
            self.pause()

    def relay(self, other: socket.socket) -> None:
        """Pass on what comes from either side, until one has gone."""
        sides = {self._connection: other, other: self._connection}
        while True:
            for side in select.select(list(sides), [], [], PAUSE_SECONDS)[0]:
                data = side.recv(65536)
                if not data or self._closing.is_set():
                    return
                sides[side].sendall(data)

    def pause(self, seconds: float = PAUSE_SECONDS) -> None:
        """Wait, but not beyond the end of the test."""
        if self._closing.wait(seconds):
            raise ConnectionAbortedError


class Relay:
    """A server that answers as another one, but for what a script does."""

    def __init__(self, upstream: str) -> None:
        self.upstream, self.url = upstream, ""

    def answer(self, asked: Asked) -> bytes:
        """Return what the other server answers."""
        return asked.relayed(self.upstream, self.url)


Script = Callable[[Line, Asked], None]


@contextmanager
def scripted(script: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve by a script; yields the base URL."""
    closing = Event()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        Thread(target=_accept, args=(listener, script, closing, tls), daemon=True).start()
        try:
            address = f"[{host}]" if ":" in host else host
            yield f"{'https' if tls else 'http'}://{address}:{listener.getsockname()[1]}"
        finally:
            closing.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, script: Script, closing: Event, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            Thread(target=_serve, args=(connection, script, closing, tls), daemon=True).start()


def _serve(connection: socket.socket, script: Script, closing: Event, tls: ssl.SSLContext | None) -> None:
    with (
        connection,
        suppress(OSError),
        tls.wrap_socket(connection, server_side=True) if tls else connection as connection,
    ):
        received = connection.makefile("rb")
        ports = connection.getpeername()[1], connection.getsockname()[1]
        for number in itertools.count():
            lines = list(itertools.takewhile(lambda line: line not in (b"\r\n", b""), received))
            if not lines:
                return
            lengths = [int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")]
            request = b"".join([*lines, b"\r\n", received.read(sum(lengths))])
            script(Line(connection, closing), Asked(lines[0].split()[1].decode(), number, request, ports))


def answer(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    """Return a whole answer."""
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields)
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body
