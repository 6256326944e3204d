"""The flag that asks a run to stop; it is all that a signal handler touches."""

import time

_LOOK_SECONDS = 0.1


class StopFlag:
    """Set once, read by all threads.

    It is a plain attribute and not a ``threading.Event``: a signal handler could deadlock on the lock of an ``Event``.
    """

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Ask the run to stop."""
        self._is_set = True

    def is_set(self) -> bool:
        """Whether the run was asked to stop."""
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Sleep until the time is up or the run is asked to stop; return whether it was."""
        end = time.monotonic() + seconds
        while not self._is_set and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_SECONDS))
        return self._is_set
