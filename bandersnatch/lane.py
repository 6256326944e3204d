"""A connection on which one document after the other is asked for; the request is one call, its answer another."""

import logging
import re
import time
from http.client import HTTPConnection, IncompleteRead

from urllib3.util.wait import wait_for_read

from bandersnatch.errors import without_credentials
from bandersnatch.routes import Route, host_of, target_of

logger = logging.getLogger(__name__)

_PLAIN_TARGET = re.compile(r"(?:/[\w~!$&'()*+,;=:@%-][\w.~!$&'()*+,;=:@%-]*)+", re.ASCII)
"""A path that needs no escape, and no second look at dots, queries or fragments."""
_OK, _GONE = 200, (404, 410)
_SHORT_BYTES = 64 * 1024


def is_plain(url: str) -> bool:
    """Whether a URL can be asked for as it stands."""
    return _PLAIN_TARGET.fullmatch(target_of(url)) is not None


class UnfitAnswerError(Exception):
    """Upstream answered, but not plainly with the document: a redirect, trouble, another size than it must have."""


class Lane:
    """A connection of its own; ``socket`` tells a selector when there is something to read.

    Raises:
        OSError, urllib3.exceptions.HTTPError: upstream can't be reached.
    """

    def __init__(self, origin: str, route: Route, timeout_seconds: float, limit_seconds: float) -> None:
        self.origin, self._headers, self._limit_seconds = origin, route.headers, limit_seconds
        self._connection = HTTPConnection(host_of(origin))
        self._connection.auto_open = 0  # it would know nothing of TLS
        self.socket = self._connection.sock = route.connect(timeout_seconds)
        self.url, self._size, self._asked = "", 0, 0.0

    def is_open(self) -> bool:
        """Whether another request may be made."""
        return self._connection.sock is not None

    def is_stale(self) -> bool:
        """Whether upstream has closed the connection while nothing was asked of it."""
        return wait_for_read(self.socket, timeout=0.0)

    def ask(self, url: str, size: int) -> None:
        """Send the request for a document of that size.

        Raises:
            OSError, HTTPException: upstream does not take it.
        """
        self.url, self._size, self._asked = url, size, time.monotonic()
        self._connection.request("GET", target_of(url), headers={**self._headers, "Accept-Encoding": "identity"})

    def answer(self) -> bytes | None:
        """Return the document that was asked for, or None where there is none.

        Raises:
            UnfitAnswerError: upstream has something else to say.
            OSError, HTTPException: the answer broke off, or takes too long.
        """
        response = self._connection.getresponse()
        status, length = response.status, response.length
        seconds = time.monotonic() - self._asked
        url = without_credentials(self.url)
        logger.debug("GET %s: %d, %s bytes, answered after %.3f s", url, status, length, seconds)
        if status in _GONE and length is not None and length <= _SHORT_BYTES:
            response.read()
            return None
        if status != _OK or length != self._size or response.getheader("Content-Encoding", "identity") != "identity":
            raise UnfitAnswerError(f"upstream answered {status} with {length} bytes")
        pieces: list[bytes] = []
        left = length
        while left:
            piece = response.read1(left)
            if not piece:
                raise IncompleteRead(b"", left)
            pieces.append(piece)
            left -= len(piece)
            if left and time.monotonic() - self._asked > self._limit_seconds:
                raise TimeoutError(f"not all was there after {self._limit_seconds:g} s")
        response.close()  # http.client would wait for an empty piece to believe that this was all
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Close the connection, whatever is under way on it."""
        self._connection.close()
        self.socket.close()
