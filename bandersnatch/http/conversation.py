"""``Conversation``: HTTP with requests and urllib3, for the journal and the list of all projects.

All other documents are fetched by ``transfer``. There are few requests here, and a run depends on each of them; so each
gets a connection of its own, on which no late answer to another request can arrive. The rules for retries are in
``retry_rules``, for both.
"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, TypeVar

import urllib3

from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.errors import (
    BrokenBodyError,
    InterruptedRunError,
    MirrorError,
    TimeLimitError,
    UpstreamUnavailableError,
)
from bandersnatch.http.attempt import Attempt
from bandersnatch.http.bounded_connection import AttemptTimeoutError, BoundedConnection, EndlessAnswerError
from bandersnatch.http.decompression import ACCEPTED_ENCODINGS, decoder_of
from bandersnatch.http.document import MAX_BODY_BYTES, Answer, whole
from bandersnatch.http.reasons import reason_of
from bandersnatch.http.request import NOT_MODIFIED, OK, Head, Receiver, Request
from bandersnatch.http.retry_rules import Pending, Retry, RetryRules
from bandersnatch.http.routes import Route, Routes
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.shown_text import without_credentials

if TYPE_CHECKING:
    from bandersnatch.http.transfer import Transfer

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

_CHUNK_BYTES = 256 * 1024
_NO_ANSWER = (EndlessAnswerError, urllib3.exceptions.HTTPError, HTTPException, ValueError, OSError)


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


class Conversation:
    """Sends one request at a time and waits for its answer. Thread-safe.

    ``wait(seconds)`` sleeps before a retry, and returns whether the run was asked to stop meanwhile.
    """

    def __init__(
        self, config: HttpConfig, limits: RunLimits | None = None, wait: Callable[[float], bool] = _sleep
    ) -> None:
        self._config, self.limits, self._wait = config, limits or RunLimits(), wait
        self._routes = Routes(config)
        self._rules = RetryRules(self.limits, config)
        self._timeout = urllib3.Timeout(config.timeout_seconds, config.timeout_seconds)

    def close(self) -> None:
        """Close all connections."""
        self._routes.close()

    def new_transfer(self) -> "Transfer":
        """Return an engine for one thread, with the same settings and limits."""
        from bandersnatch.http.transfer import Transfer  # noqa: PLC0415 - a run with nothing new need not import pycurl

        return Transfer(self._config, self.limits)

    def get(self, url: str, headers: Mapping[str, str], limit_bytes: int = MAX_BODY_BYTES) -> Answer:
        """Fetch a whole document.

        Raises:
            NotFoundError: upstream answered 404 or 410.
            UpstreamUnavailableError: no usable answer after all attempts.
            MalformedResponseError: the document is larger than ``limit_bytes``.
            InterruptedRunError: the run was asked to stop before a retry.
        """
        return self._finish("GET", None, Request(url, whole(limit_bytes), headers))

    def post(self, url: str, headers: Mapping[str, str], body: bytes, receiver: Receiver[_T]) -> _T:
        """Post ``body`` and return what ``receiver`` makes of the answer; raises what ``get`` and the receiver raise."""
        return self._finish("POST", body, Request(url, receiver, headers))

    def _finish(self, method: str, body: bytes | None, request: Request[_T]) -> _T:
        pending = Pending(request)
        retry: Retry | None = Retry()
        while retry is not None:
            if retry.pause_seconds > 0 and self._wait(retry.pause_seconds):
                raise InterruptedRunError
            try:
                self._rules.check(pending)
                route = self._routes.to(pending.url)
            except UpstreamUnavailableError as error:
                retry = self._rules.fail(pending, error)
            else:
                retry = self._rules.after(pending, self._attempt(method, body, pending, route))
        if pending.error is not None:
            raise pending.error
        value: Any = pending.value  # without an error there is one; it may be None
        result: _T = value
        return result

    def _attempt(self, method: str, body: bytes | None, pending: Pending[_T], route: Route) -> Attempt:
        attempt, begun = Attempt(), time.monotonic()
        attempt.url, attempt.route = without_credentials(pending.url), route
        target = pending.target if pending.target.startswith("/") else f"/{pending.target}"
        attempt.sent = {**route.headers, "Accept-Encoding": ACCEPTED_ENCODINGS, **pending.begin_attempt()}
        try:
            response = route.pool.urlopen(
                method,
                pending.url if route.wants_whole_urls else target,
                body=body,
                headers=attempt.sent,
                retries=False,  # `retry_rules` decides on them
                timeout=self._timeout,
                redirect=False,  # each redirect is checked first
                assert_same_host=False,  # through a proxy, the pool is to another host than the URL
                preload_content=False,  # the body is taken piece by piece, within its limits
                decode_content=False,  # `decompression` does that, within its limits too
            )
            with closing(response):
                _receive(response, attempt, pending.request.receiver)
        except MirrorError as error:
            attempt.error = error
        except _NO_ANSWER as error:
            attempt.error = self._error_of(attempt, error)
            attempt.is_permanent = isinstance(error, ValueError)  # a header or a URL that can't be sent
        seconds = time.monotonic() - begun
        logger.debug(
            "%s %s: %d, %d bytes, %.3f s", method, attempt.url, attempt.status, attempt.received_bytes, seconds
        )
        return attempt

    def _error_of(self, attempt: Attempt, error: Exception) -> Exception:
        if isinstance(error, AttemptTimeoutError):
            return TimeLimitError(attempt.url, self._config.global_timeout_seconds)
        reason = reason_of(error, self._config.timeout_seconds, attempt.route.proxy)
        if isinstance(error, EndlessAnswerError):
            reason = f"no end of the answer: {error}"
        return (BrokenBodyError if attempt.takes_body else UpstreamUnavailableError)(attempt.url, reason)


def _receive(response: urllib3.BaseHTTPResponse, attempt: Attempt, receiver: Receiver[Any]) -> None:
    """Take an answer as it arrives; pass the body of a document to its receiver."""
    attempt.status, attempt.reason, attempt.fields = response.status, response.reason or "", response.headers
    if attempt.status != OK and not (attempt.status == NOT_MODIFIED and "If-None-Match" in attempt.sent):
        return
    attempt.takes_body = True
    receiver.begin(Head(attempt.url, attempt.status, attempt.fields))
    connection = response.connection
    decoder = decoder_of(attempt.url, attempt.fields.get("Content-Encoding", ""))
    # `read1` returns what is there. `read` would wait until the buffer is full, and no limit of speed could be checked.
    while chunk := response.read1(_CHUNK_BYTES, decode_content=False):
        attempt.received_bytes += len(chunk)
        if isinstance(connection, BoundedConnection):
            connection.reader.body_bytes += len(chunk)
        for piece in decoder.pieces(chunk) if decoder is not None else (chunk,):
            receiver.write(piece)
    if decoder is not None and decoder.is_cut_short:
        raise BrokenBodyError(attempt.url, "the body broke off")
