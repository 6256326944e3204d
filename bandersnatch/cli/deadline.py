"""Ends the process where a run that was asked to stop does not come to it in time.

A run looks at its flag often, but not within a flush of a busy disk, or while a very long answer is read.
"""

import threading
from collections.abc import Callable

from bandersnatch.stop import StopFlag

SECONDS = 1.6
_LOOK_SECONDS = 3600.0


class StopDeadline:
    """Watches a flag from a thread of its own, until ``cancel``; ``end`` is called where a run does not stop in time."""

    def __init__(self, stop: StopFlag, end: Callable[[], object], seconds: float = SECONDS) -> None:
        self._stop, self._end, self._seconds = stop, end, seconds
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stop-deadline", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Watch no longer: the run has ended by itself."""
        self._is_over.set()

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            pass
        if not self._is_over.wait(self._seconds):
            self._end()
