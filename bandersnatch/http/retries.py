"""How often and how soon a request is tried again."""

import random
import re
import threading
import time
from email.utils import parsedate_to_datetime

from msgspec import Struct
from msgspec.structs import replace

_RETRY_AFTER_STATUSES = (413, 429, 503)
"""RFC 9110, section 10.2.3, as urllib3 reads it."""


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

    def shared_by(self, number: int) -> "RetryPolicy":
        """Return the policy of each of so many workers, which together have the patience of one."""
        return replace(
            self,
            retries_per_run=max(1, self.retries_per_run // number),
            failures_until_down=max(1, self.failures_until_down // number),
        )

    def may_retry(self, status: int, retry_after: str | None) -> bool:
        """Whether an answer with this status is asked for again."""
        return status in self.statuses or (retry_after is not None and status in _RETRY_AFTER_STATUSES)

    def pause_seconds(self, failures: int, status: int = 0, retry_after: str | None = None) -> float:
        """Return how long to wait after so many failures in a row; the first retry comes at once."""
        told = _seconds_of(retry_after) if status in _RETRY_AFTER_STATUSES else None
        if told is not None:
            return min(told, self.longest_retry_after_seconds)
        if failures < 2:
            return 0.0
        jitter = random.random() * self.backoff_seconds  # noqa: S311 - so that requests don't come all at once
        return min(self.backoff_seconds * 2.0 ** min(failures - 1, 32) + jitter, self.longest_backoff_seconds)


def _seconds_of(retry_after: str | None) -> float | None:
    """Return the seconds that a Retry-After asks for, be it as a number or as a date; None where it is neither."""
    value = "" if retry_after is None else retry_after.strip()
    if re.fullmatch(r"\d{1,9}", value, re.ASCII):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


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
