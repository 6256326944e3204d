"""A request with all its attempts, and the rules for retries, which are here and nowhere else."""

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar
from urllib.parse import urldefrag, urljoin

from msgspec import Struct

from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.errors import (
    BrokenBodyError,
    HostDownError,
    IntegrityError,
    MalformedResponseError,
    NotFoundError,
    RangeRefusedError,
    RefusedSchemeError,
    TimeLimitError,
    TransientFaultError,
    UpstreamUnavailableError,
)
from bandersnatch.http.attempt import Attempt
from bandersnatch.http.request import MAX_REDIRECTS, PROXY_WANTS_PASSWORD, RANGE_NOT_SATISFIABLE, REDIRECTS, Request
from bandersnatch.http.routes import KEPT_ROUTES, host_of, origin_of
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.http.trust import HostTrust
from bandersnatch.shown_text import shown, without_credentials

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_BROKEN_BODIES = 3
"""How often a body that can be resumed may be interrupted. An attempt that reached its time limit with progress is free."""
PROGRESS_BYTES = 1024 * 1024
"""An attempt that received so much has made progress."""


_host_of = lru_cache(KEPT_ROUTES)(host_of)


class Pending(Generic[T]):
    """A request that has not ended yet. ``done`` is called with its result or its error."""

    def __init__(self, request: Request[T], done: Callable[[T | None, Exception | None], None] | None = None) -> None:
        self.request, self._done = request, done
        self.go_to(request.url)
        self.host = _host_of(self.origin)
        """The host to which the circuit breaker counts failures; it stays the same after redirects."""
        self.headers: Mapping[str, str] | None = None
        """The header fields of the current attempt; None if none has begun."""
        self.needs_new_connection = False
        """Whether the next attempt gets a connection of its own."""
        self.redirects = self.failures = self.broken = self.wrong = self.faults = 0
        """Redirects so far; failures in a row without an answer; bodies that were interrupted, that were wrong, or that
        told of a transient fault.
        """
        self.doubted_status: int | None = None
        """The status of an answer on a used connection, which may have been the answer to another request."""
        self.followed_status: int | None = None
        """The status of a redirect on a used connection that was followed, although it may have been that, too."""
        self.value: T | None = None
        self.error: Exception | None = None

    def go_to(self, url: str) -> None:
        """Make the next attempt at another URL."""
        self.url, self.origin = url, origin_of(url)
        self.target = url[len(self.origin) :]

    def begin_attempt(self) -> Mapping[str, str]:
        """Return the header fields of the next attempt. A redirect continues the attempt, with the same ones."""
        if self.headers is None:
            more = self.request.receiver.headers()
            self.headers = {**self.request.headers, **more} if more else self.request.headers
        return self.headers

    def abort(self, error: Exception) -> Exception:
        """End the attempt, if one has begun; return the error, or the one raised while the receiver cleaned up."""
        if self.headers is None:
            return error
        self.headers = None
        try:
            self.request.receiver.abort(error)
        except Exception as failure:  # noqa: BLE001 - it is passed to whoever started the request
            return failure
        return error

    def finish(self) -> None:
        """Pass the result or the error to ``done``, if there is one."""
        if self._done is not None:
            self._done(self.value, self.error)


class Retry(Struct, frozen=True):
    """The decision to make another attempt, after so many seconds."""

    pause_seconds: float = 0.0


class RetryRules:
    """Decides what happens to a request after an attempt. Its methods return None if the request has ended."""

    def __init__(self, limits: RunLimits, config: HttpConfig) -> None:
        self._limits, self._policy, self._may_ask = limits, limits.policy, config.may_ask
        self._index_host = host_of(config.upstream_url)
        self._breaker = limits.breaker
        self.trust = HostTrust()

    def check(self, pending: Pending[Any]) -> None:
        """Check that the next attempt may be made.

        Raises:
            HostDownError: the host is given up.
            RefusedSchemeError: the configuration does not allow this URL.
        """
        url, host = pending.url, pending.host
        if self._breaker.is_down(host):
            reason = f"{host} gave no usable answer to {self._policy.failures_until_down} requests in a row"
            raise HostDownError(without_credentials(url), reason, is_index=host == self._index_host)
        if not self._may_ask(url):
            raise RefusedSchemeError(without_credentials(url))

    def after(self, pending: Pending[Any], attempt: Attempt) -> Retry | None:
        """Return the next attempt to make after one has ended, or None."""
        # On a new connection the answer is another one. So the first was not the answer to this request.
        if attempt.status and pending.doubted_status not in (None, attempt.status):
            self.trust.distrust(host_of(pending.origin))
        pending.doubted_status = None
        if attempt.takes_body:
            error = attempt.error
            return self._after_body(pending, attempt, error) if error is not None else self._read(pending, attempt)
        if attempt.error is None:
            return self._after_status(pending, attempt)
        if attempt.is_permanent:
            return self.fail(pending, attempt.error)
        if attempt.is_garbled_on_used_connection and not pending.needs_new_connection:
            self.trust.distrust(host_of(pending.origin))
            return self._retry_on_new_connection(pending)
        return self._retry(pending, attempt.error, None)

    def fail(self, pending: Pending[Any], error: Exception) -> Retry | None:
        """End the request with an error, unless a doubtful redirect led to it."""
        if pending.followed_status is not None:
            pending.doubted_status, pending.followed_status = pending.followed_status, None
            pending.redirects = pending.failures = 0
            pending.abort(error)
            pending.go_to(pending.request.url)
            return self._retry_on_new_connection(pending)
        pending.error = pending.abort(error)
        # With these two no request was sent, so they say nothing about the host.
        if isinstance(error, UpstreamUnavailableError) and not isinstance(error, RefusedSchemeError | HostDownError):
            self._breaker.failed(pending.host, pending.request.subject)
        return None

    # After a body

    def _read(self, pending: Pending[Any], attempt: Attempt) -> Retry | None:
        try:
            pending.value = pending.request.receiver.end()
        except Exception as error:  # noqa: BLE001 - it is passed to whoever started the request
            return self._after_body(pending, attempt, error)
        self._breaker.succeeded(pending.host)
        return None

    def _after_body(self, pending: Pending[Any], attempt: Attempt, error: Exception) -> Retry | None:
        error, pending.failures = pending.abort(error), 0
        match error:
            case BrokenBodyError():
                return self._after_broken_body(pending, attempt, error)
            case TransientFaultError():
                return self._after_fault(pending, error)
            case IntegrityError() | RangeRefusedError():
                # Once more: the receiver now fetches the whole document, if the fault was in a part that was resumed.
                pending.wrong += 1
                return self._retry_on_new_connection(pending) if pending.wrong == 1 else self.fail(pending, error)
            case MalformedResponseError() if attempt.is_on_used_connection and not pending.needs_new_connection:
                return self._retry_on_new_connection(pending)
            case _:
                return self.fail(pending, error)

    def _after_broken_body(self, pending: Pending[Any], attempt: Attempt, error: BrokenBodyError) -> Retry | None:
        can_resume, is_late = pending.request.receiver.can_resume, isinstance(error, TimeLimitError)
        # A large file on a slow line gets as many attempts as it needs, if each of them makes progress.
        has_progressed = can_resume and attempt.body_bytes >= PROGRESS_BYTES
        if has_progressed:
            self._breaker.succeeded(pending.host)
        pending.broken += not (has_progressed and is_late)
        most = MAX_BROKEN_BODIES if can_resume else self._policy.attempts
        is_over = pending.broken >= most or (is_late and not can_resume)
        if is_over or not (has_progressed or self._limits.take_retry()):
            return self.fail(pending, error)
        return Retry(0.0 if has_progressed else self._policy.pause_seconds(pending.broken))

    def _after_fault(self, pending: Pending[Any], error: TransientFaultError) -> Retry | None:
        pending.faults += 1
        if pending.faults >= self._policy.attempts or not self._limits.take_retry():
            return self.fail(pending, error)
        # Not at once, as after other failures: the server is there, and has said that it is not able to answer.
        pause = error.pause_seconds or self._policy.pause_seconds(pending.faults + 1)
        logger.warning("%s; the next attempt is in %g s", error, round(pause, 1))
        return Retry(pause)

    # After an answer that is not a document

    def _after_status(self, pending: Pending[Any], attempt: Attempt) -> Retry | None:
        status, location = attempt.status, attempt.fields.get("Location")
        if status in REDIRECTS and location is not None:
            if attempt.is_on_used_connection and pending.followed_status is None:
                pending.followed_status = status
            return self._follow(pending, location)
        error = _error_of(attempt, pending.request.gone)
        retry_after = attempt.fields.get("Retry-After")
        may_pass = self._policy.may_retry(status, retry_after)
        if attempt.is_on_used_connection and not may_pass and not isinstance(error, RangeRefusedError):
            pending.doubted_status = status
            return self._retry_on_new_connection(pending)
        if isinstance(error, RangeRefusedError):
            return self._after_body(pending, attempt, error)
        if may_pass:
            return self._retry(pending, error, retry_after, status)
        if isinstance(error, NotFoundError):  # which is a usable answer
            self._breaker.succeeded(pending.host)
        return self.fail(pending, error)

    def _follow(self, pending: Pending[Any], location: str) -> Retry | None:
        pending.redirects += 1
        pending.failures = 0  # it was answered
        if pending.redirects > MAX_REDIRECTS:
            reason = f"more than {MAX_REDIRECTS} redirects"
            return self.fail(pending, UpstreamUnavailableError(without_credentials(pending.url), reason))
        try:
            pending.go_to(urldefrag(urljoin(pending.url, location)).url)
        except ValueError as error:
            return self.fail(pending, UpstreamUnavailableError(without_credentials(pending.url), str(error)))
        return Retry()

    @staticmethod
    def _retry_on_new_connection(pending: Pending[Any]) -> Retry:
        pending.needs_new_connection = True
        return Retry()

    def _retry(self, pending: Pending[Any], error: Exception, retry_after: str | None, status: int = 0) -> Retry | None:
        pending.failures += 1
        told = pending.abort(error)  # if the receiver fails as it cleans up, such as by the disk, that is final
        if told is not error or pending.failures >= self._policy.attempts or not self._limits.take_retry():
            return self.fail(pending, told)
        # The failure may be the late answer to another request, and more of those may follow on its connection.
        pending.needs_new_connection = True
        return Retry(self._policy.pause_seconds(pending.failures, status, retry_after))


def _error_of(attempt: Attempt, gone: tuple[int, ...]) -> Exception:
    status, proxy = attempt.status, attempt.route.proxy
    if status in gone and not attempt.is_of_proxy:
        return NotFoundError(attempt.url)
    if status == RANGE_NOT_SATISFIABLE and "Range" in attempt.sent:
        return RangeRefusedError(attempt.url)
    who = f"upstream, through the proxy {proxy}," if proxy else "upstream"
    if proxy and (status == PROXY_WANTS_PASSWORD or attempt.is_of_proxy):
        who = f"the proxy {proxy}"
    reason = f"{who} answered {status} {shown(attempt.reason)}".rstrip()
    return UpstreamUnavailableError(attempt.url, reason, status)
