"""When a host is given up for the rest of the run: after so many failures in a row."""

import threading

_SUBJECTS_UNTIL_DOWN = 4


class CircuitBreaker:
    """Counts the failures of each host, in a row; after so many, no more is asked of it. Thread-safe.

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

    def failed(self, host: str, subject: str = "") -> None:
        """The host gave none, after all attempts, of which one ``subject`` counts for a part only."""
        with self._guard:
            known = self._of_subjects.setdefault(host, {})
            if subject and known.get(subject, 0) >= self._most_of_one:
                return
            known[subject] = known.get(subject, 0) + 1
            self._failures[host] = self._failures.get(host, 0) + 1
