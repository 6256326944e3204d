"""Fetches what comes easily: many small documents from one thread, with several requests under way at a time; large files.

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
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http.client import HTTPException

import requests
import urllib3
from msgspec.structs import replace

from bandersnatch.config.config import HttpConfig
from bandersnatch.errors import BrokenBodyError, without_credentials
from bandersnatch.http.body import Answer
from bandersnatch.http.entity_tags import is_told_again
from bandersnatch.http.lane import (
    GONE,
    NOT_MODIFIED,
    GoneAnswerError,
    Lane,
    Question,
    UneasyDocumentError,
    UnfitAnswerError,
    is_plain,
)
from bandersnatch.http.plain_body import PlainBody
from bandersnatch.http.request_limiter import RequestLimiter
from bandersnatch.http.retries import CircuitBreaker
from bandersnatch.http.routes import Route, Routes, host_of, origin_of

logger = logging.getLogger(__name__)

REST_SECONDS = 60.0
"""So long a server is not asked in this way, after it did not answer as it should."""
UNFIT_PAGES = 3
"""So many pages in a row; one may have a trouble of its own, and there are hundreds of thousands."""

_FAILURES = (
    UnfitAnswerError,
    urllib3.exceptions.HTTPError,
    requests.RequestException,
    HTTPException,
    ValueError,
    OSError,
)


class Bulk:
    """Fetches what comes easily. Thread-safe."""

    def __init__(self, config: HttpConfig, routes: Routes, limiter: RequestLimiter, health: CircuitBreaker) -> None:
        self._config, self._routes, self._limiter, self._health = config, routes, limiter, health
        self._parked: deque[Lane] = deque()
        self._guard = threading.Lock()
        self._rests_until: dict[tuple[str, bool], float] = {}
        self._unfit_pages = 0

    def close(self) -> None:
        """Close all connections."""
        with self._guard:
            while self._parked:
                self._parked.pop().close()

    def documents(self, wanted: deque[Question], most_lanes: Callable[[], int]) -> Generator[tuple[Question, Answer]]:
        """Ask for documents, and yield the answers as they come; a document may turn out to be gone.

        Up to ``most_lanes()`` requests are under way at a time. Whoever takes an answer may add to what is
        wanted, but must not make requests of its own in between, since all turns may be taken here.

        What is not yielded was not fetched.
        """
        with selectors.DefaultSelector() as asked:  # the lanes that have a request under way, each of which is a turn
            lanes = asked.get_map()
            try:
                while True:
                    while len(lanes) < most_lanes() and self._begin(asked, wanted):
                        pass
                    if not lanes:
                        return
                    for lane in self._ready(asked):
                        question, answer = lane.question, self._receive(lane, wanted) if lane.is_open() else None
                        if answer is None and lane.is_open():
                            continue  # there is more to come
                        if not self._goes_on(lane, wanted):
                            asked.unregister(lane.socket)
                            self._end(lane)
                        if answer is not None:  # what follows it is on its way while this one is worked on
                            yield question, answer
            finally:
                for key in list(lanes.values()):
                    key.data.close()
                    self._end(key.data)

    def may_have(self, question: Question) -> bool:
        """Whether a document may come easily, for all that is known."""
        return self._way_to(question) is not None

    @contextmanager
    def large_document(self, question: Question, received: Callable[[], None]) -> Iterator[PlainBody | None]:
        """Open a large document, or give None where it does not come easily.

        A turn for it is taken; ``received`` is called when its last byte is there.

        Raises:
            GoneAnswerError: there is none.
        """
        origin = origin_of(question.url)
        lane = self._connect(question)
        try:
            body = self._begin_large(lane, question, received) if lane is not None else None
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
                self._rest(question, error)
            raise
        finally:
            if lane is not None:
                self._park(lane)

    def _begin_large(self, lane: Lane, question: Question, received: Callable[[], None]) -> PlainBody | None:
        if not self._ask(lane, question):
            return None
        try:
            return PlainBody(lane, self._config, received)
        except GoneAnswerError:
            if not lane.is_later():
                raise
            lane.close()  # it may be the answer to another question
            return None
        except _FAILURES as error:
            self._fail(lane, error)
            return None

    @staticmethod
    def _close(lane: Lane | None) -> None:
        if lane is not None:
            lane.close()

    def _ready(self, asked: selectors.BaseSelector) -> list[Lane]:
        """Wait until something has come; return those lanes, and, closed, those that were silent for too long."""
        timeout = self._config.timeout_seconds
        lanes: list[Lane] = [key.data for key in asked.get_map().values()]
        patience = min(lane.heard for lane in lanes) + timeout - time.monotonic()
        ready: list[Lane] = [key.data for key, _ in asked.select(max(0.0, patience))]
        silent_since = time.monotonic() - timeout
        for lane in lanes:
            if lane.heard <= silent_since and lane not in ready:
                self._fail(lane, TimeoutError(f"no answer for {timeout:g} s"))
                ready.append(lane)
        return ready

    def _way_to(self, question: Question) -> Route | None:
        """Return the way to a document's server, if it is usable and nothing speaks against it."""
        url = question.url
        if not is_plain(url) or not self._config.may_ask(url) or self._rests(question):
            return None
        origin = origin_of(url)
        if self._health.is_down(host_of(origin)):
            return None
        try:
            route = self._routes.to(origin)
        except _FAILURES:
            return None
        return route if route.is_direct else None

    def _begin(self, asked: selectors.BaseSelector, wanted: deque[Question]) -> bool:
        """Ask for the next document on another lane, if there is a turn for it, for which only the first lane waits.

        Return False where there is none, or nothing is wanted; where the document does not come easily, it is dropped.
        """
        while wanted and self._way_to(wanted[0]) is None:
            wanted.popleft()
        if not wanted:
            return False
        if not asked.get_map():
            self._limiter.take()
        elif not self._limiter.take_free():
            return False
        question = wanted.popleft()
        lane = self._connect(question)
        if lane is not None and self._ask(lane, question):
            asked.register(lane.socket, selectors.EVENT_READ, lane)
        else:
            self._limiter.give_back()
            if lane is not None:
                self._park(lane)
        return True

    def _goes_on(self, lane: Lane, wanted: deque[Question]) -> bool:
        """Ask for the next document on the same lane, if it is one of the same server; return whether that was done."""
        if not wanted or wanted[0].is_doubted or origin_of(wanted[0].url) != lane.origin or not lane.is_reusable():
            return False
        return self._way_to(wanted[0]) is not None and self._ask(lane, wanted.popleft())

    def _connect(self, question: Question) -> Lane | None:
        """Return a lane on which a document may be asked for, or None where there is none."""
        route, origin = self._way_to(question), origin_of(question.url)
        if route is None:
            return None
        try:
            kept = self._unpark(origin) if route.trust.allows_any() and not question.is_doubted else None
            return kept or Lane(origin, route, self._config.timeout_seconds, self._limit_seconds)
        except _FAILURES as error:
            self._rest(question, error)
            return None

    def _ask(self, lane: Lane, question: Question) -> bool:
        try:
            lane.ask(question)
        except _FAILURES as error:
            self._fail(lane, error)
            return False
        return True

    def _receive(self, lane: Lane, wanted: deque[Question]) -> Answer | None:
        """Return the answer if it is whole; a lane whose answer is of no use is closed.

        That a document is gone, or, without its ETag, that it is the known one, is believed where it is the first answer on
        its lane; else it is wanted once more.
        """
        try:
            answer = lane.receive()
        except UneasyDocumentError as error:
            logger.debug("%s: %s", without_credentials(lane.question.url), error)
            lane.close()
            return None
        except _FAILURES as error:
            self._fail(lane, error)
            return None
        is_doubtful = answer is not None and _is_unproven(lane.question, answer)
        if answer is not None and is_doubtful and answer.is_later:
            lane.close()
            wanted.appendleft(replace(lane.question, is_doubted=True))
            return None
        if answer is not None:
            if lane.question.is_doubted and not is_doubtful:
                lane.distrust()
            self._health.succeeded(lane.host)
            self._unfit_pages = self._unfit_pages if lane.question.is_known else 0
        return answer

    def _fail(self, lane: Lane, error: Exception) -> None:
        lane.close()
        self._unfit_pages += not lane.question.is_known
        if lane.question.is_known or self._unfit_pages >= UNFIT_PAGES:
            self._rest(lane.question, error)

    def _end(self, lane: Lane) -> None:
        """Give the turn back, and keep the connection for the next documents."""
        self._limiter.give_back()
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
            if lane.is_reusable():
                return lane
            lane.close()

    @property
    def _limit_seconds(self) -> float:
        return self._config.global_timeout_seconds or math.inf

    def _rests(self, question: Question) -> bool:
        return self._rests_until.get(_kind_of(question), 0.0) > time.monotonic()

    def _rest(self, question: Question, why: Exception | str) -> None:
        origin = without_credentials(origin_of(question.url))
        logger.debug("%s: %s; such documents are fetched one by one for a while", origin, why)
        self._rests_until[_kind_of(question)] = time.monotonic() + REST_SECONDS


def _is_unproven(question: Question, answer: Answer) -> bool:
    """Whether an answer may as well be that to another question."""
    is_unchanged = answer.status == NOT_MODIFIED
    return answer.status in GONE or (is_unchanged and not is_told_again(answer.headers, question.headers))


def _kind_of(question: Question) -> tuple[str, bool]:
    """Return what rests together: a server that sends pages in its own way may have files that come plainly."""
    return origin_of(question.url), question.is_known
