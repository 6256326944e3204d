"""A connection on which one document after the other is asked for; the request is one call, its answer another.

``http.client`` reads an answer's headers with the parser of the ``email`` package, which for a small file takes more CPU
time than all else together (docs/performance.md). Here only a plain answer is understood: a status, a length, and so many
bytes. At anything else the connection is given up, and the document is left to ``fetch.Fetcher``.
"""

import logging
import re
import ssl
import time
import zlib
from collections.abc import Mapping
from http.client import IncompleteRead

from msgspec import Struct, field
from urllib3 import HTTPHeaderDict

from bandersnatch.errors import without_credentials
from bandersnatch.http.body import Answer
from bandersnatch.http.connections import LEAST_BYTES_PER_SECOND, EndlessAnswerError, has_decrypted
from bandersnatch.http.routes import Route, host_of, target_of

logger = logging.getLogger(__name__)

_PLAIN_TARGET = re.compile(r"(?:/[\w~!$&'()*+,;=:@%-][\w.~!$&'()*+,;=:@%-]*)+/?", re.ASCII)
"""A path that needs no escape, and no second look at dots, queries or fragments."""
OK, NOT_MODIFIED, GONE = 200, 304, (404, 410)
_REFUSED = (400, 401, 403, 405, 451)
"""What is said of one document, and not of a server in trouble."""
_SHORT_BYTES = 64 * 1024
EASY_SECONDS = 60.0
"""What takes longer does not come easily, and keeps others waiting."""
_MOST_TIMES_LARGER = 8
"""A compressed document may be so many times as large as the most that may be sent, and no more."""
_MOST_DIGITS = 19
_FIRST_BYTES = 256 * 1024
_HEAD_BYTES = 16 * 1024
_HEAD_END = b"\r\n\r\n"
_HEAD = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: [^\r\n]*+)?+(?:\r\n[\w!#$%&'*+.^`|~-]++:[^\r\n\0]*+)*+", re.ASCII)
"""RFC 9112, sections 4 and 5. A line that goes on the one before it begins with a blank, and so has no name."""
_KNOWN_FIELD = re.compile(
    rb"\r\n(content-length|transfer-encoding|content-encoding|connection|etag|content-type|x-pypi-last-serial):([^\r\n]*+)",
    re.IGNORECASE,
)
"""What says how much of what follows is the document, and which one it is; the other fields mean nothing here."""
_TOLD = frozenset({b"etag", b"content-type", b"x-pypi-last-serial"})
_NO_SENT_VALUE = re.compile(r"[\r\n\0]")


def is_plain(url: str) -> bool:
    """Whether a URL can be asked for as it stands."""
    return _PLAIN_TARGET.fullmatch(target_of(url)) is not None


class Question(Struct, frozen=True):
    """A document to ask for, as it is and ``size_bytes`` long; ``headers`` go with the request.

    Where its size ``is_known`` only as the most that it may be, it may come compressed with gzip, or not at all since it is
    the one that ``headers`` tell of already (304). Where it ``is_doubted``, another connection has an answer that may not be
    its own.
    """

    url: str
    size_bytes: int
    is_known: bool = True
    is_doubted: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


class UnfitAnswerError(Exception):
    """Upstream answered, but not plainly with the document: a redirect, trouble, another size than it must have."""


class UneasyDocumentError(UnfitAnswerError):
    """A document is too large or too slow to come easily, or refused, which says nothing of the next one."""


class GoneAnswerError(UnfitAnswerError):
    """Upstream has no such document, which is no trouble of the server's."""


class Lane:
    """A connection of its own; ``socket`` tells a selector when there is something to read.

    Raises:
        OSError, urllib3.exceptions.HTTPError: upstream can't be reached.
        ValueError: its name can't be told as it stands.
    """

    def __init__(self, origin: str, route: Route, timeout_seconds: float, limit_seconds: float) -> None:
        self.origin, self.host, self._limit_seconds = origin, host_of(origin), limit_seconds
        self._timeout_seconds, self._trust = timeout_seconds, route.trust
        self._behind_target = f" HTTP/1.1\r\n{_lines({'Host': self.host, **route.headers})}"
        self.socket = route.connect(timeout_seconds)
        self._is_open = True
        self._answers = 0
        self.heard = 0.0
        """When anything came last, or was asked for, by ``time.monotonic``."""
        self._begin(Question("", 0))

    def _begin(self, question: Question) -> None:
        """Forget the last answer."""
        self.question = question
        self._asked = self.heard = time.monotonic()
        self._head: PlainHead | None = None
        self._pieces: list[bytes] = []
        self._left = 0

    def is_open(self) -> bool:
        """Whether another request may be made."""
        return self._is_open

    def is_reusable(self) -> bool:
        """Whether another request may be made, now that nothing is asked: upstream has sent nothing since, nor closed it."""
        return self._is_open and self._trust.allows(self.socket)

    def is_later(self) -> bool:
        """Whether other answers came before this one, which may be to another question."""
        return self._answers > 1

    def distrust(self) -> None:
        """Upstream has answered without being asked: use none of its connections again."""
        self._trust.lose()

    def ask(self, question: Question) -> None:
        """Send the request for a document.

        Raises:
            OSError: upstream does not take it.
            ValueError: a header can't be sent as it stands.
        """
        self._begin(question)
        encoding = "identity" if question.is_known else "gzip"
        fields = _lines({"Accept-Encoding": encoding, **question.headers})
        self.socket.sendall(f"GET {target_of(question.url)}{self._behind_target}{fields}\r\n".encode("latin-1"))

    def receive(self) -> Answer | None:
        """Take what has come of the answer, or wait for something; return the answer when it is whole.

        It is the document that was asked for, or that there is none, or that it is the known one.

        Raises:
            UnfitAnswerError: upstream has something else to say.
            OSError, HTTPException: the answer broke off, or takes too long.
        """
        while not self._take_what_has_come():
            if time.monotonic() - self._asked > EASY_SECONDS:
                raise UneasyDocumentError(f"not all was there after {EASY_SECONDS:g} s")
            if not has_decrypted(self.socket):
                return None
        head, document = self._head, b"".join(self._pieces)
        assert head is not None, "it is part of what is whole"
        self.end_answer(is_last=head.is_last)
        if head.is_compressed and not head.is_gone:
            document = _decompressed(document, self.question.size_bytes * _MOST_TIMES_LARGER)
        headers = {} if self.question.is_known else head.headers  # then all is known but its bytes; and there are many
        return Answer(without_credentials(self.question.url), head.status, headers, document, self.is_later())

    def begin_answer(self) -> tuple["PlainHead", bytes]:
        """Return the head of an answer that is the document, and what has come of the document so far.

        The rest is for the caller to read from ``socket``, and to call ``end_answer`` when all of it is there.

        Raises:
            GoneAnswerError: there is no document; the lane is ready for the next request.
            UnfitAnswerError: upstream has something else to say.
            OSError, HTTPException: there is no answer.
        """
        is_whole = False
        while self._head is None or (self._head.is_gone and not is_whole):
            is_whole = self._take_piece()
        if self._head.is_gone:
            self.end_answer(is_last=self._head.is_last)
            raise GoneAnswerError(f"upstream answered {self._head.status}")
        return self._head, b"".join(self._pieces)

    def end_answer(self, *, is_last: bool) -> None:
        """Be ready for the next request, unless the server has no more answers."""
        if is_last:
            self.close()

    def _take_what_has_come(self) -> bool:
        """Receive, but wait for nothing where only a part of TLS's own has come, which a selector does not tell apart."""
        if not isinstance(self.socket, ssl.SSLSocket):
            return self._take_piece()
        timeout = self.socket.gettimeout()
        self.socket.settimeout(0)
        try:
            return self._take_piece()
        except ssl.SSLWantReadError:
            return False
        finally:
            self.socket.settimeout(timeout)

    def _take_piece(self) -> bool:
        """Receive once; return whether the answer is whole. Its head comes with all of a small file, most of the time."""
        if self._head is not None:
            self._pieces.append(self._receive(self._left))
            self._left -= len(self._pieces[-1])
            self._check_speed(self._head.length - self._left)
        else:
            most = min(self.question.size_bytes, _FIRST_BYTES) + _HEAD_BYTES
            received = b"".join((*self._pieces, self._receive(most)))
            end = received.find(_HEAD_END)
            if end < 0 and len(received) <= _HEAD_BYTES:
                self._pieces = [received]
                if self.heard - self._asked > self._timeout_seconds:
                    raise EndlessAnswerError(f"its headers were not there after {self._timeout_seconds:g} s")
                return False
            if not 0 <= end <= _HEAD_BYTES:
                raise UnfitAnswerError(f"the answer begins with more than {_HEAD_BYTES} bytes of headers")
            self._head = self._read_head(received[:end])
            self._pieces = [received[end + len(_HEAD_END) :]]
            self._left = self._head.length - len(self._pieces[0])
        if self._left < 0:
            raise UnfitAnswerError("upstream sends more than the document")
        return self._left == 0

    def _check_speed(self, came: int) -> None:
        """Leave what comes slowly to whoever measures that well."""
        seconds = self.heard - self._asked
        if self._left > 0 and seconds > self._timeout_seconds and came < LEAST_BYTES_PER_SECOND * seconds:
            raise UneasyDocumentError(f"only {came} bytes came in {seconds:.1f} s")

    def _read_head(self, received: bytes) -> "PlainHead":
        head = PlainHead(received)
        self._answers += 1
        if logger.isEnabledFor(logging.DEBUG):
            seconds, url = time.monotonic() - self._asked, without_credentials(self.question.url)
            logger.debug("GET %s: %d, %d bytes, answered after %.3f s", url, head.status, head.length, seconds)
        if not head.is_gone:
            self._check(head)
        return head

    def _check(self, head: "PlainHead") -> None:
        question, told = self.question, f"upstream answered {head.status} with {head.length} bytes"
        if question.is_known:
            if head.status != OK or head.length != question.size_bytes or head.is_compressed:
                raise UnfitAnswerError(told)
        elif head.status in _REFUSED or (head.status == OK and head.length > question.size_bytes):
            raise UneasyDocumentError(told)
        elif head.status not in (OK, NOT_MODIFIED):
            raise UnfitAnswerError(told)

    def _receive(self, most: int) -> bytes:
        piece = self.socket.recv(most)
        if not piece:
            raise IncompleteRead(b"")
        self.heard = time.monotonic()
        if self.heard - self._asked > self._limit_seconds:
            raise TimeoutError(f"not all was there after {self._limit_seconds:g} s")
        return piece

    def close(self) -> None:
        """Close the connection, whatever is under way on it."""
        self._is_open = False
        self.socket.close()


class PlainHead:
    """The head of an answer of known length, which may be compressed; any other raises ``UnfitAnswerError``."""

    def __init__(self, head: bytes) -> None:
        found = _HEAD.fullmatch(head)
        if found is None:
            raise UnfitAnswerError(f"upstream's answer begins with {head[:80]!r}")
        known = _KNOWN_FIELD.findall(head)
        fields = {name.lower(): value.strip(b" \t") for name, value in known}
        if len(fields) < len(known):
            raise UnfitAnswerError("upstream's answer has a header twice")
        self.status = int(found[2])
        # A 304 has no body, whatever the length is that it tells (RFC 9110, section 8.6).
        length = b"0" if self.status == NOT_MODIFIED else fields.get(b"content-length", b"")
        if not length.isdigit() or len(length) > _MOST_DIGITS:
            raise UnfitAnswerError("upstream's answer has no length")
        encoding = fields.get(b"content-encoding", b"identity").lower()
        if b"transfer-encoding" in fields or encoding not in (b"identity", b"gzip"):
            raise UnfitAnswerError("upstream's answer is encoded")
        self.length = int(length)
        self.is_compressed = encoding == b"gzip" and self.length > 0
        self._fields = fields
        connection = fields.get(b"connection", b"keep-alive" if found[1] == b"1" else b"close")
        self.is_last = connection.lower() != b"keep-alive"
        """Whether the server closes the connection behind it, or might."""

    @property
    def is_gone(self) -> bool:
        """Whether it says that there is no such document, without many words."""
        return self.status in GONE and self.length <= _SHORT_BYTES

    @property
    def etag(self) -> str | None:
        """The document's ETag, or None."""
        return self._fields[b"etag"].decode("latin-1") if b"etag" in self._fields else None

    @property
    def headers(self) -> Mapping[str, str]:
        """What tells which document it is."""
        return HTTPHeaderDict(
            {name.decode(): value.decode("latin-1") for name, value in self._fields.items() if name in _TOLD}
        )


def _lines(headers: Mapping[str, str | bytes]) -> str:
    return "".join(f"{name}: {_text(value)}\r\n" for name, value in headers.items())


def _text(value: str | bytes) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if _NO_SENT_VALUE.search(text):
        raise ValueError(f"no value of a header: {text[:80]!r}")
    return text


def _decompressed(data: bytes, limit_bytes: int) -> bytes:
    """Return what gzip has compressed.

    Raises:
        UnfitAnswerError: it is something else, or more than ``limit_bytes``.
    """
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        document = stream.decompress(data, limit_bytes)
    except zlib.error as error:
        raise UnfitAnswerError(f"upstream's answer can't be decompressed: {error}") from error
    if not stream.eof and len(document) == limit_bytes:
        raise UneasyDocumentError(f"the document has {limit_bytes} bytes or more")
    if not stream.eof or stream.unused_data:
        raise UnfitAnswerError("upstream's answer is not one compressed document")
    return document
