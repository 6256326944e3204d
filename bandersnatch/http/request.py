"""What is asked of upstream, who takes what comes, and work that goes on when it has come.

A ``Request`` names a document and the ``Receiver`` of its body. Work that needs documents is written as ``Steps``: a
generator that yields a request and is sent what the receiver made of the answer, or is thrown the error. So it reads from
top to bottom like code that waits, and needs no thread of its own while it waits.
"""

from collections.abc import Callable, Generator, Mapping
from typing import Any, Generic, TypeVar

from msgspec import Struct, field

T = TypeVar("T")

OK, PARTIAL_CONTENT, NOT_MODIFIED, GONE, RANGE_NOT_SATISFIABLE = 200, 206, 304, (404, 410), 416
REDIRECTS, MAX_REDIRECTS = (301, 302, 303, 307, 308), 20
PROXY_WANTS_PASSWORD = 407


class Head(Struct, frozen=True):
    """How an answer begins: 200, 206 where a part was asked for, or 304 where a condition was sent."""

    url: str
    """Where it came from in the end, after redirects; without credentials."""
    status: int
    headers: Mapping[str, str]
    """The fields; names in any case."""
    is_later: bool = False
    """Whether other answers came before it on its connection, so that it may be the answer to another request."""


class Receiver(Generic[T]):
    """Takes the answer to one request. The engine may make several attempts; each one begins with ``headers``."""

    accepts_compressed = True
    """Whether the body may come compressed; ``write`` gets it decompressed."""
    can_resume = False
    """Whether ``headers`` ask for the rest of a body that broke off, so that each attempt gets on."""
    kept_bytes = 0
    """How much of the body it keeps in memory. Only one receiver at a time may keep much; the others are paused."""

    def headers(self) -> Mapping[str, str]:
        """Return further header fields for the next attempt, such as those that ask for the rest of a body.

        Each attempt that has begun here ends with ``end`` or with ``break_off``. An error raised here ends the request.
        """
        return {}

    def begin(self, head: Head) -> None:
        """Take the head of an answer; the body follows."""
        raise NotImplementedError

    def write(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        raise NotImplementedError

    def end(self) -> T:
        """Return what the answer comes to, now that it is whole.

        Raises:
            MalformedResponseError, IntegrityError: it is not what it must be. Where it may be the answer to another request,
                the engine asks once more, on a new connection.
        """
        raise NotImplementedError

    def break_off(self, error: Exception) -> None:
        """The attempt has failed, perhaps in the middle of the body or in ``end``; another one may begin."""


class Request(Struct, Generic[T], frozen=True):
    """A document to ask for. What goes wrong counts against its host once for each ``subject``, such as a project."""

    url: str
    receiver: Receiver[T]
    headers: Mapping[str, str] = field(default_factory=dict)
    subject: str = ""


class Together(Struct, frozen=True):
    """Steps that are to be made at the same time; whoever yields it is sent a list: for each its result, or its error."""

    steps: tuple["Steps[Any]", ...]


class Aside(Struct, frozen=True):
    """A call that takes long and asks nobody, such as to hash a large file; it runs in a thread of its own."""

    call: Callable[[], Any]


Steps = Generator["Request[Any] | Together | Aside", Any, T]
"""Work that waits for documents; it returns its result."""
