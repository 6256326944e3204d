"""The HTTP server: reads requests, logs them, asks the site, plays the faults."""

import contextlib
import os
import socket
import struct
import sys
import time
from dataclasses import dataclass
from email.message import Message
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import unquote

from ..processes import FOR_PROCESS, process_at
from .answers import Answer, finish
from .faults import Fault, FaultPlan
from .site import Request, Site

POLL_SECONDS = 0.02
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True, eq=False)
class RecordedRequest:
    """One request, in the log from its arrival; its status follows before the answer is sent.

    The status stays None where no answer was sent at all. Names of headers are
    found in any case.
    """

    method: str
    path: str
    headers: Message
    body: bytes
    rpc_method: str | None
    at: float
    is_from_this_process: bool = True
    """Whether the process that asked is the one of the server, which is also that of a test and of the runs in it."""
    asker: int | None = None
    """The process that asked, where it is the one of the server or one that this has started."""
    status: int | None = None


class Server(ThreadingHTTPServer):
    """Serves one site on a loopback port until it is closed."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, faults: FaultPlan) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.site: Site
        self.faults = faults
        self.log: list[RecordedRequest] = []
        self.closing = Event()
        self.errors: list[BaseException] = []
        self.pages_for_others = 0
        """How many pages of projects other processes asked for, such as workers."""
        self._lock = Lock()
        self._connections: set[socket.socket] = set()
        self._thread = Thread(target=self.serve_forever, args=(POLL_SECONDS,), name="fakepypi", daemon=True)

    def start(self, site: Site) -> None:
        self.site = site
        self._thread.start()

    def close(self) -> None:
        """Stop serving and hang up on every client, stalled ones too."""
        self.closing.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep errors of the fake itself; a client that goes away is none."""
        error = sys.exception()
        if error is not None and not isinstance(error, (ConnectionError, TimeoutError)):
            self.errors.append(error)


class Handler(BaseHTTPRequestHandler):
    """One connection; also the `Wire` that faults send through."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        super().setup()
        self._asker = process_at(self.client_address[1], self.server.server_port)

    @property
    def closing(self) -> Event:
        return self.server.closing

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def version_string(self) -> str:
        return "gunicorn"

    def log_message(self, *_: object, **__: object) -> None:
        """Say nothing: tests read the request log."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        request = Request(self.command, self.path, self.headers, body)
        record = RecordedRequest(self.command, self.path, self.headers, body, request.rpc_method, time.monotonic())
        asker = int(self.headers.get(FOR_PROCESS, 0)) or self._asker
        record.asker, record.is_from_this_process = asker, asker == os.getpid()
        is_page = self.path.startswith("/simple/") and self.path != "/simple/"
        self.server.pages_for_others += is_page and not record.is_from_this_process
        self.server.log.append(record)
        fault = self.server.faults.take(*_names(request)) or Fault()
        answer = fault.answer(partial(self.server.site.answer, request))
        answer = finish(answer, self.command, self.headers)
        record.status = answer.status or None
        fault.deliver(self, answer)

    def send(self, answer: Answer) -> None:
        """Send the whole answer."""
        self.send_head(answer)
        self.send_body(answer, 0, len(answer.body))

    def send_head(self, answer: Answer) -> None:
        """Send status and headers, with the full Content-Length unless the body is to end in another way."""
        is_unframed = answer.header("Transfer-Encoding") is not None or answer.header("Connection") == "close"
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status != 304 and answer.header("Content-Length") is None and not is_unframed:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()

    def send_body(self, answer: Answer, start: int, stop: int) -> None:
        """Send a part of the body, unless the client asked for the head only."""
        if self.command == "HEAD" or answer.status == 304:
            return
        for chunk in answer.body_chunks(start, stop):
            self.wfile.write(chunk)

    def hang_up(self) -> None:
        """Close the connection after what was sent."""
        self.close_connection = True

    def reset(self) -> None:
        """Close the connection with a TCP reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        # A plain close() would wait for the reader that shares the socket.
        socket.close(self.connection.detach())


def _names(request: Request) -> list[str]:
    """Return the names under which faults may wait for a request."""
    by_method = [f"rpc:{request.rpc_method}"] if request.is_rpc else []
    return [*by_method, request.path, unquote(request.path)]
