"""Ends the process if a run that was asked to stop does not stop in time.

A run checks its flag often, but not while a busy disk is flushed, or while a very long answer is parsed.
"""

import threading
from collections.abc import Callable

from bandersnatch.stop import StopFlag

SECONDS = 1.6
_LOOK_SECONDS = 0.1


class StopDeadline:
    """Watches a flag in a thread of its own, until ``cancel``; calls ``end`` if the run does not stop in time."""

    def __init__(self, stop: StopFlag, end: Callable[[], object], seconds: float = SECONDS) -> None:
        self._stop, self._end, self._seconds = stop, end, seconds
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stop-deadline", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Stop watching, also if nobody asked the run to stop: it has ended on its own."""
        self._is_over.set()

    def _watch(self) -> None:
        while not self._stop.is_set():
            if self._is_over.wait(_LOOK_SECONDS):
                return
        if not self._is_over.wait(self._seconds):
            self._end()
