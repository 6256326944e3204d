"""How often and how soon a request is tried again, and when a host is given up for the rest of the run."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

from msgspec import Struct
from urllib3.exceptions import MaxRetryError
from urllib3.util.retry import Retry

from bandersnatch.http.connections import is_later

if TYPE_CHECKING:
    from urllib3.connectionpool import ConnectionPool
    from urllib3.response import BaseHTTPResponse


_SUBJECTS_UNTIL_DOWN = 4
_subject: ContextVar[str] = ContextVar("subject", default="")


@contextmanager
def asking_about(subject: str) -> Iterator[None]:
    """Let what fails in this thread within the block count as trouble of one subject, such as a project."""
    token = _subject.set(subject)
    try:
        yield
    finally:
        _subject.reset(token)


class RetryPolicy(Struct, frozen=True):
    """The limits of patience. All our requests, POST included, only read, and so all of them may be repeated."""

    attempts: int = 4
    backoff_seconds: float = 0.5
    longest_backoff_seconds: float = 30.0
    statuses: tuple[int, ...] = (408, 425, 429, *range(500, 600))
    longest_retry_after_seconds: int = 120
    retries_per_run: int = 5_000
    """A run whose upstream needs more than that is not worth going on with: errors are final from then on."""
    failures_until_down: int = 20
    """So many requests in a row to one host without a usable answer, each after all its attempts, and it is down.

    One project counts for a quarter of that at the most.
    """


class RetryBudget:
    """The retries that are left for a run. Thread-safe."""

    def __init__(self, retries: int) -> None:
        self._left = retries
        self._guard = threading.Lock()

    def take(self) -> bool:
        """Take one retry, and return whether there was one left."""
        with self._guard:
            self._left -= 1
            return self._left >= 0


class BudgetedRetry(Retry):
    """urllib3's retries, which also draw on the budget of the run."""

    def __init__(self, *args: Any, budget: RetryBudget, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._budget = budget

    @classmethod
    def of(cls, policy: RetryPolicy, budget: RetryBudget) -> Self:
        """Return the policy as urllib3 wants it."""
        return cls(
            budget=budget,
            total=policy.attempts - 1,
            status_forcelist=policy.statuses,
            backoff_factor=policy.backoff_seconds,
            backoff_jitter=policy.backoff_seconds,
            backoff_max=policy.longest_backoff_seconds,
            allowed_methods=None,
            raise_on_status=False,
            retry_after_max=policy.longest_retry_after_seconds,
        )

    def new(self, **changes: Any) -> Self:
        """Return a copy with changes; urllib3 makes one for each attempt."""
        return super().new(budget=self._budget, **changes)

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: "BaseHTTPResponse | None" = None,
        error: Exception | None = None,
        _pool: "ConnectionPool | None" = None,
        _stacktrace: Any = None,
    ) -> Self:
        """Count an attempt; raises urllib3's ``MaxRetryError`` where there may be no other."""
        if response is not None and is_later(response):
            response.close()  # it may be the answer to another question: the next attempt gets a new connection
        following = super().increment(method, url, response, error, _pool, _stacktrace)
        if not self._budget.take():
            assert _pool is not None, "urllib3 always names the pool"
            raise MaxRetryError(_pool, url or "", error)
        return following


class CircuitBreaker:
    """A circuit breaker for each host: after so many failures in a row, no more is asked of it. Thread-safe.

    A subject counts for a part of that only: the files of one project may all be forbidden, or broken, on a host that is
    well.
    """

    def __init__(self, failures_until_down: int) -> None:
        self._failures_until_down = failures_until_down
        self._most_of_one = max(1, failures_until_down // _SUBJECTS_UNTIL_DOWN)
        self._failures: dict[str, int] = {}
        self._of_subjects: dict[str, dict[str, int]] = {}
        self._guard = threading.Lock()

    def is_down(self, host: str) -> bool:
        """Whether the host is given up."""
        return self._failures.get(host, 0) >= self._failures_until_down

    def succeeded(self, host: str) -> None:
        """The host gave a usable answer, 404 included; one that is given up stays so."""
        if self._failures.get(host):
            with self._guard:
                if not self.is_down(host):
                    self._failures[host] = 0
                    self._of_subjects.pop(host, None)

    def failed(self, host: str) -> None:
        """The host gave none, after all attempts."""
        subject = _subject.get()
        with self._guard:
            known = self._of_subjects.setdefault(host, {})
            if subject and known.get(subject, 0) >= self._most_of_one:
                return
            known[subject] = known.get(subject, 0) + 1
            self._failures[host] = self._failures.get(host, 0) + 1
