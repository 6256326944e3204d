"""The flag by which a run is asked to stop; the one thing that a signal handler touches."""

import time

_LOOK_SECONDS = 0.1


class StopFlag:
    """Set once, looked at by all threads. A plain attribute and no ``Event``, whose lock a signal handler could meet."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Ask the run to stop."""
        self._is_set = True

    def is_set(self) -> bool:
        """Whether the run was asked to stop."""
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Pause, but not beyond a request to stop; return whether there was one."""
        end = time.monotonic() + seconds
        while not self._is_set and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_SECONDS))
        return self._is_set
