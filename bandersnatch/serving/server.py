"""The server before the application: waitress, with few threads, and one loop that waits for all connections.

A connection that is idle, or whose client reads slowly, occupies no thread. What bounds it: the number of connections,
the size of a request, and the time that a client may take.
"""

import logging
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from bandersnatch.errors import UsageError
from bandersnatch.serving.channel import kept_channels
from bandersnatch.serving.loop import Connections, Loop
from bandersnatch.stop import StopFlag

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

THREADS = 8
MOST_CONNECTIONS = 4000
_SPARE_DESCRIPTORS = 64
_DESCRIPTORS_EACH = 2  # a connection, and the file that is sent over it
_BACKLOG = 1024
_MOST_HEADER_BYTES = 16 * 1024
_MOST_BODY_BYTES = 64 * 1024
_LOOK_SECONDS = 0.5
_STOP_SECONDS = 1.0


class Limits(Struct, frozen=True):
    """How long a client may be silent between requests, take for one request, and how slowly it may read."""

    idle_seconds: int = 30
    request_seconds: float = 30.0
    reading_seconds: float = 60.0
    """A client that reads an answer must take ``reading_bytes`` of it in this time."""
    reading_bytes: int = 64 * 1024


def require_waitress() -> None:
    """Check that there is a server for the application.

    Raises:
        UsageError: the package waitress is missing.
    """
    try:
        import waitress  # noqa: F401, PLC0415 - it need not be installed
    except ImportError:
        raise UsageError("serve needs the package waitress: pip install 'bandersnatch[serve]'") from None


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Give a socket that listens on an address; port 0 is any free one.

    Raises:
        UsageError: the address can't be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no name of a host"
        raise UsageError(f"--bind {host}: {reason}") from error
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)  # from here on, clients wait until they are served
        except OSError as error:
            raise UsageError(f"can't listen on {host}, port {port}: {error.strerror}") from error
        yield listener


def serve(app: "WSGIApplication", listener: socket.socket, stop: StopFlag, limits: Limits | None = None) -> None:
    """Serve an application until the flag is set."""
    from waitress import create_server, wasyncore  # noqa: PLC0415 - it need not be installed

    limits = limits or Limits()
    # It warns of each request that waits for a thread, and of clients that go away.
    logging.getLogger("waitress").setLevel(logging.ERROR)
    connections = Connections()
    server = create_server(
        app,
        connections,
        sockets=[listener],
        threads=THREADS,
        connection_limit=_allowed_connections(),
        backlog=_BACKLOG,
        channel_timeout=limits.idle_seconds,
        cleanup_interval=1,
        max_request_header_size=_MOST_HEADER_BYTES,
        max_request_body_size=_MOST_BODY_BYTES,
        log_socket_errors=False,
        ident="bandersnatch",
    )
    server.channel_class = kept_channels()
    watch, loop = SlowClients(limits), Loop(connections)
    try:
        while not stop.is_set():
            loop.turn(_LOOK_SECONDS)
            watch.look(server.active_channels, time.monotonic())
    finally:
        server.task_dispatcher.shutdown(timeout=_STOP_SECONDS)
        wasyncore.close_all(connections, ignore_all=True)
        loop.close()


class _Watched(Struct):
    """A connection in the middle of a request or an answer: since when, and how much of the answer was left then."""

    channel: Any
    since: float
    left_bytes: int


class SlowClients:
    """Closes connections of clients that take too long to send a request, or to read an answer.

    waitress only closes a connection when its client reads the rest of the answer, or when it is idle.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._watched: dict[int, _Watched] = {}
        self._next = 0.0

    def look(self, channels: dict[int, Any], now: float) -> None:
        """Look at all connections, but at most once a second."""
        if now < self._next:
            return
        self._next = now + 1
        watched = self._watched
        self._watched = {}
        for number, channel in list(channels.items()):
            left = channel.total_outbufs_len
            if not left and channel.request is None:
                continue  # idle, or a thread works for it
            before = watched.get(number)
            if before is None or before.channel is not channel or bool(before.left_bytes) != bool(left):
                before = _Watched(channel, now, left)
            elif left and now - before.since >= self._limits.reading_seconds:
                # Of a later answer there may be more left: then this one was read.
                if 0 <= before.left_bytes - left < self._limits.reading_bytes:
                    channel.handle_close()
                    continue
                before = _Watched(channel, now, left)
            elif not left and now - before.since >= self._limits.request_seconds:
                channel.handle_close()
                continue
            self._watched[number] = before


def _allowed_connections() -> int:
    """Return how many connections there may be, after raising the limit on open files as far as needed and possible."""
    wanted = MOST_CONNECTIONS * _DESCRIPTORS_EACH + _SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    if soft < wanted:
        more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
    return max(min(MOST_CONNECTIONS, (soft - _SPARE_DESCRIPTORS) // _DESCRIPTORS_EACH), 1)
