"""How often and how soon a request is tried again, by numbers; ``retry_rules`` decides on each attempt by them."""

import random
import re
import time
from email.utils import parsedate_to_datetime

from msgspec import Struct

_RETRY_AFTER_STATUSES = (413, 429, 503)
"""RFC 9110, section 10.2.3, as urllib3 reads it."""


class RetryPolicy(Struct, frozen=True):
    """How often, how soon and after what a request is retried.

    All our requests may be repeated, since all of them only read; even POST, which XML-RPC uses.
    """

    attempts: int = 4
    backoff_seconds: float = 0.5
    longest_backoff_seconds: float = 30.0
    statuses: tuple[int, ...] = (408, 425, 429, *range(500, 600))
    longest_retry_after_seconds: int = 120
    retries_per_run: int = 5_000
    """After so many retries nothing is retried any more: a run that needs more of them would take for ever.

    All engines and conversations of a run spend them together (``RunLimits``).
    """
    failures_until_down: int = 20
    """A host is down after so many requests in a row without a usable answer, each after all its attempts.

    One project counts for at most a quarter of that. All workers and conversations of a run count together, in a row without
    a usable answer to any of them (``CircuitBreaker``): else an outage would take longer to see, the more workers there are.
    """

    def may_retry(self, status: int, retry_after: str | None) -> bool:
        """Whether a request is retried after an answer with this status."""
        return status in self.statuses or (retry_after is not None and status in _RETRY_AFTER_STATUSES)

    def pause_seconds(self, failures: int, status: int = 0, retry_after: str | None = None) -> float:
        """Return how long to wait after so many failures in a row; the first retry is immediate."""
        told = _seconds_of(retry_after) if status in _RETRY_AFTER_STATUSES else None
        if told is not None:
            return min(told, self.longest_retry_after_seconds)
        if failures < 2:
            return 0.0
        # Jitter, so that requests that failed together are not retried together.
        jitter = random.random() * self.backoff_seconds  # noqa: S311 - it need not be secret
        doublings = min(failures - 1, 32)  # so that very many failures don't overflow
        return min(self.backoff_seconds * 2.0**doublings + jitter, self.longest_backoff_seconds)


def _seconds_of(retry_after: str | None) -> float | None:
    """Return the seconds until the time that a Retry-After names, as a number or a date; None if it is neither."""
    value = "" if retry_after is None else retry_after.strip()
    if re.fullmatch(r"\d{1,9}", value, re.ASCII):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
