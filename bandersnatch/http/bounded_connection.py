"""Connections for one answer each, which comes to an end: its head has a deadline, and its body a least speed.

A time-out of a socket counts from one byte to the next, so a server that never falls silent holds a request for as long
as it likes. ``http.client`` and urllib3 read through ``_Reader``, so that its bounds hold for status lines, interim answers,
headers, chunks and trailers alike.
"""

import io
import socket
import time
from http.client import HTTPResponse, parse_headers
from typing import Any

from urllib3.connection import HTTPConnection

from bandersnatch.http.bounds import LEAST_BYTES_PER_SECOND, MOST_FRAMING_BYTES, MOST_FRAMING_TIMES, MOST_HEAD_BYTES


class EndlessAnswerError(Exception):
    """An answer keeps coming, and would hardly ever be whole. To urllib3 it means nothing, so it comes through unchanged."""


class TimeIsOverError(EndlessAnswerError):
    """An answer takes longer than any may."""


class LeastSpeed:
    """Measures how fast a body comes, without the time in which nobody waited for it."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout, self._waited, self._came = timeout_seconds, 0.0, 0

    def count(self, seconds: float, size: int) -> None:
        """So much came after so long a wait.

        Raises:
            EndlessAnswerError: it comes too slowly.
        """
        self._waited += seconds
        self._came += size
        if self._waited >= self._timeout:
            if self._came < LEAST_BYTES_PER_SECOND * self._waited:
                raise EndlessAnswerError(f"only {self._came} bytes came in {self._waited:.1f} s")
            self._waited, self._came = 0.0, 0


class BoundedConnection(HTTPConnection):
    """What is put before urllib3's classes of connections."""

    limit_seconds: float
    reader: "_Reader"

    @property
    def is_connected(self) -> bool:
        """Whether it may be used again, which none is: what comes late on it would be taken for the next answer."""
        return False

    def response_class(  # type: ignore[override]  # it is called, and no more
        self, sock: socket.socket, *args: Any, **kwargs: Any
    ) -> HTTPResponse:
        """Return an answer within bounds; ``http.client`` calls this, for the answer of a proxy too."""
        self.reader = _Reader(sock, self.limit_seconds)
        return _Response(self.reader, sock, *args, **kwargs)


def bounded(kind: type[HTTPConnection], limit_seconds: float) -> type[BoundedConnection]:
    """Return a class of connections, of urllib3 or made of its classes, whose answers have bounds."""
    return type(f"Bounded{kind.__name__}", (BoundedConnection, kind), {"limit_seconds": limit_seconds})


class _Response(HTTPResponse):
    def __init__(self, reader: "_Reader", *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reader = reader
        assert self.fp is not None, "it was just opened"
        self.fp.close()
        self.fp = io.BufferedReader(reader)

    def _read_status(self) -> tuple[str, int, str]:
        """Pass over interim answers, such as 103 Early Hints; of these ``http.client`` knows 100 only.

        A client takes any number of them, asked for or not (RFC 9110, section 15.2), but for a change of protocol.
        """
        while True:
            told: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]  # typeshed leaves it out
            if not 101 < told[1] < 200:
                return told
            parse_headers(self.fp)

    def begin(self) -> None:
        super().begin()
        self._reader.begin_body()


class _Reader(io.RawIOBase):
    """The bytes of one answer as they come."""

    def __init__(self, sock: socket.socket, limit_seconds: float) -> None:
        timeout = sock.gettimeout()
        assert timeout is not None, "each request has a time-out"
        self._socket, self._timeout, self._limit_seconds = sock, timeout, limit_seconds
        self._raw = sock.makefile("rb", buffering=0)
        self._begun = time.monotonic()
        self._speed: LeastSpeed | None = None
        self._received = 0
        self.body_bytes = 0
        """How much of that was the body, as far as whoever reads it tells."""

    def begin_body(self) -> None:
        """All of the head is there."""
        self._speed, self._begun = LeastSpeed(self._timeout), time.monotonic()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count = self._read_head(buffer) if self._speed is None else self._read_body(self._speed, buffer)
        self._received += count
        return count

    def _read_head(self, buffer: Any) -> int:
        left = self._begun + self._timeout - time.monotonic()
        late = EndlessAnswerError(f"its headers were not there after {self._timeout:g} s")
        if left <= 0:
            raise late
        if self._received > MOST_HEAD_BYTES:
            raise EndlessAnswerError(f"it begins with more than {MOST_HEAD_BYTES} bytes of headers")
        self._socket.settimeout(left)
        try:
            return self._raw.readinto(buffer) or 0
        except TimeoutError:
            if self._received == 0:
                raise  # it is silent, which has words of its own
            raise late from None
        finally:
            self._socket.settimeout(self._timeout)

    def _read_body(self, speed: LeastSpeed, buffer: Any) -> int:
        begun = time.monotonic()
        if begun - self._begun > self._limit_seconds:
            raise TimeIsOverError(f"incomplete after {self._limit_seconds:g} s")
        if self._received - self.body_bytes > MOST_FRAMING_BYTES + MOST_FRAMING_TIMES * self.body_bytes:
            raise EndlessAnswerError(f"of {self._received} bytes, only {self.body_bytes} are the body")
        count = self._raw.readinto(buffer) or 0
        if count:
            speed.count(time.monotonic() - begun, count)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
