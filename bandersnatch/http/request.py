"""Requests for documents, the receivers of their bodies, and work that waits for them.

A ``Request`` names a document and the ``Receiver`` of its body. Work that needs documents is written as ``Steps``, a
generator used like a coroutine: it yields a request, and is sent the receiver's result or thrown the error. So it reads
from top to bottom like code that blocks, but needs no thread while it waits.
"""

from collections.abc import Callable, Generator, Mapping
from typing import Any, Generic, TypeVar

from msgspec import Struct, field

T = TypeVar("T")

OK, PARTIAL_CONTENT, NOT_MODIFIED, FORBIDDEN, RANGE_NOT_SATISFIABLE = 200, 206, 304, 403, 416
GONE = (404, 410)
REDIRECTS, MAX_REDIRECTS = (301, 302, 303, 307, 308), 20
PROXY_WANTS_PASSWORD = 407


class Head(Struct, frozen=True):
    """The beginning of an answer: 200, or 206 to a range request, or 304 to a conditional request."""

    url: str
    """The URL that was answered, after redirects; without credentials."""
    status: int
    headers: Mapping[str, str]
    """The header fields, by names in any case."""
    is_on_used_connection: bool = False
    """Whether its connection was used before, so that it may be a late answer to another request."""
    is_http_1: bool = True
    """Whether a body without a length ends only with its connection, unless it comes in chunks (RFC 9112, section 6.3)."""


class Receiver(Generic[T]):
    """Takes the answer to one request. The engine may make several attempts; each one begins with ``headers``."""

    accepts_compressed = True
    """Whether the body may be sent compressed; ``write`` gets it decompressed."""
    can_resume = False
    """Whether ``headers`` request the rest of an interrupted body, so that each attempt makes progress."""
    kept_bytes = 0
    """How much of the body it keeps in memory. Only one receiver at a time may keep much; the others are paused."""

    def headers(self) -> Mapping[str, str]:
        """Return additional header fields for the next attempt, such as ``Range``.

        Each attempt for which this has returned ends with ``end`` or ``abort``. An error raised here ends the request.
        """
        return {}

    def begin(self, head: Head) -> None:
        """Take the head of an answer; the body follows."""
        raise NotImplementedError

    def write(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        raise NotImplementedError

    def end(self) -> T:
        """Return the result, now that the answer is whole.

        Raises:
            MalformedResponseError, IntegrityError: the answer is not what it must be. If it may be the answer to another
                request, the engine tries once more, on a new connection.
        """
        raise NotImplementedError

    def abort(self, error: Exception) -> None:
        """End an attempt that has failed, perhaps in the middle of the body or in ``end``; another one may follow."""


class Request(Struct, Generic[T], frozen=True):
    """A request for a document. The circuit breaker limits how much the failures of one ``subject`` count.

    A subject is, for example, a project. The statuses ``gone`` say that there is no such document.
    """

    url: str
    receiver: Receiver[T]
    headers: Mapping[str, str] = field(default_factory=dict)
    subject: str = ""
    gone: tuple[int, ...] = GONE


class Together(Struct, frozen=True):
    """Steps to run concurrently. The generator that yields this is sent a list with the result or the error of each."""

    steps: tuple["Steps[Any]", ...]


class InThread(Struct, frozen=True):
    """A call that blocks, such as hashing a large file. It runs in another thread, while other steps continue."""

    call: Callable[[], Any]


Steps = Generator["Request[Any] | Together | InThread", Any, T]
"""A generator that yields what it waits for, is sent the result, and returns the result of its work."""
