"""A small site by hand, a server for it in a thread, and clients that say exactly what goes over the wire."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path

import pytest

from bandersnatch.serving.app import MirrorApp
from bandersnatch.serving.server import Limits, listening, serve
from bandersnatch.serving.site import Site
from bandersnatch.stop import StopFlag

needs_waitress = pytest.mark.skipif(
    find_spec("waitress") is None, reason="the package waitress is not installed; the environments of tox have it"
)
LOOPBACK = "127.0.0.1"
WHEEL = f"packages/aa/bb/{'c' * 60}/foo_bar-1.0-py3-none-any.whl"
WHEEL_BYTES = bytes(range(256)) * 40
WRITTEN = 1_700_000_000
"""When all files of the site were written: 2023-11-14 22:13:20 UTC."""
LAST_MODIFIED = "Tue, 14 Nov 2023 22:13:20 GMT"


def make_web(web: Path, *, hash_index: bool = False) -> Path:
    """Make the folder ``web`` of a mirror with the projects ``foo-bar`` and ``f``."""
    page = "simple/f" if hash_index else "simple"
    html = ("index.html", "index.v1_html")
    files = {
        **{f"simple/{name}": b"<!DOCTYPE html>root" for name in html},
        "simple/index.v1_json": b'{"meta":{"_last-serial":7,"api-version":"1.4"},"projects":[]}\n',
        **{f"{page}/{project}/{name}": b"<!DOCTYPE html>" for project in ("foo-bar", "f") for name in html},
        **{f"{page}/{project}/index.v1_json": b'{"files":[]}' for project in ("foo-bar", "f")},
        WHEEL: WHEEL_BYTES,
        f"{WHEEL}.metadata": b"Metadata-Version: 2.1\n",
        "packages/aa/bb/empty-1.0.tar.gz": b"",
        "json/foo-bar": b'{"info":{}}',
        "pypi/foo-bar/json": b'{"info":{}}',
        "last-modified": b"20231114T22:13:20\n",
    }
    for name, content in files.items():
        path = web / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (WRITTEN, WRITTEN))
    return web


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    headers: Message
    body: bytes


class Client:
    """One connection that is kept open."""

    def __init__(self, port: int) -> None:
        self.connection = HTTPConnection(LOOPBACK, port, timeout=30)

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Response:
        """Send a request; underscores in names of headers stand for dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body, named)
        answer = self.connection.getresponse()
        return Response(answer.status, answer.headers, answer.read())

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


@contextmanager
def server_of(site: Site, limits: Limits | None = None) -> Iterator[int]:
    """Serve a site in a thread, inside the block; gives the port."""
    stop = StopFlag()
    with listening(LOOPBACK, 0) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=serve, args=(MirrorApp(site), listener, stop, limits))
        thread.start()
        try:
            yield port
        finally:
            stop.set()
            with suppress(OSError):  # so that it looks at once, and not in a second
                socket.create_connection((LOOPBACK, port), timeout=30).close()
            thread.join(30)
            assert not thread.is_alive()


def send_raw(port: int, request: bytes) -> bytes:
    """Send bytes, and return all that comes until the server closes the connection."""
    with socket.create_connection((LOOPBACK, port), timeout=30) as connection:
        connection.sendall(request)
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes the connection, or resets it."""
    received = bytearray()
    with suppress(ConnectionResetError):
        while data := connection.recv(65536):
            received += data
    return bytes(received)
