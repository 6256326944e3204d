"""Faults on demand: what may go wrong with an answer, and the plan of who gets which.

A fault acts at one or both of two points: it makes another answer of the real one,
and it sends that in its own way.
"""

import itertools
import xmlrpc.client
from abc import ABC
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from threading import Event, Lock
from typing import Any, Protocol

from .answers import SERIAL_HEADER, Answer, Answering
from .rpc import fault_answer, rate_limited_answer

POLL_SECONDS = 0.02
OTHER_BYTES = bytes(value ^ 0x55 for value in range(256))


class Wire(Protocol):
    """The connection to the client, as a fault sees it."""

    @property
    def closing(self) -> Event:
        """Set when the server closes."""

    def send(self, answer: Answer) -> None:
        """Send the whole answer."""

    def send_head(self, answer: Answer) -> None:
        """Send status and headers, with the full Content-Length."""

    def send_body(self, answer: Answer, start: int, stop: int) -> None:
        """Send a part of the body."""

    def hang_up(self) -> None:
        """Close the connection after what was sent."""

    def reset(self) -> None:
        """Close the connection with a TCP reset."""


class Fault(ABC):  # noqa: B024 (both hooks have a default)
    """Something that goes wrong with one answer."""

    def answer(self, real: Answering) -> Answer:
        """Return the answer to give; `real` computes the honest one."""
        return real()

    def deliver(self, wire: Wire, answer: Answer) -> None:
        """Send the answer."""
        wire.send(answer)


@dataclass(frozen=True, slots=True)
class Status(Fault):
    """Another answer altogether, without the real one's headers."""

    code: int
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    content_type: str = "text/html; charset=UTF-8"

    def answer(self, real: Answering) -> Answer:
        headers = {"Content-Type": self.content_type, **(self.headers or {})}
        return Answer(self.code, tuple(headers.items()), self.body, is_compressible=False)


@dataclass(frozen=True, slots=True)
class Body(Fault):
    """Status 200 and the real headers, but these bytes."""

    content: bytes
    headers: Mapping[str, str] | None = None
    content_type: str | None = None

    def answer(self, real: Answering) -> Answer:
        answer = replace(real(), status=200, body=self.content)
        changes = dict(self.headers or {})
        if self.content_type is not None:
            changes["Content-Type"] = self.content_type
        for name, value in changes.items():
            answer = answer.with_header(name, value)
        return answer


@dataclass(frozen=True, slots=True)
class WrongBytes(Fault):
    """As many bytes as promised, but other ones."""

    def answer(self, real: Answering) -> Answer:
        answer = real()
        return replace(answer, body=answer.body_bytes().translate(OTHER_BYTES))


@dataclass(frozen=True, slots=True)
class ExtraBytes(Fault):
    """More bytes than the page promised; the Content-Length counts them too."""

    count: int

    def answer(self, real: Answering) -> Answer:
        answer = real()
        return replace(answer, body=answer.body_bytes() + b"x" * self.count)


@dataclass(frozen=True, slots=True)
class SerialHeader(Fault):
    """The real answer with another serial in its header, or with none."""

    value: int | str | None

    def answer(self, real: Answering) -> Answer:
        return real().with_header(SERIAL_HEADER, None if self.value is None else str(self.value))


@dataclass(frozen=True, slots=True)
class Edit(Fault):
    """A page made from a changed JSON value, in whatever format it was asked for."""

    function: Callable[[dict[str, Any]], object]

    def answer(self, real: Answering) -> Answer:
        return real(edit=self.function)


@dataclass(frozen=True, slots=True)
class Call(Fault):
    """Runs a function in the request's thread; then the real answer, or another fault."""

    function: Callable[[], object]
    then: Fault = field(default_factory=Fault)

    def answer(self, real: Answering) -> Answer:
        self.function()
        return self.then.answer(real)

    def deliver(self, wire: Wire, answer: Answer) -> None:
        self.then.deliver(wire, answer)


@dataclass(frozen=True, slots=True)
class RateLimited(Fault):
    """The XML-RPC fault of a client that calls too often."""

    seconds: int

    def answer(self, real: Answering) -> Answer:
        return rate_limited_answer(self.seconds)


@dataclass(frozen=True, slots=True)
class XmlFault(Fault):
    """An XML-RPC fault."""

    code: int
    text: str

    def answer(self, real: Answering) -> Answer:
        return fault_answer(xmlrpc.client.Fault(self.code, self.text))


@dataclass(frozen=True, slots=True)
class ShortBody(Fault):
    """Promises everything, sends `keep_bytes` of it, closes the connection."""

    keep_bytes: int

    def deliver(self, wire: Wire, answer: Answer) -> None:
        wire.send_head(answer)
        wire.send_body(answer, 0, self.keep_bytes)
        wire.hang_up()


@dataclass(frozen=True, slots=True)
class Chunked(Fault):
    """The body in chunks, without a Content-Length; or only the first bytes of it, without the end."""

    keep_bytes: int | None = None

    def deliver(self, wire: Wire, answer: Answer) -> None:
        body = answer.body_bytes()[: self.keep_bytes]
        pieces = [body[begin : begin + 100_000] for begin in range(0, len(body), 100_000)]
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        if self.keep_bytes is None:
            chunks += b"0\r\n\r\n"
        sent = replace(answer.with_header("Transfer-Encoding", "chunked"), body=chunks)
        wire.send_head(sent)
        wire.send_body(sent, 0, len(chunks))
        if self.keep_bytes is not None:
            wire.hang_up()


@dataclass(frozen=True, slots=True)
class Unframed(Fault):
    """A body that ends with its connection only; perhaps too early."""

    keep_bytes: int | None = None

    def deliver(self, wire: Wire, answer: Answer) -> None:
        wire.send_head(answer.with_header("Connection", "close"))
        wire.send_body(answer, 0, len(answer.body) if self.keep_bytes is None else self.keep_bytes)
        wire.hang_up()


@dataclass(frozen=True, slots=True)
class Reset(Fault):
    """A TCP reset: before any answer, or after some bytes of the body."""

    after_bytes: int = 0

    def answer(self, real: Answering) -> Answer:
        return real() if self.after_bytes else Answer(0, ())

    def deliver(self, wire: Wire, answer: Answer) -> None:
        if self.after_bytes:
            wire.send_head(answer)
            wire.send_body(answer, 0, self.after_bytes)
        wire.reset()


@dataclass(frozen=True, slots=True)
class Stall(Fault):
    """Sends the head and `after_bytes`, then nothing until `event` is set, then the rest.

    `started` is set when the silence begins. Without an event, and when the server
    closes first, the connection is closed at the end of it.
    """

    event: Event | None = None
    after_bytes: int = 0
    started: Event = field(default_factory=Event)

    def deliver(self, wire: Wire, answer: Answer) -> None:
        wire.send_head(answer)
        wire.send_body(answer, 0, self.after_bytes)
        self.started.set()
        event = self.event or Event()
        while not event.is_set():
            if wire.closing.is_set():
                wire.hang_up()
                return
            event.wait(POLL_SECONDS)
        wire.send_body(answer, self.after_bytes, len(answer.body))


@dataclass(frozen=True, slots=True)
class Drip(Fault):
    """Sends the head and `first_bytes`, then a byte every now and then: never silent for long, and never done."""

    first_bytes: int = 0

    def deliver(self, wire: Wire, answer: Answer) -> None:
        wire.send_head(answer)
        wire.send_body(answer, 0, self.first_bytes)
        for position in range(self.first_bytes, len(answer.body)):
            if wire.closing.wait(POLL_SECONDS):
                wire.hang_up()
                return
            wire.send_body(answer, position, position + 1)


class FaultPlan:
    """Which faults wait for which paths. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: dict[str, deque[Iterator[Fault]]] = {}

    def add(self, path: str, faults: tuple[Fault, ...], times: int | None) -> None:
        """Queue the faults in turn, `times` times over; None is for ever."""
        limiter = itertools.cycle(faults) if times is None else itertools.chain.from_iterable([faults] * times)
        with self._lock:
            self._waiting.setdefault(path, deque()).append(iter(limiter))

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def take(self, *names: str) -> Fault | None:
        """Return the next fault for a request known by any of these names; exact names come first."""
        with self._lock:
            for pattern in self._matching(names):
                if (fault := self._next(pattern)) is not None:
                    return fault
        return None

    def _matching(self, names: tuple[str, ...]) -> list[str]:
        prefixes = [pattern for pattern in self._waiting if pattern.endswith("*")]
        exact = [name for name in names if name in self._waiting]
        return exact + [pattern for pattern in prefixes if any(name.startswith(pattern[:-1]) for name in names)]

    def _next(self, pattern: str) -> Fault | None:
        queue = self._waiting[pattern]
        while queue:
            fault = next(queue[0], None)
            if fault is not None:
                return fault
            queue.popleft()
        return None
