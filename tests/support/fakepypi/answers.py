"""What every answer has in common: headers, compression, entity tags.

`Answer` is what the site says before any of that; `finish` makes it what the
client sees, with the rules of PyPI's server.
"""

import base64
import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email.message import Message
from hashlib import md5
from typing import Any, Protocol

from .model import UploadedFile

Headers = tuple[tuple[str, str], ...]
Editor = Callable[[dict[str, Any]], object]

SERIAL_HEADER = "X-PyPI-Last-Serial"
CORS: Headers = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Headers", "Content-Type, If-Match, If-Modified-Since, If-None-Match, If-Unmodified-Since"),
    ("Access-Control-Allow-Methods", "GET"),
    ("Access-Control-Max-Age", "86400"),
    ("Access-Control-Expose-Headers", SERIAL_HEADER),
)
REFERRER: Headers = (("Referrer-Policy", "origin-when-cross-origin"),)
VARY_ENCODING: Headers = (("Vary", "Accept-Encoding"),)
VARY_ACCEPT: Headers = (("Vary", "Accept, Accept-Encoding"),)


@dataclass(frozen=True, slots=True)
class FilePart:
    """A range of bytes of an uploaded file, read only when it is sent."""

    file: UploadedFile
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and body, as yet without length, coding and tag."""

    status: int
    headers: Headers
    body: bytes | FilePart = b""
    is_compressible: bool = True
    has_etag: bool = False

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def with_header(self, name: str, value: str | None) -> "Answer":
        """Return this answer with one header replaced, or dropped where the value is None."""
        kept = tuple((key, old) for key, old in self.headers if key.lower() != name.lower())
        return replace(self, headers=kept if value is None else (*kept, (name, value)))

    def body_bytes(self) -> bytes:
        return b"".join(self.body_chunks(0, len(self.body)))

    def body_chunks(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the body from `start` up to `stop`, in pieces."""
        if isinstance(self.body, bytes):
            yield self.body[start:stop]
        else:
            first = self.body.start
            yield from self.body.file.chunks(first + start, min(first + stop, self.body.stop))


class Answering(Protocol):
    """The site's real answer to a request; `edit` changes the JSON value it is made from."""

    def __call__(self, edit: Editor = ...) -> Answer: ...


def unchanged(value: dict[str, Any]) -> object:
    """Return the value as it is: the editor of an honest index."""
    return value


def text_answer(status: int, text: str, headers: Headers = ()) -> Answer:
    """Return a plain-text answer, as the server gives for errors and redirects."""
    return Answer(status, (("Content-Type", "text/plain; charset=UTF-8"), *headers, *REFERRER), text.encode())


def not_found() -> Answer:
    """Return the 404 of the simple pages."""
    return text_answer(404, "404 Not Found", (*CORS, *VARY_ENCODING))


def redirect(base_url: str, path: str, headers: Headers = VARY_ENCODING) -> Answer:
    """Return a permanent redirect; its Location is absolute, its text is not."""
    text = (
        f"301 Moved Permanently\n\nThe resource has been moved to {path}; you should be redirected automatically.\n\n"
    )
    return text_answer(301, text, (("Location", base_url + path), *headers))


def finish(answer: Answer, method: str, request_headers: Message) -> Answer:
    """Return the answer as the client sees it: compressed, tagged, perhaps a 304."""
    plain = answer.body
    answer = _compressed(answer, request_headers)
    is_tagged = answer.has_etag and (method != "POST" or answer.header("Content-Encoding") is not None)
    if answer.status == 200 and is_tagged and isinstance(plain, bytes):
        answer = answer.with_header("ETag", _entity_tag(plain, answer.header("Content-Encoding") or ""))
    etag = answer.header("ETag")
    is_conditional = method in ("GET", "HEAD") and answer.status == 200 and etag is not None
    if is_conditional and _matches(request_headers["If-None-Match"], etag):
        return (
            replace(answer, status=304, body=b"")
            .with_header("Content-Type", None)
            .with_header("Content-Encoding", None)
        )
    return answer


def _compressed(answer: Answer, request_headers: Message) -> Answer:
    """Compress a body where the client allows it and it becomes smaller."""
    if not (answer.is_compressible and isinstance(answer.body, bytes)):
        return answer
    if not _accepts_gzip(request_headers["Accept-Encoding"]):
        return answer
    smaller = gzip.compress(answer.body, mtime=0)
    if len(smaller) > len(answer.body):
        return answer
    return replace(answer, body=smaller).with_header("Content-Encoding", "gzip")


def _entity_tag(body: bytes, coding: str) -> str:
    """Return a tag for a body in a coding; compressed bytes are not the same with every version of zlib."""
    digest = md5(coding.encode() + body, usedforsecurity=False).digest()
    return f'"{base64.b64encode(digest).decode().rstrip("=")}"'


def _matches(if_none_match: str | None, etag: str | None) -> bool:
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags


def _accepts_gzip(accept_encoding: str | None) -> bool:
    qualities = parse_qualities(accept_encoding or "")
    return qualities.get("gzip", 0.0) > 0 and qualities.get("gzip", 0.0) >= qualities.get("identity", 0.0)


def parse_qualities(header: str) -> dict[str, float]:
    """Return the items of an Accept or Accept-Encoding header with their q-values."""
    qualities = {}
    for item in header.split(","):
        value, *parameters = (part.strip() for part in item.split(";"))
        if not value:
            continue
        quality = 1.0
        for parameter in parameters:
            key, _, text = parameter.partition("=")
            if key.strip().lower() == "q":
                quality = float(text)
        qualities[value.lower()] = quality
    return qualities
