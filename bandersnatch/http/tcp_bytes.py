"""Asks the kernel how many bytes a connection has received: libcurl counts only bodies, without their framing."""

import os
import socket
import sys

_RECEIVED = slice(128, 136)
"""The field ``tcpi_bytes_received`` of Linux's ``struct tcp_info``, since Linux 4.1."""


def received_bytes(descriptor: int) -> int | None:
    """Return how many bytes a TCP connection has received; None if the system does not say."""
    if not sys.platform.startswith("linux") or descriptor < 0:
        return None
    try:
        # A copy, since the socket object closes its descriptor, and libcurl needs the original.
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED.stop)
    except OSError:
        return None
    return int.from_bytes(told[_RECEIVED], sys.byteorder) if len(told) >= _RECEIVED.stop else None
