"""HTTP: sessions, time-outs, retries and size-capped bodies; the errors of requests and urllib3 become ours.

Retries of requests are urllib3's. Only a body that breaks off is started anew here, since urllib3 can't know of that.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import should_bypass_proxies

from bandersnatch import __version__
from bandersnatch.config import HttpConfig
from bandersnatch.errors import (
    BrokenBodyError,
    HostDownError,
    MalformedResponseError,
    NotFoundError,
    RangeRefusedError,
    UpstreamUnavailableError,
    without_credentials,
)
from bandersnatch.retries import BudgetedRetry, HostHealth, RetryBudget, RetryPolicy

logger = logging.getLogger(__name__)

CONTACT_URL = "https://github.com/pypa/bandersnatch/issues"
USER_AGENT = f"bandersnatch/{__version__} (+{CONTACT_URL}) requests/{requests.__version__}"
CHUNK_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
"""More than any page has: the largest project page of PyPI is about a quarter of it."""

_BROKEN_BODY = (urllib3.exceptions.HTTPError, requests.exceptions.RequestException, OSError)
OK, PARTIAL_CONTENT, NOT_MODIFIED, RANGE_NOT_SATISFIABLE = 200, 206, 304, 416
_GONE = (404, 410)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of upstream: 200, or 304 without a body."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class Body:
    """The body of an answer that is being received; read it once, inside the ``with`` that made it.

    ``offset`` is where in the document it begins: above zero only where that was asked for.
    """

    def __init__(self, url: str, response: requests.Response, timeout_seconds: float) -> None:
        self.url, self.status, self.headers = url, response.status_code, response.headers
        self._response, self._timeout_seconds = response, timeout_seconds
        self.offset = 0
        self.received_bytes = 0

    @property
    def etag(self) -> str | None:
        """The document's ETag, or None."""
        return self.headers.get("ETag")

    def chunks(self, *, decode: bool = False) -> Iterator[bytes]:
        """Yield the bytes as they come.

        Raises:
            BrokenBodyError: the body broke off, or upstream fell silent.
        """
        try:
            for chunk in self._response.raw.stream(CHUNK_BYTES, decode_content=decode):
                self.received_bytes += len(chunk)
                yield chunk
        except _BROKEN_BODY as error:
            raise BrokenBodyError(self.url, _reason(error, self._timeout_seconds)) from error

    def whole(self, limit_bytes: int) -> bytes:
        """Return the decoded body.

        Raises:
            BrokenBodyError: as ``chunks`` does.
            MalformedResponseError: it is larger than ``limit_bytes``.
        """
        received: list[bytes] = []
        for chunk in self.chunks(decode=True):
            received.append(chunk)
            if self.received_bytes > limit_bytes:
                raise MalformedResponseError(self.url, f"the answer is larger than {limit_bytes} bytes")
        return b"".join(received)


@dataclass(frozen=True, slots=True)
class Resume:
    """From where a broken-off download is to go on, and the ETag and size of the document that it was."""

    offset: int
    etag: str
    size: int

    def is_answered_by(self, headers: Mapping[str, str]) -> bool:
        """Whether a partial answer is the rest of that document (RFC 9110, section 15.3.7)."""
        wanted = f"bytes {self.offset}-{self.size - 1}/{self.size}"
        return headers.get("Content-Range", "").strip() == wanted and headers.get("ETag", self.etag) == self.etag


class Fetcher:
    """The one way to upstream. Thread-safe: each thread gets a session of its own."""

    def __init__(self, config: HttpConfig, policy: RetryPolicy | None = None) -> None:
        self._config = config
        self._policy = policy or RetryPolicy()
        self._budget = RetryBudget(self._policy.retries_per_run)
        self._health = HostHealth(self._policy.failures_until_down)
        parts = urlsplit(config.upstream_url)
        self._index_host = _host(config.upstream_url)
        self._credentials = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for session in self._sessions:
                session.close()

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

    @contextmanager
    def stream(self, url: str, resume: "Resume | None" = None) -> Iterator[Body]:
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

    def _whole(self, method: str, url: str, headers: Mapping[str, str], data: bytes | None, limit_bytes: int) -> Answer:
        for attempt in range(1, self._policy.attempts + 1):
            try:
                with self._open(method, url, {"Accept-Encoding": "gzip", **headers}, data) as body:
                    return Answer(body.url, body.status, body.headers, body.whole(limit_bytes))
            except BrokenBodyError:
                if attempt == self._policy.attempts:
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    @contextmanager
    def _open(self, method: str, url: str, headers: Mapping[str, str], data: bytes | None) -> Iterator[Body]:
        self._check_scheme(url)
        host = _host(url)
        if self._health.is_down(host):
            failures = self._policy.failures_until_down
            reason = f"{host} gave no usable answer to {failures} requests in a row"
            raise HostDownError(without_credentials(url), reason, is_index=host == self._index_host)
        timeout, begun = self._config.timeout_seconds, time.monotonic()
        try:
            response = self._session().request(
                method,
                url,
                data=data,
                headers=dict(headers),
                auth=self._credentials if host == self._index_host else None,
                stream=True,
                timeout=timeout,
                proxies=self._proxies(url),
            )
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            self._health.failed(host)
            raise UpstreamUnavailableError(without_credentials(url), _reason(error, timeout)) from error
        with response:
            for step in (*response.history, response):
                self._check_scheme(step.url)
            body = Body(without_credentials(url), response, timeout)
            try:
                _check_status(url, response, headers)
                yield body
            except UpstreamUnavailableError:  # an error status, or a body that broke off
                self._health.failed(host)
                raise
            except NotFoundError:
                self._health.succeeded(host)
                raise
            else:
                self._health.succeeded(host)
            finally:
                seconds = time.monotonic() - begun
                logger.debug("%s %s: %d, %d bytes, %.3f s", method, body.url, body.status, body.received_bytes, seconds)

    def _check_scheme(self, url: str) -> None:
        if not url.startswith("https://") and not self._config.allow_non_https:
            raise UpstreamUnavailableError(without_credentials(url), "not https://, and allow-non-https is false")

    def _proxies(self, url: str) -> dict[str, str] | None:
        """Return the configured proxy, where NO_PROXY does not speak against it; requests knows the environment's."""
        proxy = self._config.proxy
        if not proxy or should_bypass_proxies(url, no_proxy=None):
            return None
        return {"http": proxy, "https": proxy}

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.headers.clear()
            session.headers["User-Agent"] = USER_AGENT
            adapter = HTTPAdapter(max_retries=BudgetedRetry.of(self._policy, self._budget))
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        return session


def _check_status(url: str, response: requests.Response, headers: Mapping[str, str]) -> None:
    status = response.status_code
    if status in _GONE:
        raise NotFoundError(without_credentials(url))
    if status == RANGE_NOT_SATISFIABLE and "Range" in headers:
        raise RangeRefusedError(without_credentials(url))
    if status not in (OK, NOT_MODIFIED) and not (status == PARTIAL_CONTENT and "Range" in headers):
        raise UpstreamUnavailableError(without_credentials(url), f"upstream answered {status} {response.reason}")


def _host(url: str) -> str:
    """Return host and port of a URL; an impossible one is found out when it is asked for."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]


def _reason(error: BaseException, timeout_seconds: float) -> str:
    """Say in a few words why a request failed; requests nests its causes several levels deep."""
    chain = _causes(error)
    through = "the proxy: " if any(isinstance(cause, urllib3.exceptions.ProxyError) for cause in chain) else ""
    for cause in chain:
        match cause:
            case urllib3.exceptions.NameResolutionError():
                return f"{through}the host's name can't be resolved"
            case urllib3.exceptions.NewConnectionError():
                break  # a kind of ConnectTimeoutError in urllib3, although it is none; its own cause tells more
            case urllib3.exceptions.ConnectTimeoutError():
                return f"{through}no connection within {timeout_seconds:g} s"
            case urllib3.exceptions.ReadTimeoutError():
                return f"{through}no answer for {timeout_seconds:g} s"
            case urllib3.exceptions.IncompleteRead():
                return "the body broke off"
            case _:
                continue
    deepest = chain[-1]
    if isinstance(deepest, OSError) and deepest.strerror:
        return through + deepest.strerror
    return through + (str(deepest) or type(deepest).__name__)


def _causes(error: BaseException) -> list[BaseException]:
    """Return the error and what caused it, outermost first; each library keeps the cause in another place."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        places = (getattr(cause, "reason", None), *cause.args, cause.__cause__)
        cause = next((place for place in places if isinstance(place, BaseException)), None)
    return chain
