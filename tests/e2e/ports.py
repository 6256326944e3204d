"""Ports of the loopback interface for servers that are other programs: reserved, so that nobody else gets them."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait

LOOPBACK = "127.0.0.1"
DEADLINE_SECONDS = 60.0
_AGAIN_SECONDS = 0.05


def bound(port: int = 0) -> socket.socket:
    """Return a socket on that port, or on a free one, which does not listen yet.

    As long as it is there, the system gives the port to nobody who asks for a free one. Who asks for this port gets it,
    if SO_REUSEADDR is set there too, as all servers do.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((LOOPBACK, port))
    return holder


@contextmanager
def reserved_port() -> Iterator[int]:
    """Give a port for servers that are started during the block."""
    with bound() as holder:
        yield holder.getsockname()[1]


def greet(port: int) -> None:
    """Connect, say nothing, and wait until the server closes the connection.

    Raises:
        OSError: it does not answer, or ends.
    """
    with socket.create_connection((LOOPBACK, port), timeout=DEADLINE_SECONDS) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def await_listening(server: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait until a server listens that tells nobody so; it must not end before."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    ended = os.pidfd_open(server.pid)
    try:
        while not _listens(port):
            assert not wait([ended], _AGAIN_SECONDS), "the server has ended"
            assert time.monotonic() < deadline, "the server does not listen"
    finally:
        os.close(ended)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
