"""``RunLimits``: what conversations and engines of a run share: the retries that are spent, and the hosts that are down.

The requests in flight are not among that: each worker's engine has its part of them (``workers/link.py``).
"""

import threading

from bandersnatch.http.circuit_breaker import CircuitBreaker
from bandersnatch.http.retry_policy import RetryPolicy
from bandersnatch.http.shared_words import SharedWords

_SPENT = 0


class RunLimits:
    """The retry policy of a run, and how much of it all its processes have used. Thread-safe."""

    def __init__(self, policy: RetryPolicy | None = None) -> None:
        self.policy = policy or RetryPolicy()
        self.breaker = CircuitBreaker(self.policy.failures_until_down)
        self._guard = threading.Lock()
        self._words = SharedWords(1)
        """For each process: the retries that it has spent."""

    def share(self, processes: int) -> None:
        """Count from now on what so many processes use, too, which are forked later."""
        spent = self._words.sum(_SPENT)
        self._words.share(processes)
        self._words[_SPENT] = spent
        self.breaker.share(processes)

    def take_place(self, place: int) -> None:
        """Be the process of that place, from 1 on. A spare process goes on with the numbers of the one that it replaces."""
        self._words.take_place(place)
        self.breaker.take_place(place)

    def take_retry(self) -> bool:
        """Use one retry; return False if none was left. Processes that take the last ones at once may get one more each."""
        with self._guard:
            if self._words.sum(_SPENT) >= self.policy.retries_per_run:
                return False
            self._words[self._words.own_place + _SPENT] += 1
            return True
