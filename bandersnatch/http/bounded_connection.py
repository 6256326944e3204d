"""Connections for urllib3, for one answer each: its head has a deadline, and its body a minimum speed.

The time-out of a socket counts from one byte to the next, so a server that sends a byte now and then could keep a request
busy for ever. ``http.client`` and urllib3 read through ``_Reader``, so its limits apply to status lines, interim answers,
headers, chunks and trailers alike.
"""

import io
import socket
import time
from http.client import HTTPResponse, parse_headers
from typing import Any

from urllib3.connection import HTTPConnection

from bandersnatch.http.answer_limits import MAX_FRAMING_BYTES, MAX_FRAMING_TIMES, MAX_HEAD_BYTES, MIN_BYTES_PER_SECOND


class EndlessAnswerError(Exception):
    """An answer exceeds a limit, and might never end. urllib3 does not know this class, so it does not wrap it."""


class AttemptTimeoutError(EndlessAnswerError):
    """An answer takes longer than ``global-timeout``."""


class MinimumSpeed:
    """Checks the speed of a body. Only the time spent waiting for it counts, not the time spent processing it."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout, self._waited, self._came = timeout_seconds, 0.0, 0

    def count(self, seconds: float, size: int) -> None:
        """Count bytes that arrived, and the seconds spent waiting for them.

        Raises:
            EndlessAnswerError: the body is too slow.
        """
        self._waited += seconds
        self._came += size
        if self._waited >= self._timeout:
            if self._came < MIN_BYTES_PER_SECOND * self._waited:
                raise EndlessAnswerError(f"only {self._came} bytes came in {self._waited:.1f} s")
            self._waited, self._came = 0.0, 0


class BoundedConnection(HTTPConnection):
    """A mixin for urllib3's classes of connections."""

    limit_seconds: float
    reader: "_Reader"

    @property
    def is_connected(self) -> bool:
        """Whether urllib3 may reuse the connection. Never: late data on it would be taken for the next answer."""
        return False

    def response_class(  # type: ignore[override]  # a class in the parent; it is only ever called
        self, sock: socket.socket, *args: Any, **kwargs: Any
    ) -> HTTPResponse:
        """Return an answer with limits; ``http.client`` calls this, also for the answer of a proxy."""
        self.reader = _Reader(sock, self.limit_seconds)
        return _Response(self.reader, sock, *args, **kwargs)


def bounded(kind: type[HTTPConnection], limit_seconds: float) -> type[BoundedConnection]:
    """Return a subclass of a class of connections, whose answers have limits."""
    return type(f"Bounded{kind.__name__}", (BoundedConnection, kind), {"limit_seconds": limit_seconds})


class _Response(HTTPResponse):
    def __init__(self, reader: "_Reader", *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reader = reader
        # `http.client` has opened the socket for reading; our reader takes the place of that.
        assert self.fp is not None, "it was just opened"
        self.fp.close()
        self.fp = io.BufferedReader(reader)

    def _read_status(self) -> tuple[str, int, str]:
        """Skip interim answers, such as 103 Early Hints; ``http.client`` itself skips only 100.

        A client must accept any number of them (RFC 9110, section 15.2). 101 is not skipped: it changes the protocol.
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
    """The bytes of one answer, as they arrive, within limits."""

    def __init__(self, sock: socket.socket, limit_seconds: float) -> None:
        timeout = sock.gettimeout()
        assert timeout is not None, "each request has a time-out"
        self._socket, self._timeout, self._limit_seconds = sock, timeout, limit_seconds
        self._raw = sock.makefile("rb", buffering=0)
        self._begun = time.monotonic()
        self._speed: MinimumSpeed | None = None
        self._received = 0
        self.body_bytes = 0
        """How much of ``_received`` was the body; set by whoever reads the answer, since the framing is parsed above us."""

    def begin_body(self) -> None:
        """Apply the limits of a body from now on; the head is complete."""
        self._speed, self._begun = MinimumSpeed(self._timeout), time.monotonic()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count = self._read_head(buffer) if self._speed is None else self._read_body(self._speed, buffer)
        self._received += count
        return count

    def _read_head(self, buffer: Any) -> int:
        left = self._begun + self._timeout - time.monotonic()
        late = EndlessAnswerError(f"its headers were not there after {round(self._timeout, 1):g} s")
        if left <= 0:
            raise late
        if self._received > MAX_HEAD_BYTES:
            raise EndlessAnswerError(f"it begins with more than {MAX_HEAD_BYTES} bytes of headers")
        self._socket.settimeout(left)
        try:
            return self._raw.readinto(buffer) or 0
        except TimeoutError:
            if self._received == 0:
                raise  # there is no answer at all, which has its own message
            raise late from None
        finally:
            self._socket.settimeout(self._timeout)

    def _read_body(self, speed: MinimumSpeed, buffer: Any) -> int:
        begun = time.monotonic()
        if begun - self._begun > self._limit_seconds:
            raise AttemptTimeoutError(f"incomplete after {self._limit_seconds:g} s")
        if self._received - self.body_bytes > MAX_FRAMING_BYTES + MAX_FRAMING_TIMES * self.body_bytes:
            raise EndlessAnswerError(f"of {self._received} bytes, only {self.body_bytes} are the body")
        count = self._raw.readinto(buffer) or 0
        if count:
            speed.count(time.monotonic() - begun, count)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
