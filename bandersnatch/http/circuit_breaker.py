"""``CircuitBreaker``: gives up a host for the rest of the run after many failures in a row."""

import threading

_SUBJECTS_UNTIL_DOWN = 4
"""A host is down only after failures of so many subjects."""


class CircuitBreaker:
    """Counts the failures in a row of each host; after so many, the host gets no more requests. Thread-safe.

    The failures of one subject count for a part of that only: all files of one project may be forbidden or broken although
    the host works.
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
        """Count a usable answer, which may be a 404. A host that is given up stays given up."""
        if self._failures.get(host):  # first without the lock, since this is called for every answer
            with self._guard:
                if not self.is_down(host):
                    self._failures[host] = 0
                    self._of_subjects.pop(host, None)

    def failed(self, host: str, subject: str = "") -> None:
        """Count a request that got no usable answer after all its attempts."""
        with self._guard:
            known = self._of_subjects.setdefault(host, {})
            if subject and known.get(subject, 0) >= self._most_of_one:
                return
            known[subject] = known.get(subject, 0) + 1
            self._failures[host] = self._failures.get(host, 0) + 1
