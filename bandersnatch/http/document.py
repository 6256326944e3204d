"""``Document``: a receiver that keeps the whole body in memory, and parses it at its end."""

import io
from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec import Struct

from bandersnatch.errors import MalformedResponseError
from bandersnatch.http.request import Head, Receiver

T = TypeVar("T")

MAX_BODY_BYTES = 64 * 1024 * 1024
"""The largest project page of PyPI is about a quarter of this."""


class Answer(Struct, frozen=True):
    """A whole answer: 200, or 304 without a body."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class Document(Receiver[T]):
    """Keeps a document of at most ``limit_bytes``; its result is what ``read`` returns for the whole answer."""

    def __init__(self, read: Callable[[Answer], T], limit_bytes: int = MAX_BODY_BYTES) -> None:
        self._read, self._limit_bytes = read, limit_bytes
        self._head: Head | None = None
        self._body = io.BytesIO()  # `getvalue` does not copy its bytes

    def begin(self, head: Head) -> None:
        """Take the head, and forget the body of an earlier attempt."""
        self._head, self._body, self.kept_bytes = head, io.BytesIO(), 0

    def write(self, piece: bytes) -> None:
        """Keep a piece.

        Raises:
            MalformedResponseError: the document is too large.
        """
        self._body.write(piece)
        self.kept_bytes += len(piece)
        if self.kept_bytes > self._limit_bytes:
            assert self._head is not None, "the head comes first"
            raise MalformedResponseError(self._head.url, f"the answer is larger than {self._limit_bytes} bytes")

    def end(self) -> T:
        """Return what ``read`` returns for the answer."""
        head = self._head
        assert head is not None, "the head comes first"
        return self._read(Answer(head.url, head.status, head.headers, self._body.getvalue()))

    def abort(self, error: Exception) -> None:  # noqa: ARG002 - the same whatever went wrong
        """Forget the body."""
        self._body, self.kept_bytes = io.BytesIO(), 0


def whole(limit_bytes: int = MAX_BODY_BYTES) -> Document[Answer]:
    """Return a receiver whose result is the answer as it is."""
    return Document(_same, limit_bytes)


def _same(answer: Answer) -> Answer:
    return answer
