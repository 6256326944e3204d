"""HTTP for conversations, over requests: the journal, and the list of all projects. ``transfer`` has all other documents.

Few requests are made here, and much hangs on each. So each has a connection of its own, and a late answer to another
request can't be taken for its own. Retries of requests are urllib3's; only a body that breaks off is begun anew here, since
urllib3 can't know of that.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.parse import urldefrag, urljoin

import requests
import urllib3

from bandersnatch.config.config import HttpConfig
from bandersnatch.errors import (
    BrokenBodyError,
    HostDownError,
    NotFoundError,
    RefusedSchemeError,
    TimeLimitError,
    UpstreamUnavailableError,
    shown,
    without_credentials,
)
from bandersnatch.http.body import MAX_BODY_BYTES, Answer, Body, reason_of
from bandersnatch.http.circuit_breaker import CircuitBreaker
from bandersnatch.http.request import GONE, MAX_REDIRECTS, NOT_MODIFIED, OK, PROXY_WANTS_PASSWORD, REDIRECTS
from bandersnatch.http.retries import BudgetedRetry, RetryBudget, RetryPolicy
from bandersnatch.http.routes import USER_AGENT, Route, Routes, host_of, target_of

if TYPE_CHECKING:
    from bandersnatch.http.transfer import Transfer

logger = logging.getLogger(__name__)

_NO_ANSWER = (urllib3.exceptions.HTTPError, requests.RequestException, HTTPException, ValueError, OSError)


class Fetcher:
    """Asks upstream, and waits for the answer. Thread-safe."""

    def __init__(self, config: HttpConfig, policy: RetryPolicy | None = None) -> None:
        self._config, self.policy = config, policy or RetryPolicy()
        self._retries = BudgetedRetry.of(self.policy, RetryBudget(self.policy.retries_per_run))
        self._routes = Routes(config, self._retries, {"User-Agent": USER_AGENT})
        self._timeout = urllib3.Timeout(config.timeout_seconds, config.timeout_seconds)
        self._breaker = CircuitBreaker(self.policy.failures_until_down)
        self._index_host = host_of(config.upstream_url)

    def close(self) -> None:
        """Close all connections."""
        self._routes.close()

    def new_transfer(self) -> "Transfer":
        """Return an engine for one thread, which has settings and patience as this has."""
        from bandersnatch.http.transfer import Transfer  # noqa: PLC0415 - a run with nothing new shall import little

        return Transfer(self._config, self.policy)

    def get(self, url: str, headers: Mapping[str, str], limit_bytes: int = MAX_BODY_BYTES) -> Answer:
        """Fetch a whole document.

        Raises:
            NotFoundError: upstream answered 404 or 410.
            UpstreamUnavailableError: no usable answer after all attempts.
            MalformedResponseError: the document is larger than ``limit_bytes``.
        """
        return self._whole("GET", url, headers, None, limit_bytes)

    def post(self, url: str, headers: Mapping[str, str], body: bytes, limit_bytes: int) -> Answer:
        """Post ``body`` and fetch the whole answer; raises what ``get`` raises."""
        return self._whole("POST", url, headers, body, limit_bytes)

    def _whole(self, method: str, url: str, headers: Mapping[str, str], data: bytes | None, limit_bytes: int) -> Answer:
        for attempt in range(1, self.policy.attempts + 1):
            try:
                with self._open(method, url, {"Accept-Encoding": "gzip", **headers}, data) as body:
                    return Answer(body.url, body.status, body.headers, body.whole(limit_bytes))
            except BrokenBodyError as error:
                if attempt == self.policy.attempts or isinstance(error, TimeLimitError):
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    @contextmanager
    def _open(self, method: str, url: str, headers: Mapping[str, str], data: bytes | None) -> Iterator[Body]:
        host = host_of(url)
        self._check_host(url, host)
        try:
            with self._answer(method, url, headers, data) as body:
                yield body
        except RefusedSchemeError:
            raise  # nothing was asked
        except UpstreamUnavailableError:  # no answer, an error status, or a body that broke off
            self._breaker.failed(host)
            raise
        except NotFoundError:
            self._breaker.succeeded(host)
            raise
        else:
            self._breaker.succeeded(host)

    def _check_host(self, url: str, host: str) -> None:
        """Refuse to ask a host that is given up."""
        if self._breaker.is_down(host):
            failures = self.policy.failures_until_down
            reason = f"{host} gave no usable answer to {failures} requests in a row"
            raise HostDownError(without_credentials(url), reason, is_index=host == self._index_host)

    @contextmanager
    def _answer(self, method: str, url: str, headers: Mapping[str, str], data: bytes | None) -> Iterator[Body]:
        timeout, begun = self._config.timeout_seconds, time.monotonic()
        try:
            response = self._send(method, url, headers, data)
        except _NO_ANSWER as error:
            reason = reason_of(error, timeout, self._proxy_to(url))
            raise UpstreamUnavailableError(without_credentials(url), reason) from error
        body = Body(without_credentials(url), response, self._config)
        try:
            _check_status(url, response, self._proxy_to(url))
            yield body
        finally:
            response.close()
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
            location = response.headers.get("Location") if response.status in REDIRECTS else None
            if location is None:
                return response
            response.close()
            url = urldefrag(urljoin(url, location)).url
        raise UpstreamUnavailableError(without_credentials(url), f"more than {MAX_REDIRECTS} redirects")

    def _ask(self, method: str, url: str, headers: Mapping[str, str], data: bytes | None) -> urllib3.BaseHTTPResponse:
        route = self._routes.to(url)
        return route.pool.urlopen(
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


def _target(url: str, route: Route) -> str:
    """Return what of a URL stands in the request itself."""
    if route.wants_whole_urls:
        return url
    target = target_of(url)
    return target if target.startswith("/") else f"/{target}"


def _check_status(url: str, response: urllib3.BaseHTTPResponse, proxy: str) -> None:
    status = response.status
    if status in GONE:
        raise NotFoundError(without_credentials(url))
    if status not in (OK, NOT_MODIFIED):
        who = f"upstream, through the proxy {proxy}," if proxy else "upstream"
        who = f"the proxy {proxy}" if proxy and status == PROXY_WANTS_PASSWORD else who
        reason = f"{who} answered {status} {shown(response.reason or '')}".rstrip()
        raise UpstreamUnavailableError(without_credentials(url), reason, status)
