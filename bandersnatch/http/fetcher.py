"""HTTP: sessions, time-outs, retries and size-capped bodies; the errors of requests and urllib3 become ours.

Retries of requests are urllib3's. Only a body that breaks off is started anew here, since urllib3 can't know of that.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPException
from urllib.parse import urldefrag, urljoin

import requests
import urllib3

from bandersnatch import __version__
from bandersnatch.config.config import HttpConfig
from bandersnatch.errors import (
    BrokenBodyError,
    HostDownError,
    NotFoundError,
    RangeRefusedError,
    RefusedSchemeError,
    TimeLimitError,
    UpstreamUnavailableError,
    shown,
    without_credentials,
)
from bandersnatch.http.body import Answer, Body, Resume, reason_of
from bandersnatch.http.bulk import Bulk
from bandersnatch.http.connections import is_later, new_connections
from bandersnatch.http.entity_tags import is_told_again
from bandersnatch.http.lane import GONE, NOT_MODIFIED, OK, GoneAnswerError, Question
from bandersnatch.http.plain_body import PlainBody
from bandersnatch.http.request_limiter import OneAtATime, RequestLimiter, Turn
from bandersnatch.http.retries import BudgetedRetry, CircuitBreaker, RetryBudget, RetryPolicy
from bandersnatch.http.routes import Route, Routes, host_of, target_of

logger = logging.getLogger(__name__)

CONTACT_URL = "https://github.com/pypa/bandersnatch/issues"
USER_AGENT = f"bandersnatch/{__version__} (+{CONTACT_URL}) requests/{requests.__version__}"
MAX_BODY_BYTES = 64 * 1024 * 1024
"""More than any page has: the largest project page of PyPI is about a quarter of it."""

MAX_REDIRECTS = 20
SHORT_BODY_BYTES = 16 * 1024

_NO_ANSWER = (urllib3.exceptions.HTTPError, requests.RequestException, HTTPException, ValueError, OSError)
PARTIAL_CONTENT, PROXY_WANTS_PASSWORD, RANGE_NOT_SATISFIABLE = 206, 407, 416
_DOCUMENTS = (OK, NOT_MODIFIED, PARTIAL_CONTENT)
_REDIRECTS = (301, 302, 303, 307, 308)


class Fetcher:
    """The one way to upstream, with at most ``config.workers`` requests under way. Thread-safe."""

    def __init__(self, config: HttpConfig, policy: RetryPolicy | None = None) -> None:
        self._config = config
        self._policy = policy or RetryPolicy()
        self._retries = BudgetedRetry.of(self._policy, RetryBudget(self._policy.retries_per_run))
        self._routes = Routes(config, self._retries, {"User-Agent": USER_AGENT})
        self._timeout = urllib3.Timeout(config.timeout_seconds, config.timeout_seconds)
        self._health = CircuitBreaker(self._policy.failures_until_down)
        self._index_host = host_of(config.upstream_url)
        self._believed = {*_DOCUMENTS, *_REDIRECTS, RANGE_NOT_SATISFIABLE, *self._policy.statuses}
        """Statuses after which nothing is given up, or that have come again and again."""
        self.limiter = RequestLimiter(config.workers)
        self.large_documents = OneAtATime()
        self.bulk = Bulk(config, self._routes, self.limiter, self._health)

    def close(self) -> None:
        """Close all connections."""
        self.bulk.close()
        self._routes.close()

    def get(self, url: str, headers: Mapping[str, str], limit_bytes: int = MAX_BODY_BYTES) -> Answer:
        """Fetch a whole document.

        Raises:
            NotFoundError: upstream answered 404 or 410.
            UpstreamUnavailableError: no usable answer after all attempts.
            MalformedResponseError: the document is larger than ``limit_bytes``.
        """
        with self.large_documents.room():
            return self._whole("GET", url, headers, None, limit_bytes)

    def post(self, url: str, headers: Mapping[str, str], body: bytes, limit_bytes: int) -> Answer:
        """Post ``body`` and fetch the whole answer; raises what ``get`` raises."""
        with self.large_documents.room():
            return self._whole("POST", url, headers, body, limit_bytes)

    @contextmanager
    def stream(self, url: str, resume: Resume | None = None) -> Iterator[Body]:
        """Open a document for reading piece by piece, from its beginning or, where upstream agrees, from ``resume`` on.

        Raises:
            RangeRefusedError: upstream misanswered the request for the rest.
            NotFoundError, UpstreamUnavailableError: as ``get`` does.
        """
        headers = {"Accept-Encoding": "identity"}
        if resume is not None:
            headers |= {"Range": f"bytes={resume.offset}-", "If-Range": resume.etag}
        with self._open("GET", url, headers, None) as body:
            if body.status == PARTIAL_CONTENT:
                if resume is None or not resume.is_answered_by(body.headers):
                    raise RangeRefusedError(body.url)
                body.offset = resume.offset
            yield body

    def distrust(self, url: str) -> None:
        """The host of a URL has answered without being asked: use none of its connections again."""
        self._routes.to(url).trust.lose()

    @contextmanager
    def stream_plainly(self, url: str, size: int) -> Iterator[PlainBody | None]:
        """Open a large document of that size where it comes easily; None stands for all other cases.

        Raises:
            NotFoundError: as ``get`` does.
        """
        question = Question(url, size)
        if not self.bulk.may_have(question):
            yield None
            return
        turn = Turn(self.limiter)
        try:
            with self.bulk.large_document(question, turn.end) as body:
                yield body
        except GoneAnswerError as error:
            raise NotFoundError(without_credentials(url)) from error
        finally:
            turn.end()

    def _whole(self, method: str, url: str, headers: Mapping[str, str], data: bytes | None, limit_bytes: int) -> Answer:
        for attempt in range(1, self._policy.attempts + 1):
            try:
                with self._open(method, url, {"Accept-Encoding": "gzip", **headers}, data) as body:
                    return Answer(
                        body.url,
                        body.status,
                        body.headers,
                        body.whole(limit_bytes, self.large_documents.take),
                        body.is_later,
                    )
            except BrokenBodyError as error:
                if attempt == self._policy.attempts or isinstance(error, TimeLimitError):
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    @contextmanager
    def _open(self, method: str, url: str, headers: Mapping[str, str], data: bytes | None) -> Iterator[Body]:
        host = host_of(url)
        turn = Turn(self.limiter)
        try:
            self._check_health(url, host)
            with self._answer(method, url, headers, data, turn) as body:
                yield body
        except (HostDownError, RefusedSchemeError):
            raise  # nothing was asked
        except UpstreamUnavailableError:  # no answer, an error status, or a body that broke off
            self._health.failed(host)
            raise
        except NotFoundError:
            self._health.succeeded(host)
            raise
        else:
            self._health.succeeded(host)
        finally:
            turn.end()

    def _check_health(self, url: str, host: str) -> None:
        """Refuse to ask a host that is given up, be it while this request waited for its turn."""
        if self._health.is_down(host):
            failures = self._policy.failures_until_down
            reason = f"{host} gave no usable answer to {failures} requests in a row"
            raise HostDownError(without_credentials(url), reason, is_index=host == self._index_host)

    @contextmanager
    def _answer(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes | None, turn: Turn
    ) -> Iterator[Body]:
        timeout, begun = self._config.timeout_seconds, time.monotonic()
        try:
            response = self._send(method, url, headers, data)
        except _NO_ANSWER as error:
            reason = reason_of(error, timeout, self._proxy_to(url))
            raise UpstreamUnavailableError(without_credentials(url), reason) from error
        body = Body(without_credentials(url), response, self._config, turn.end)
        try:
            _check_status(url, response, headers, self._proxy_to(url))
            yield body
        finally:
            _leave(response)
            seconds = time.monotonic() - begun
            logger.debug("%s %s: %d, %d bytes, %.3f s", method, body.url, body.status, body.received_bytes, seconds)

    def _proxy_to(self, url: str) -> str:
        with suppress(*_NO_ANSWER):
            return self._routes.to(url).proxy
        return ""

    def _send(self, method: str, url: str, headers: Mapping[str, str], data: bytes | None) -> urllib3.BaseHTTPResponse:
        """Send a request, and again to wherever it is redirected; all our requests only read, POST included."""
        for _ in range(MAX_REDIRECTS + 1):
            if not self._config.may_ask(url):
                raise RefusedSchemeError(without_credentials(url))
            response = self._ask(method, url, headers, data)
            location = response.headers.get("Location") if response.status in _REDIRECTS else None
            if location is None:
                return response
            _leave(response)
            url = urldefrag(urljoin(url, location)).url
        raise UpstreamUnavailableError(without_credentials(url), f"more than {MAX_REDIRECTS} redirects")

    def _ask(self, method: str, url: str, headers: Mapping[str, str], data: bytes | None) -> urllib3.BaseHTTPResponse:
        """Send a request; an answer that is no document, and may belong to another question, is had once more."""
        route = self._routes.to(url)
        send = partial(
            route.pool.urlopen,
            method,
            _target(url, route),
            body=data,
            headers={**route.headers, **headers},
            retries=self._retries,
            timeout=self._timeout,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
        )
        response = send()
        is_unproven = response.status == NOT_MODIFIED and not is_told_again(response.headers, headers)
        if not is_later(response) or (response.status in self._believed and not is_unproven):
            return response
        response.close()
        with new_connections():
            again = send()
        if again.status != response.status:
            route.trust.lose()
        return again


def _target(url: str, route: Route) -> str:
    """Return what of a URL stands in the request itself."""
    if route.wants_whole_urls:
        return url
    target = target_of(url)
    return target if target.startswith("/") else f"/{target}"


def _leave(response: urllib3.BaseHTTPResponse) -> None:
    """Free the connection for the next request, unless that would take longer than to make a new one."""
    left = response.length_remaining if isinstance(response, urllib3.HTTPResponse) else None
    if left is not None and left <= SHORT_BODY_BYTES:
        response.drain_conn()
        response.release_conn()
    response.close()


def _check_status(url: str, response: urllib3.BaseHTTPResponse, headers: Mapping[str, str], proxy: str) -> None:
    status = response.status
    if status in GONE:
        raise NotFoundError(without_credentials(url))
    if status == RANGE_NOT_SATISFIABLE and "Range" in headers:
        raise RangeRefusedError(without_credentials(url))
    if status not in (OK, NOT_MODIFIED) and not (status == PARTIAL_CONTENT and "Range" in headers):
        who = f"upstream, through the proxy {proxy}," if proxy else "upstream"
        who = f"the proxy {proxy}" if proxy and status == PROXY_WANTS_PASSWORD else who
        reason = f"{who} answered {status} {shown(response.reason or '')}".rstrip()
        raise UpstreamUnavailableError(without_credentials(url), reason, status)
