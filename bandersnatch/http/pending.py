"""A request through all its attempts, and the rules by which another one is made. Retries stand here, and nowhere else."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar
from urllib.parse import urldefrag, urljoin

from msgspec import Struct

from bandersnatch.config.config import HttpConfig
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
from bandersnatch.http.attempt import Attempt
from bandersnatch.http.circuit_breaker import CircuitBreaker
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
"""How often a body that can be resumed may break off. A time limit does not count where enough has come before it."""
GETS_ON_BYTES = 1024 * 1024


_host_of = lru_cache(KEPT_ROUTES)(host_of)


class Pending(Generic[T]):
    """A request that is not done yet."""

    def __init__(self, request: Request[T], done: Callable[[T | None, Exception | None], None] | None = None) -> None:
        self.request, self._done = request, done
        self.go_to(request.url)
        self.host = _host_of(self.origin)
        """The host that the circuit breaker counts for; it stays the same after redirects."""
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
        """Tell whoever started it, unless they have waited for it."""
        if self._done is not None:
            self._done(self.value, self.error)


class Again(Struct, frozen=True):
    """Another attempt is to be made, after so many seconds."""

    pause_seconds: float = 0.0


class RetryRules:
    """Decides what becomes of a request after an attempt. Its methods return None where the request is done."""

    def __init__(self, policy: RetryPolicy, config: HttpConfig) -> None:
        self._policy, self._may_ask = policy, config.may_ask
        self._index_host = host_of(config.upstream_url)
        self._budget = RetryBudget(policy.retries_per_run)
        self._breaker = CircuitBreaker(policy.failures_until_down)
        self.trust = HostTrust()

    def check(self, pending: Pending[Any]) -> None:
        """Check that the next attempt may be made.

        Raises:
            HostDownError: the host is given up.
            RefusedSchemeError: nothing is asked there.
        """
        url, host = pending.url, pending.host
        if self._breaker.is_down(host):
            reason = f"{host} gave no usable answer to {self._policy.failures_until_down} requests in a row"
            raise HostDownError(without_credentials(url), reason, is_index=host == self._index_host)
        if not self._may_ask(url):
            raise RefusedSchemeError(without_credentials(url))

    def after(self, pending: Pending[Any], attempt: Attempt) -> Again | None:
        """Return whether another attempt is to be made, now that one has ended."""
        if attempt.status and pending.doubted_status not in (None, attempt.status):
            self.trust.lose(host_of(pending.origin))
        pending.doubted_status = None
        if attempt.takes_body:
            error = attempt.error
            return self._after_body(pending, attempt, error) if error is not None else self._read(pending, attempt)
        if attempt.error is None:
            return self._after_status(pending, attempt)
        if attempt.is_hopeless:
            return self.fail(pending, attempt.error)
        return self._retry(pending, attempt.error, None)

    def fail(self, pending: Pending[Any], error: Exception) -> Again | None:
        """End the request with an error."""
        pending.error = pending.break_off(error)
        if isinstance(error, UpstreamUnavailableError) and not isinstance(error, RefusedSchemeError | HostDownError):
            self._breaker.failed(pending.host, pending.request.subject)
        return None

    # After a body

    def _read(self, pending: Pending[Any], attempt: Attempt) -> Again | None:
        try:
            pending.value = pending.request.receiver.end()
        except Exception as error:  # noqa: BLE001 - whoever started the request is told
            return self._after_body(pending, attempt, error)
        self._breaker.succeeded(pending.host)
        return None

    def _after_body(self, pending: Pending[Any], attempt: Attempt, error: Exception) -> Again | None:
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

    def _after_broken_body(self, pending: Pending[Any], attempt: Attempt, error: BrokenBodyError) -> Again | None:
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

    def _after_status(self, pending: Pending[Any], attempt: Attempt) -> Again | None:
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
            self._breaker.succeeded(pending.host)
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


def _error_of(attempt: Attempt) -> Exception:
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
