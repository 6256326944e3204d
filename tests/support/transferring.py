"""Asks a Transfer for documents."""

from collections.abc import Mapping
from typing import TypeVar

from bandersnatch.errors import RangeRefusedError
from bandersnatch.http.document import MAX_BODY_BYTES, Answer, whole
from bandersnatch.http.request import PARTIAL_CONTENT, Head, Receiver, Request
from bandersnatch.http.transfer import Transfer
from bandersnatch.project.file_receiver import Resume

T = TypeVar("T")
_LONG_SECONDS = 3600.0


class Pieces(Receiver[bytes]):
    """Takes a document as it is, like a file; from where ``resume`` says on."""

    accepts_compressed = False

    def __init__(self, resume: Resume | None = None) -> None:
        self.resume = resume
        self.heads: list[Head] = []
        self.errors: list[Exception] = []
        self.body = b""

    def headers(self) -> Mapping[str, str]:
        if self.resume is None:
            return {}
        return {"Range": f"bytes={self.resume.offset}-", "If-Range": self.resume.etag}

    def begin(self, head: Head) -> None:
        self.heads.append(head)
        self.body = b""
        if head.status == PARTIAL_CONTENT and not (self.resume and self.resume.is_answered_by(head.headers)):
            raise RangeRefusedError(head.url)

    def write(self, piece: bytes) -> None:
        self.body += piece

    def end(self) -> bytes:
        return self.body

    def abort(self, error: Exception) -> None:
        self.errors.append(error)
        if isinstance(error, RangeRefusedError):
            self.resume = None


def fetch(transfer: Transfer, request: Request[T]) -> T:
    """Fetch one document and wait for it; raises its error."""
    answers: list[tuple[T | None, Exception | None]] = []
    transfer.start(request, lambda value, error: answers.append((value, error)))
    while not answers:
        transfer.advance(_LONG_SECONDS)
    value, error = answers[0]
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # a value of T, which may be None


def ask(
    transfer: Transfer, url: str, headers: Mapping[str, str] | None = None, limit_bytes: int = MAX_BODY_BYTES
) -> Answer:
    return fetch(transfer, Request(url, whole(limit_bytes), headers or {}))


def get(transfer: Transfer, url: str) -> bytes:
    return ask(transfer, url).body


def read(transfer: Transfer, url: str) -> bytes:
    return fetch(transfer, Request(url, Pieces()))
