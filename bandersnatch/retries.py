"""How often and how soon a request is tried again, and when a host is given up for the rest of the run."""

import threading
from typing import TYPE_CHECKING, Any, Self

from msgspec import Struct
from urllib3.exceptions import MaxRetryError
from urllib3.util.retry import Retry

from bandersnatch.connections import is_later

if TYPE_CHECKING:
    from urllib3.connectionpool import ConnectionPool
    from urllib3.response import BaseHTTPResponse


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
    """So many requests in a row to one host without a usable answer, each after all its attempts, and it is down."""


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


class HostHealth:
    """A circuit breaker for each host: after so many failures in a row, no more is asked of it. Thread-safe."""

    def __init__(self, failures_until_down: int) -> None:
        self._failures_until_down = failures_until_down
        self._failures: dict[str, int] = {}
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

    def failed(self, host: str) -> None:
        """The host gave none, after all attempts."""
        with self._guard:
            self._failures[host] = self._failures.get(host, 0) + 1
