"""``Transfer``: fetches documents, many at a time, with libcurl. The only engine for pages, files and metadata.

Each request goes through ``_waiting`` or ``_later`` to ``_in_flight``, and back if it is retried, and at last to ``_ended``.
"""

import heapq
import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import pycurl

from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.errors import InterruptedRunError, UpstreamUnavailableError
from bandersnatch.http.curl_errors import failure_of
from bandersnatch.http.curl_handle import CurlHandle
from bandersnatch.http.curl_loop import Clock, CurlLoop, Ended
from bandersnatch.http.request import Receiver, Request
from bandersnatch.http.retry_rules import Pending, RetryRules
from bandersnatch.http.routes import KEPT_ROUTES, Route, Routes, host_of
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.shown_text import shown, without_credentials

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CLOCK_SHARE = 0.05
"""How much of a time-out the process's own work between two waits may count (``curl_loop.Clock``)."""


class _Origin:
    """What the requests to one origin share. ``free`` are unused handles that are set up for it."""

    def __init__(self, route: Route, host: str) -> None:
        self.route, self.host = route, host
        self.free: list[CurlHandle] = []


class Transfer:
    """Fetches documents. It belongs to one thread of one process; its connections must not be shared by a fork."""

    def __init__(self, config: HttpConfig, limits: RunLimits | None = None, max_in_flight: int | None = None) -> None:
        self._config = config
        self._max_in_flight = max_in_flight or config.workers
        self._limit_seconds = config.global_timeout_seconds or math.inf
        self._first_check = min(config.timeout_seconds, self._limit_seconds)
        self._routes = Routes(config)
        self._rules = RetryRules(limits or RunLimits(), config)
        self._clock = Clock(config.timeout_seconds * _CLOCK_SHARE)
        self._loop = CurlLoop(self._clock)
        self._waiting: deque[Pending[Any]] = deque()
        self._later: list[tuple[float, int, Pending[Any]]] = []
        """Requests that wait before they are retried, by the time at which they may be."""
        self._numbers = itertools.count()  # so that equal times don't compare requests
        self._in_flight: dict[Any, tuple[_Origin, CurlHandle, Pending[Any]]] = {}
        self._origins: dict[str, _Origin] = {}
        self._ended: deque[Pending[Any]] = deque()
        self._next_check = math.inf
        self._large: Receiver[Any] | None = None
        """The only receiver that may keep much in memory at this time."""

    def start(self, request: Request[T], done: Callable[[T | None, Exception | None], None]) -> None:
        """Start a request, now or when others have ended. ``advance`` calls ``done`` once; ``start`` never does."""
        self._waiting.append(Pending(request, done))

    def pending(self) -> int:
        """Return how many requests were started and have not ended."""
        return len(self._waiting) + len(self._later) + len(self._in_flight) + len(self._ended)

    def watch(self, descriptor: int) -> None:
        """Let ``advance`` return when there is something to read on a file descriptor."""
        self._loop.watch(descriptor)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching a descriptor."""
        self._loop.unwatch(descriptor)

    def advance(self, seconds: float) -> None:
        """Wait for answers, up to so many seconds, and receive them; call ``done`` of each request that has ended."""
        self._launch()
        self._collect()
        self._loop.wait(0.0 if self._ended else min(seconds, self._seconds_to_next()))
        self._collect()
        self._check_times()
        self._launch()  # so that the next requests are on their way while the answers are processed
        for _ in range(len(self._ended)):
            if self._ended:  # `done` may have closed the engine
                self._finish(self._ended.popleft())

    def _finish(self, pending: Pending[Any]) -> None:
        try:
            pending.finish()
        finally:
            self._give_back_memory(pending.request.receiver)

    def close(self) -> None:
        """Give up all requests without calling ``done``, and close all connections."""
        error = InterruptedRunError()
        for origin, handle, pending in self._in_flight.values():
            self._loop.remove(handle.curl)
            pending.abort(error)
            origin.free.append(handle)
        for pending in (*self._waiting, *(pending for _, _, pending in self._later)):
            pending.abort(error)  # after a redirect, for example, its attempt has begun already
        for origin in self._origins.values():
            for handle in origin.free:
                handle.curl.close()
        self._in_flight.clear()
        self._origins.clear()
        self._waiting.clear()
        self._later.clear()
        self._ended.clear()
        self._loop.close()
        self._routes.close()

    # Requests begin

    def _launch(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._waiting.append(heapq.heappop(self._later)[2])
        while self._waiting and len(self._in_flight) < self._max_in_flight:
            self._begin(self._waiting.popleft())
        self._loop.run_timer()

    def _begin(self, pending: Pending[Any]) -> None:
        try:
            self._rules.check(pending)
            origin = self._origin(pending.origin)
            if not origin.free:
                origin.free.append(self._new_handle(origin))
            handle = origin.free[-1]  # it stays there if the next line raises
            handle.begin(pending.url, pending.target, pending.request.receiver, pending.begin_attempt())
            origin.free.pop()
        except ValueError as error:  # a header or a URL that can't be sent
            reason = shown(without_credentials(str(error)))
            self._fail(pending, UpstreamUnavailableError(without_credentials(pending.url), reason))
        except Exception as error:  # noqa: BLE001 - of the receiver, or ours; it is passed to whoever started the request
            self._fail(pending, error)
        else:
            handle.set_single_use(pending.needs_new_connection or not self._rules.trust.is_trusted(origin.host))
            self._in_flight[handle.curl] = origin, handle, pending
            self._loop.add(handle.curl)
            self._next_check = min(self._next_check, self._clock.now + self._first_check)

    def _fail(self, pending: Pending[Any], error: Exception) -> None:
        if self._rules.fail(pending, error) is None:
            self._ended.append(pending)
        else:
            self._waiting.appendleft(pending)

    def _origin(self, url: str) -> "_Origin":
        origin = self._origins.get(url)
        if origin is None:
            origin = self._origins[url] = _Origin(self._routes.to(url), host_of(url))
            if len(self._origins) > KEPT_ROUTES:  # the oldest one's handles close when nothing is in flight on them
                del self._origins[next(iter(self._origins))]
        return origin

    def _new_handle(self, origin: "_Origin") -> CurlHandle:
        handle = CurlHandle(origin.route, self._config.timeout_seconds, self._limit_seconds, self._clock)
        handle.on_connect(self._loop.forget)
        handle.may_keep_more = self._may_keep_more
        return handle

    # Attempts end

    def _seconds_to_next(self) -> float:
        seconds = self._next_check - self._clock.now if self._in_flight else math.inf
        if len(self._in_flight) < self._max_in_flight:
            if self._waiting:
                return 0.0
            if self._later:
                seconds = min(seconds, self._later[0][0] - time.monotonic())
        return seconds

    def _collect(self) -> None:
        for ended in self._loop.ended():
            self._end_attempt(ended)

    def _end_attempt(self, ended: Ended) -> None:
        origin, handle, pending = self._in_flight.pop(ended.curl)
        self._loop.remove(ended.curl)
        handle.error = handle.error or failure_of(handle, ended, self._config.timeout_seconds)
        retry = self._rules.after(pending, handle)
        if logger.isEnabledFor(logging.DEBUG):
            seconds = self._clock.now - handle.begun
            logger.debug("GET %s: %d, %d bytes, %.3f s", handle.url, handle.status, handle.received_bytes, seconds)
        origin.free.append(handle)
        if retry is None:
            self._ended.append(pending)
            return
        self._give_back_memory(pending.request.receiver)
        if retry.pause_seconds > 0:
            heapq.heappush(self._later, (time.monotonic() + retry.pause_seconds, next(self._numbers), pending))
        else:
            self._waiting.appendleft(pending)  # first: it has had its turn, and its steps wait for it

    def _check_times(self) -> None:
        now = self._clock.now
        if now < self._next_check:
            return
        self._next_check = math.inf
        for _, handle, _ in list(self._in_flight.values()):
            try:
                self._next_check = min(self._next_check, handle.next_check(now))
            except UpstreamUnavailableError as error:
                handle.error = error
                self._end_attempt(Ended(handle.curl, pycurl.E_OPERATION_TIMEDOUT, ""))

    # Memory

    def _may_keep_more(self, receiver: Receiver[Any]) -> bool:
        if self._large is None:
            self._large = receiver
        return self._large is receiver

    def _give_back_memory(self, receiver: Receiver[Any]) -> None:
        if self._large is not receiver:
            return
        self._large = None
        for _, handle, pending in self._in_flight.values():
            if handle.is_paused:
                # Before it is resumed: its attempt may end before it gets another piece.
                self._large = pending.request.receiver
                handle.resume()
                return
