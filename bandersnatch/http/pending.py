"""A request through all its attempts, and the rules by which another one is made. Retries stand here, and nowhere else."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar
from urllib.parse import urldefrag, urljoin

from msgspec import Struct

from bandersnatch.errors import (
    BrokenBodyError,
    HostDownError,
    IntegrityError,
    MalformedResponseError,
    NotFoundError,
    RangeRefusedError,
    RefusedSchemeError,
    TimeLimitError,
    UpstreamUnavailableError,
    shown,
    without_credentials,
)
from bandersnatch.http.circuit_breaker import CircuitBreaker
from bandersnatch.http.curl_errors import NEVER_BETTER, is_of_proxy, reason_of
from bandersnatch.http.curl_handle import CurlHandle
from bandersnatch.http.curl_loop import Ended
from bandersnatch.http.request import (
    GONE,
    MAX_REDIRECTS,
    PROXY_WANTS_PASSWORD,
    RANGE_NOT_SATISFIABLE,
    REDIRECTS,
    Request,
)
from bandersnatch.http.retries import RetryBudget, RetryPolicy
from bandersnatch.http.routes import KEPT_ROUTES, host_of, origin_of
from bandersnatch.http.trust import HostTrust

T = TypeVar("T")

MOST_BROKEN_BODIES = 3
"""So often a body that can be resumed may break off, but for time limits within which it gets on."""
GETS_ON_BYTES = 1024 * 1024


_host_of = lru_cache(KEPT_ROUTES)(host_of)


class Pending(Generic[T]):
    """A request that is not done yet."""

    def __init__(self, request: Request[T], done: Callable[[T | None, Exception | None], None]) -> None:
        self.request, self._done = request, done
        self.go_to(request.url)
        self.host = _host_of(self.origin)
        """Which the circuit breaker counts for, wherever that redirects to."""
        self.headers: Mapping[str, str] | None = None
        """The header fields of this attempt; None before it begins."""
        self.is_fresh = False
        """Whether the next attempt is made on a connection of its own."""
        self.redirects = self.failures = self.broken = self.wrong = 0
        self.doubted_status: int | None = None
        self.value: T | None = None
        self.error: Exception | None = None

    def go_to(self, url: str) -> None:
        """Ask there next."""
        self.url, self.origin = url, origin_of(url)
        self.target = url[len(self.origin) :]

    def begin_attempt(self) -> Mapping[str, str]:
        """Return the header fields of the next attempt, which are the same after a redirect."""
        if self.headers is None:
            more = self.request.receiver.headers()
            self.headers = {**self.request.headers, **more} if more else self.request.headers
        return self.headers

    def break_off(self, error: Exception) -> Exception:
        """End the attempt, if one has begun; return the error, or what went wrong while the receiver cleaned up."""
        if self.headers is None:
            return error
        self.headers = None
        try:
            self.request.receiver.break_off(error)
        except Exception as failure:  # noqa: BLE001 - whoever started the request is told
            return failure
        return error

    def finish(self) -> None:
        """Tell whoever started it."""
        self._done(self.value, self.error)


class Again(Struct, frozen=True):
    """Another attempt is to be made, after so many seconds."""

    pause_seconds: float = 0.0


class RetryRules:
    """Decides what becomes of a request after an attempt. Its methods return None where the request is done."""

    def __init__(self, policy: RetryPolicy, timeout_seconds: float, may_ask: Callable[[str], bool]) -> None:
        self._policy, self._timeout, self._may_ask = policy, timeout_seconds, may_ask
        self._budget = RetryBudget(policy.retries_per_run)
        self.breaker = CircuitBreaker(policy.failures_until_down)
        self.trust = HostTrust()

    def after(self, pending: Pending[Any], attempt: CurlHandle, ended: Ended) -> Again | None:
        """Return whether another attempt is to be made, now that one has ended."""
        if attempt.status and pending.doubted_status not in (None, attempt.status):
            self.trust.lose(host_of(pending.origin))
        pending.doubted_status = None
        if attempt.takes_body:
            error = attempt.error or self._broken(attempt, ended)
            return self._after_body(pending, attempt, error) if error is not None else self._read(pending, attempt)
        if attempt.error is None and attempt.status:
            return self._after_status(pending, attempt)
        error = attempt.error or UpstreamUnavailableError(attempt.url, self._reason(attempt, ended))
        if ended.code in NEVER_BETTER and attempt.error is None:
            return self.fail(pending, error)
        return self._retry(pending, error, None)

    def fail(self, pending: Pending[Any], error: Exception) -> Again | None:
        """The request is done, and has no answer."""
        pending.error = pending.break_off(error)
        if isinstance(error, UpstreamUnavailableError) and not isinstance(error, RefusedSchemeError | HostDownError):
            self.breaker.failed(pending.host, pending.request.subject)
        return None

    def _broken(self, attempt: CurlHandle, ended: Ended) -> Exception | None:
        if ended.code:
            return BrokenBodyError(attempt.url, self._reason(attempt, ended))
        return BrokenBodyError(attempt.url, "the body broke off") if attempt.is_cut_short else None

    def _reason(self, attempt: CurlHandle, ended: Ended) -> str:
        reason = reason_of(attempt.curl, ended.code, ended.message, self._timeout)
        proxy = attempt.route.proxy
        is_at_proxy = proxy and not attempt.status and (is_of_proxy(ended.code) or not attempt.is_tunnel_open)
        return f"the proxy {proxy}: {reason}" if is_at_proxy else reason

    # After a body

    def _read(self, pending: Pending[Any], attempt: CurlHandle) -> Again | None:
        try:
            pending.value = pending.request.receiver.end()
        except Exception as error:  # noqa: BLE001 - whoever started the request is told
            return self._after_body(pending, attempt, error)
        self.breaker.succeeded(pending.host)
        return None

    def _after_body(self, pending: Pending[Any], attempt: CurlHandle, error: Exception) -> Again | None:
        error, pending.failures = pending.break_off(error), 0
        match error:
            case BrokenBodyError():
                return self._after_broken_body(pending, attempt, error)
            case IntegrityError() | RangeRefusedError():
                pending.wrong += 1
                return self._ask_anew(pending) if pending.wrong == 1 else self.fail(pending, error)
            case MalformedResponseError() if attempt.is_later and not pending.is_fresh:
                return self._ask_anew(pending)
            case _:
                return self.fail(pending, error)

    def _after_broken_body(self, pending: Pending[Any], attempt: CurlHandle, error: BrokenBodyError) -> Again | None:
        can_resume, is_late = pending.request.receiver.can_resume, isinstance(error, TimeLimitError)
        # A large file on a slow line takes as many time limits as it needs, if it gets on in each of them.
        gets_on = can_resume and is_late and attempt.body_bytes >= GETS_ON_BYTES
        pending.broken += not gets_on
        most = MOST_BROKEN_BODIES if can_resume else self._policy.attempts
        self.fail(pending, error)
        if pending.broken >= most or (is_late and not can_resume):
            return None
        pending.error = None
        return Again()

    # After an answer that is no document

    def _after_status(self, pending: Pending[Any], attempt: CurlHandle) -> Again | None:
        status, location = attempt.status, attempt.fields.get("Location")
        if status in REDIRECTS and location is not None:
            return self._follow(pending, location)
        error = _error_of(attempt)
        retry_after = attempt.fields.get("Retry-After")
        may_pass = self._policy.may_retry(status, retry_after)
        if attempt.is_later and not may_pass and status != RANGE_NOT_SATISFIABLE:
            pending.doubted_status = status
            return self._ask_anew(pending)
        if isinstance(error, RangeRefusedError):
            return self._after_body(pending, attempt, error)
        if may_pass:
            return self._retry(pending, error, retry_after, status)
        if isinstance(error, NotFoundError):
            self.breaker.succeeded(pending.host)
        return self.fail(pending, error)

    def _follow(self, pending: Pending[Any], location: str) -> Again | None:
        pending.redirects += 1
        pending.failures = 0
        if pending.redirects > MAX_REDIRECTS:
            reason = f"more than {MAX_REDIRECTS} redirects"
            return self.fail(pending, UpstreamUnavailableError(without_credentials(pending.url), reason))
        try:
            pending.go_to(urldefrag(urljoin(pending.url, location)).url)
        except ValueError as error:
            return self.fail(pending, UpstreamUnavailableError(without_credentials(pending.url), str(error)))
        return Again()

    @staticmethod
    def _ask_anew(pending: Pending[Any]) -> Again:
        pending.is_fresh = True
        return Again()

    def _retry(self, pending: Pending[Any], error: Exception, retry_after: str | None, status: int = 0) -> Again | None:
        pending.failures += 1
        told = pending.break_off(error)
        if told is not error or pending.failures >= self._policy.attempts or not self._budget.take():
            return self.fail(pending, told)
        # What failed may have been the answer to another request, and more may follow on its connection.
        pending.is_fresh = True
        return Again(self._policy.pause_seconds(pending.failures, status, retry_after))


def _error_of(attempt: CurlHandle) -> Exception:
    status, proxy = attempt.status, attempt.route.proxy
    if status in GONE and not attempt.is_of_proxy:
        return NotFoundError(attempt.url)
    if status == RANGE_NOT_SATISFIABLE and "Range" in attempt.sent:
        return RangeRefusedError(attempt.url)
    who = f"upstream, through the proxy {proxy}," if proxy else "upstream"
    if proxy and (status == PROXY_WANTS_PASSWORD or attempt.is_of_proxy):
        who = f"the proxy {proxy}"
    reason = f"{who} answered {status} {shown(attempt.reason)}".rstrip()
    return UpstreamUnavailableError(attempt.url, reason, status)
