"""HTTP: sessions, time-outs, retries and size-capped bodies; the errors of requests and urllib3 become ours.

Retries of requests are urllib3's. Only a body that breaks off is started anew here, since urllib3 can't know of that.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import should_bypass_proxies
from urllib3.util.retry import Retry

from bandersnatch import __version__
from bandersnatch.config import HttpConfig
from bandersnatch.errors import BrokenBodyError, MalformedResponseError, NotFoundError, UpstreamUnavailableError

CONTACT_URL = "https://github.com/pypa/bandersnatch/issues"
USER_AGENT = f"bandersnatch/{__version__} (+{CONTACT_URL}) requests/{requests.__version__}"
CHUNK_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
"""More than any page has: the largest project page of PyPI is about a quarter of it."""

_BROKEN_BODY = (urllib3.exceptions.HTTPError, requests.exceptions.RequestException, OSError)
_GONE = (404, 410)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon a request is tried again."""

    attempts: int = 4
    backoff_seconds: float = 0.5
    statuses: tuple[int, ...] = (408, 425, 429, 500, 502, 503, 504)
    longest_retry_after_seconds: int = 120

    def to_urllib3(self) -> Retry:
        """Return the policy as urllib3 wants it; all our requests, POST included, only read."""
        return Retry(
            total=self.attempts - 1,
            status_forcelist=self.statuses,
            backoff_factor=self.backoff_seconds,
            backoff_jitter=self.backoff_seconds,
            backoff_max=30,
            allowed_methods=None,
            raise_on_status=False,
            retry_after_max=self.longest_retry_after_seconds,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of upstream: 200, or 304 without a body."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class Body:
    """A body that is being received; read it once, inside the ``with`` that made it."""

    def __init__(self, url: str, response: requests.Response, timeout_seconds: float) -> None:
        self._url, self._response, self._timeout_seconds = url, response, timeout_seconds

    def chunks(self, *, decode: bool = False) -> Iterator[bytes]:
        """Yield the bytes as they come.

        Raises:
            BrokenBodyError: the body broke off, or upstream fell silent.

        """
        try:
            yield from self._response.raw.stream(CHUNK_BYTES, decode_content=decode)
        except _BROKEN_BODY as error:
            raise BrokenBodyError(self._url, _reason(error, self._timeout_seconds)) from error


class Fetcher:
    """The one way to upstream. Thread-safe: each thread gets a session of its own."""

    def __init__(self, config: HttpConfig, policy: RetryPolicy | None = None) -> None:
        self._config = config
        self._policy = policy or RetryPolicy()
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
    def stream(self, url: str, headers: Mapping[str, str]) -> Iterator[Body]:
        """Open a document for reading piece by piece; raises what ``get`` raises, but for the size."""
        with self._open("GET", url, {"Accept-Encoding": "identity", **headers}, None) as response:
            yield Body(_masked(url), response, self._config.timeout_seconds)

    def _whole(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit_bytes: int) -> Answer:
        for attempt in range(1, self._policy.attempts + 1):
            with self._open(method, url, {"Accept-Encoding": "gzip", **headers}, body) as response:
                try:
                    content = self._read(url, response, limit_bytes)
                except BrokenBodyError:
                    if attempt == self._policy.attempts:
                        raise
                else:
                    return Answer(url, response.status_code, response.headers, content)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _read(self, url: str, response: requests.Response, limit_bytes: int) -> bytes:
        received: list[bytes] = []
        left = limit_bytes
        for chunk in Body(_masked(url), response, self._config.timeout_seconds).chunks(decode=True):
            left -= len(chunk)
            if left < 0:
                raise MalformedResponseError(_masked(url), f"the answer is larger than {limit_bytes} bytes")
            received.append(chunk)
        return b"".join(received)

    @contextmanager
    def _open(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Iterator[requests.Response]:
        self._check_scheme(url)
        timeout = self._config.timeout_seconds
        try:
            response = self._session().request(
                method, url, data=body, headers=dict(headers), stream=True, timeout=timeout, proxies=self._proxies(url)
            )
        except requests.exceptions.RequestException as error:
            raise UpstreamUnavailableError(_masked(url), _reason(error, timeout)) from error
        with response:
            self._check_scheme(response.url)
            if response.status_code in _GONE:
                raise NotFoundError(_masked(url))
            if response.status_code not in (200, 304):
                raise UpstreamUnavailableError(
                    _masked(url), f"upstream answered {response.status_code} {response.reason}"
                )
            yield response

    def _check_scheme(self, url: str) -> None:
        if not url.startswith("https://") and not self._config.allow_non_https:
            raise UpstreamUnavailableError(_masked(url), "not https://, and allow-non-https is false")

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
            adapter = HTTPAdapter(max_retries=self._policy.to_urllib3())
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        return session


def _masked(url: str) -> str:
    """Return the URL without a user's name and password."""
    parts = urlsplit(url)
    if parts.username is None and parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=f"***@{parts.netloc.rpartition('@')[2]}"))


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
