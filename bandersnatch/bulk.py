"""Fetches files from where they come easily: many small ones from one thread, with several requests under way at a time.

Where a thread waits for one answer after the other, each file costs two switches of threads, and urllib3's care for what
a small file does not need: together most of its CPU time (docs/performance.md). Here each request has a connection of
its own, all are sent, and whichever answer is there first is read first.

There are no retries, redirects or HTTP proxies here, and no guess at what went wrong: what does not come as it should is
left to ``fetch.Fetcher``, which has all these.
"""

import logging
import math
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sized
from contextlib import contextmanager
from http.client import HTTPException

import requests
import urllib3

from bandersnatch.config import HttpConfig
from bandersnatch.errors import BrokenBodyError, without_credentials
from bandersnatch.lane import GoneAnswerError, Lane, UnfitAnswerError, is_plain
from bandersnatch.plain_body import PlainBody
from bandersnatch.retries import HostHealth
from bandersnatch.routes import Route, Routes, host_of, origin_of
from bandersnatch.turns import Turns

logger = logging.getLogger(__name__)

REST_SECONDS = 60.0
"""So long a server is not asked in this way, after it did not answer as it should."""

_FAILURES = (
    UnfitAnswerError,
    urllib3.exceptions.HTTPError,
    requests.RequestException,
    HTTPException,
    ValueError,
    OSError,
)


class Bulk:
    """Fetches files from where they come easily. Thread-safe."""

    def __init__(self, config: HttpConfig, routes: Routes, turns: Turns, health: HostHealth) -> None:
        self._config, self._routes, self._turns, self._health = config, routes, turns, health
        self._parked: deque[Lane] = deque()
        self._guard = threading.Lock()
        self._rests_until: dict[str, float] = {}

    def close(self) -> None:
        """Close all connections."""
        with self._guard:
            while self._parked:
                self._parked.pop().close()

    def documents(self, sizes: Mapping[str, int], most_lanes: int) -> Generator[tuple[str, bytes]]:
        """Yield URL and bytes of documents, as they come; ``sizes`` has their URLs, most of one server, and their sizes.

        Up to ``most_lanes`` requests are under way at a time, and one at least; whoever takes a document must not make
        requests of its own in between, since all turns may be taken here.

        What is not yielded was not had. Nothing is checked but the size.
        """
        origin = origin_of(next(iter(sizes)))
        wanted = deque(
            (url, size)
            for url, size in sizes.items()
            if origin_of(url) == origin and is_plain(url) and self._config.may_ask(url)
        )
        route = self._way_to(origin)
        if route is None:
            return
        with selectors.DefaultSelector() as asked:  # the lanes that have a request under way, each of which is a turn
            lanes = asked.get_map()
            try:
                while True:
                    while wanted and len(lanes) < most_lanes and self._take_turn(origin, wait=not lanes):
                        self._begin(asked, origin, route, *wanted.popleft())
                    if not lanes:
                        return
                    for lane in self._ready(asked, origin):
                        url, document = lane.url, self._answer(lane)
                        if not (self._may_go_on(lane, wanted) and self._ask(lane, *wanted.popleft())):
                            asked.unregister(lane.socket)
                            self._end(lane)
                        if document is not None:  # what follows it is on its way while this one is written
                            yield url, document
            finally:
                for key in list(lanes.values()):
                    key.data.close()
                    self._end(key.data)

    def may_have(self, url: str) -> bool:
        """Whether a document may come easily, for all that is known."""
        return is_plain(url) and self._config.may_ask(url) and self._way_to(origin_of(url)) is not None

    @contextmanager
    def large_document(self, url: str, size: int, received: Callable[[], None]) -> Iterator[PlainBody | None]:
        """Open a large document of that size, or give None where it does not come easily.

        A turn for it is taken; ``received`` is called when its last byte is there.

        Raises:
            GoneAnswerError: there is none.
        """
        origin = origin_of(url)
        route = self._way_to(origin)
        lane = self._connect(origin, route) if route is not None else None
        try:
            body = self._begin_large(lane, url, size, received) if lane is not None else None
            yield body
            if body is None or not body.is_whole:
                self._close(lane)
            else:
                self._health.succeeded(host_of(origin))
        except GoneAnswerError:
            self._health.succeeded(host_of(origin))
            raise
        except BaseException as error:
            self._close(lane)
            if isinstance(error, BrokenBodyError):  # the rest is better asked for by who knows of ranges and of pauses
                self._health.failed(host_of(origin))
                self._rest(origin, error)
            raise
        finally:
            if lane is not None:
                self._park(lane)

    def _begin_large(self, lane: Lane, url: str, size: int, received: Callable[[], None]) -> PlainBody | None:
        if not self._ask(lane, url, size):
            return None
        try:
            return PlainBody(lane, self._config, received)
        except GoneAnswerError:
            raise
        except _FAILURES as error:
            self._fail(lane, error)
            return None

    @staticmethod
    def _close(lane: Lane | None) -> None:
        if lane is not None:
            lane.close()

    def _ready(self, asked: selectors.BaseSelector, origin: str) -> list[Lane]:
        """Wait for an answer; where none comes, close all lanes, so that their answers are broken-off ones."""
        ready = [key.data for key, _ in asked.select(self._config.timeout_seconds)]
        if not ready:
            self._rest(origin, f"no answer for {self._config.timeout_seconds:g} s")
            ready = [key.data for key in asked.get_map().values()]
            for lane in ready:
                lane.close()
        return ready

    def _way_to(self, origin: str) -> Route | None:
        """Return the way to a server, if it can be gone here and nothing speaks against it."""
        if self._health.is_down(host_of(origin)) or self._rests(origin):
            return None
        try:
            route = self._routes.to(origin)
        except _FAILURES:
            return None
        return route if route.is_direct else None

    def _may_go_on(self, lane: Lane, wanted: Sized) -> bool:
        return len(wanted) > 0 and lane.is_open() and not self._rests(lane.origin)

    def _take_turn(self, origin: str, *, wait: bool) -> bool:
        """Take a turn for another request; return False where none is free, or the server rests."""
        if self._rests(origin):
            return False
        if not wait:
            return self._turns.take_free()
        self._turns.take()
        if self._rests(origin):  # since a moment ago
            self._turns.give_back()
            return False
        return True

    def _begin(self, asked: selectors.BaseSelector, origin: str, route: Route, url: str, size: int) -> None:
        """Send a request on another lane; the turn for it is taken."""
        lane = self._connect(origin, route)
        if lane is not None and self._ask(lane, url, size):
            asked.register(lane.socket, selectors.EVENT_READ, lane)
        else:
            self._turns.give_back()

    def _connect(self, origin: str, route: Route) -> Lane | None:
        try:
            return self._unpark(origin) or Lane(origin, route, self._config.timeout_seconds, self._limit_seconds)
        except _FAILURES as error:
            self._rest(origin, error)
            return None

    def _ask(self, lane: Lane, url: str, size: int) -> bool:
        try:
            lane.ask(url, size)
        except _FAILURES as error:
            self._fail(lane, error)
            return False
        return True

    def _answer(self, lane: Lane) -> bytes | None:
        try:
            document = lane.answer()
        except _FAILURES as error:
            self._fail(lane, error)
            return None
        self._health.succeeded(host_of(lane.origin))
        return document

    def _fail(self, lane: Lane, error: Exception) -> None:
        self._rest(lane.origin, error)
        lane.close()

    def _end(self, lane: Lane) -> None:
        """Give the turn back, and keep the connection for the next files."""
        self._turns.give_back()
        self._park(lane)

    def _park(self, lane: Lane) -> None:
        if lane.is_open():
            with self._guard:
                self._parked.append(lane)
                surplus = self._parked.popleft() if len(self._parked) > self._config.workers else None
            if surplus is not None:
                surplus.close()

    def _unpark(self, origin: str) -> Lane | None:
        while True:
            with self._guard:
                lane = next((lane for lane in reversed(self._parked) if lane.origin == origin), None)
                if lane is None:
                    return None
                self._parked.remove(lane)
            if not lane.is_stale():
                return lane
            lane.close()

    @property
    def _limit_seconds(self) -> float:
        return self._config.global_timeout_seconds or math.inf

    def _rests(self, origin: str) -> bool:
        return self._rests_until.get(origin, 0.0) > time.monotonic()

    def _rest(self, origin: str, why: Exception | str) -> None:
        logger.debug("%s: %s; its files are fetched one by one for a while", without_credentials(origin), why)
        self._rests_until[origin] = time.monotonic() + REST_SECONDS
