"""A connection on which one document after the other is asked for; the request is one call, its answer another.

``http.client`` reads an answer's headers with the parser of the ``email`` package, which for a small file takes more CPU
time than all else together (docs/performance.md). Here only a plain answer is understood: a status, a length, and so many
bytes. At anything else the connection is given up, and the document is left to ``fetch.Fetcher``.
"""

import logging
import re
import ssl
import time
from http.client import IncompleteRead

from urllib3.util.wait import wait_for_read

from bandersnatch.errors import without_credentials
from bandersnatch.routes import Route, host_of, target_of

logger = logging.getLogger(__name__)

_PLAIN_TARGET = re.compile(r"(?:/[\w~!$&'()*+,;=:@%-][\w.~!$&'()*+,;=:@%-]*)+", re.ASCII)
"""A path that needs no escape, and no second look at dots, queries or fragments."""
_OK, _GONE = 200, (404, 410)
_SHORT_BYTES = 64 * 1024
_MOST_DIGITS = 19
_FIRST_BYTES = 256 * 1024
_HEAD_BYTES = 16 * 1024
_HEAD_END = b"\r\n\r\n"
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: [^\r\n]*)?")
_FIELD_NAME = re.compile(rb"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_NO_FIELD_VALUE = re.compile(rb"[\r\n\0]")
_KNOWN = frozenset({b"content-length", b"transfer-encoding", b"content-encoding", b"connection", b"etag"})
"""What says how much of what follows is the document, and which one it is; the other fields mean nothing here."""


def is_plain(url: str) -> bool:
    """Whether a URL can be asked for as it stands."""
    return _PLAIN_TARGET.fullmatch(target_of(url)) is not None


class UnfitAnswerError(Exception):
    """Upstream answered, but not plainly with the document: a redirect, trouble, another size than it must have."""


class GoneAnswerError(UnfitAnswerError):
    """Upstream has no such document, which is no trouble of the server's."""


class Lane:
    """A connection of its own; ``socket`` tells a selector when there is something to read.

    Raises:
        OSError, urllib3.exceptions.HTTPError: upstream can't be reached.
        ValueError: its name can't be told as it stands.
    """

    def __init__(self, origin: str, route: Route, timeout_seconds: float, limit_seconds: float) -> None:
        self.origin, self._limit_seconds = origin, limit_seconds
        headers = {"Host": host_of(origin), **route.headers, "Accept-Encoding": "identity"}
        fields = "".join(f"{name}: {_text(value)}\r\n" for name, value in headers.items())
        self._behind_target = f" HTTP/1.1\r\n{fields}\r\n".encode("latin-1")
        self.socket = route.connect(timeout_seconds)
        self.url, self._size, self._asked = "", 0, 0.0
        self._is_open = True

    def is_open(self) -> bool:
        """Whether another request may be made."""
        return self._is_open

    def is_stale(self) -> bool:
        """Whether upstream has closed the connection, or sent something, while nothing was asked of it."""
        is_decrypted = isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0
        return is_decrypted or wait_for_read(self.socket, timeout=0.0)

    def ask(self, url: str, size: int) -> None:
        """Send the request for a document of that size.

        Raises:
            OSError: upstream does not take it.
        """
        self.url, self._size, self._asked = url, size, time.monotonic()
        self.socket.sendall(b"GET " + target_of(url).encode() + self._behind_target)

    def answer(self) -> bytes | None:
        """Return the document that was asked for, or None where there is none.

        Raises:
            UnfitAnswerError: upstream has something else to say.
            OSError, HTTPException: the answer broke off, or takes too long.
        """
        answer, received = self._head()
        is_gone = answer.status in _GONE and answer.length <= _SHORT_BYTES
        if not is_gone:
            self._check(answer)
        document = self._rest(received, answer.length)
        self.end_answer(is_last=answer.is_last)
        return None if is_gone else document

    def begin_answer(self) -> tuple["PlainAnswer", bytes]:
        """Return the head of an answer that is the document, and what has come of the document so far.

        The rest is for the caller to read from ``socket``, and to call ``end_answer`` when all of it is there.

        Raises:
            GoneAnswerError: there is no document; the lane is ready for the next request.
            UnfitAnswerError: upstream has something else to say.
            OSError, HTTPException: there is no answer.
        """
        answer, received = self._head()
        if answer.status in _GONE and answer.length <= _SHORT_BYTES:
            self._rest(received, answer.length)
            self.end_answer(is_last=answer.is_last)
            raise GoneAnswerError(f"upstream answered {answer.status}")
        self._check(answer)
        if len(received) > answer.length:
            raise UnfitAnswerError("upstream sends more than the document")
        return answer, received

    def end_answer(self, *, is_last: bool) -> None:
        """Be ready for the next request, unless the server has no more answers."""
        if is_last:
            self.close()

    def _check(self, answer: "PlainAnswer") -> None:
        if answer.status != _OK or answer.length != self._size:
            raise UnfitAnswerError(f"upstream answered {answer.status} with {answer.length} bytes")

    def _head(self) -> tuple["PlainAnswer", bytes]:
        """Return the answer's head, and what has come behind it, which is all of a small file most of the time."""
        received = b""
        while (end := received.find(_HEAD_END)) < 0 and len(received) <= _HEAD_BYTES:
            received += self._receive(min(self._size, _FIRST_BYTES) + _HEAD_BYTES)
        if not 0 <= end <= _HEAD_BYTES:
            raise UnfitAnswerError(f"the answer begins with more than {_HEAD_BYTES} bytes of headers")
        answer = PlainAnswer(received[:end])
        if logger.isEnabledFor(logging.DEBUG):
            seconds, url = time.monotonic() - self._asked, without_credentials(self.url)
            logger.debug("GET %s: %d, %d bytes, answered after %.3f s", url, answer.status, answer.length, seconds)
        return answer, received[end + len(_HEAD_END) :]

    def _rest(self, begin: bytes, length: int) -> bytes:
        pieces, left = [begin], length - len(begin)
        while left > 0:
            pieces.append(self._receive(left))
            left -= len(pieces[-1])
        if left < 0:
            raise UnfitAnswerError("upstream sends more than the document")
        return begin if len(pieces) == 1 else b"".join(pieces)

    def _receive(self, most: int) -> bytes:
        if time.monotonic() - self._asked > self._limit_seconds:
            raise TimeoutError(f"not all was there after {self._limit_seconds:g} s")
        piece = self.socket.recv(most)
        if not piece:
            raise IncompleteRead(b"")
        return piece

    def close(self) -> None:
        """Close the connection, whatever is under way on it."""
        self._is_open = False
        self.socket.close()


class PlainAnswer:
    """The head of an answer of known length that comes as it is; any other raises ``UnfitAnswerError``."""

    def __init__(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        status_line = _STATUS_LINE.fullmatch(first)
        if status_line is None:
            raise UnfitAnswerError(f"upstream's answer begins with {first[:80]!r}")
        fields: dict[bytes, bytes] = {}
        for line in lines:
            given, colon, value = line.partition(b":")
            name = given.lower()
            # RFC 9112, section 5. A line that goes on the one before it begins with a blank, and so with no name.
            if not (colon and _FIELD_NAME.fullmatch(name)) or _NO_FIELD_VALUE.search(value) or name in fields:
                raise UnfitAnswerError(f"upstream's answer has the header {line[:80]!r}")
            if name in _KNOWN:
                fields[name] = value.strip(b" \t")
        length = fields.get(b"content-length", b"")
        if not length.isdigit() or len(length) > _MOST_DIGITS:
            raise UnfitAnswerError("upstream's answer has no length")
        if b"transfer-encoding" in fields or fields.get(b"content-encoding", b"identity").lower() != b"identity":
            raise UnfitAnswerError("upstream's answer is encoded")
        self.status, self.length = int(status_line[2]), int(length)
        self.etag = fields[b"etag"].decode("latin-1") if b"etag" in fields else None
        connection = fields.get(b"connection", b"keep-alive" if status_line[1] == b"1" else b"close")
        self.is_last = connection.lower() != b"keep-alive"
        """Whether the server closes the connection behind it, or might."""


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
