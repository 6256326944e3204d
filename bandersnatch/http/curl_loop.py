"""Waits for libcurl's sockets and for other file descriptors with one selector, so that nothing is polled."""

import selectors
import time
from contextlib import suppress
from typing import Any, NamedTuple

import pycurl

_EVENTS = {
    pycurl.POLL_IN: selectors.EVENT_READ,
    pycurl.POLL_OUT: selectors.EVENT_WRITE,
    pycurl.POLL_INOUT: selectors.EVENT_READ | selectors.EVENT_WRITE,
}
_ACTIONS = {
    selectors.EVENT_READ: pycurl.CSELECT_IN,
    selectors.EVENT_WRITE: pycurl.CSELECT_OUT,
    selectors.EVENT_READ | selectors.EVENT_WRITE: pycurl.CSELECT_IN | pycurl.CSELECT_OUT,
}
_NEVER = float("inf")
_MAX_IDLE_CONNECTIONS = 100


class Ended(NamedTuple):
    """A handle whose transfer has ended, with libcurl's code, which is 0 for success, and its message."""

    curl: Any
    code: int
    message: str


class Clock:
    """Counts the seconds in which this process waited for answers; time-outs are measured with it.

    The process's own work between two waits counts only up to a limit. Otherwise a host would seem silent while the process
    is busy.
    """

    def __init__(self, most_seconds_between: float) -> None:
        self.now = 0.0
        self._most_between, self._last = most_seconds_between, time.monotonic()

    def end_work(self) -> None:
        """Count the process's own work, before a wait."""
        now = time.monotonic()
        self.now += min(now - self._last, self._most_between)
        self._last = now

    def end_wait(self) -> None:
        """Count the wait that has ended."""
        now = time.monotonic()
        self.now += now - self._last
        self._last = now


class CurlLoop:
    """libcurl's multi interface, driven by a selector.

    libcurl says which sockets and which timer it waits for; ``socket_action`` tells it which of them are ready
    (https://curl.se/libcurl/c/curl_multi_socket_action.html).
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._watched: set[int] = set()
        self._wanted: dict[int, int] = {}
        """The events that libcurl waits for. The selector learns of them before a wait: most changes undo others."""
        self._registered: dict[int, int] = {}
        self._timer = _NEVER
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._want)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        # The default is four for each handle in use: too few at the end of a run, and too many in its middle.
        self._multi.setopt(pycurl.M_MAXCONNECTS, _MAX_IDLE_CONNECTIONS)

    def add(self, curl: Any) -> None:
        """Start a transfer; ``run_timer`` sends its request."""
        self._multi.add_handle(curl)

    def remove(self, curl: Any) -> None:
        """End a transfer, complete or not; libcurl closes the connection of an incomplete one."""
        self._multi.remove_handle(curl)

    def run_timer(self) -> None:
        """Let libcurl act if its timer is due. Only once: while data arrives fast, the timer is due again immediately."""
        if self._timer <= time.monotonic():
            self._timer = _NEVER
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def wait(self, seconds: float) -> None:
        """Wait until something arrives, up to so many seconds, and let libcurl process it."""
        self._update_selector()
        timeout = max(0.0, min(seconds, self._timer - time.monotonic()))
        self._clock.end_work()
        ready = self._selector.select(timeout)
        self._clock.end_wait()
        for key, events in ready:
            if key.fd not in self._watched:  # one that is watched only ends the wait; it is not libcurl's
                self._multi.socket_action(key.fd, _ACTIONS[events])
        self.run_timer()

    def ended(self) -> list[Ended]:
        """Return the transfers that have ended since the last call; the caller must ``remove`` each."""
        found: list[Ended] = []
        left = 1
        while left:
            left, whole, failed = self._multi.info_read()
            found += [Ended(curl, 0, "") for curl in whole]
            found += [Ended(*failure) for failure in failed]
        return found

    def watch(self, descriptor: int) -> None:
        """Let ``wait`` return when there is something to read on a file descriptor."""
        self._watched.add(descriptor)
        self._selector.register(descriptor, selectors.EVENT_READ)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching a descriptor."""
        self._watched.discard(descriptor)
        self._selector.unregister(descriptor)

    def forget(self, descriptor: int) -> None:
        """Forget a descriptor: its old socket was closed, and a new one has the same number.

        The selector would not notice, since the kernel drops a closed socket without a word (epoll(7)).
        """
        if self._registered.pop(descriptor, None) is not None:
            self._selector.unregister(descriptor)

    def close(self) -> None:
        """Close all connections."""
        self._multi.close()
        self._selector.close()

    def _want(self, event: int, descriptor: int, _multi: Any, _data: Any) -> None:
        if event == pycurl.POLL_REMOVE:
            self._wanted.pop(descriptor, None)
        else:
            self._wanted[descriptor] = event

    def _set_timer(self, milliseconds: int) -> None:
        self._timer = _NEVER if milliseconds < 0 else time.monotonic() + milliseconds / 1000

    def _update_selector(self) -> None:
        wanted, registered = self._wanted, self._registered
        if wanted == registered:
            return
        for descriptor in [descriptor for descriptor in registered if descriptor not in wanted]:
            del registered[descriptor]
            with suppress(KeyError):
                self._selector.unregister(descriptor)
        for descriptor, event in wanted.items():
            known = registered.get(descriptor)
            if known is None:
                self._selector.register(descriptor, _EVENTS[event])
            elif known != event:
                self._selector.modify(descriptor, _EVENTS[event])
            registered[descriptor] = event
