"""Waits for libcurl's sockets, and for others: one selector, so that nothing is polled."""

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
_MOST_KEPT_CONNECTIONS = 100


class Ended(NamedTuple):
    """A handle whose transfer has ended, with libcurl's code, which is 0 where all went well, and its words."""

    curl: Any
    code: int
    message: str


class Clock:
    """Counts the seconds in which this process waited for answers.

    Its own work in between counts up to a bound. Else a host would seem silent while this process hashes a large file.
    """

    def __init__(self, most_seconds_between: float) -> None:
        self.now = 0.0
        self._most_between, self._last = most_seconds_between, time.monotonic()

    def end_work(self) -> None:
        """Work is done, and waiting begins."""
        now = time.monotonic()
        self.now += min(now - self._last, self._most_between)
        self._last = now

    def end_wait(self) -> None:
        """Something has come."""
        now = time.monotonic()
        self.now += now - self._last
        self._last = now


class CurlLoop:
    """libcurl's multi interface, driven by what the selector tells.

    libcurl says which sockets and which timer it waits for, and is told by ``socket_action`` what has come
    (https://curl.se/libcurl/c/curl_multi_socket_action.html).
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._watched: set[int] = set()
        self._wanted: dict[int, int] = {}
        """The events that libcurl waits for. They go to the selector before it waits, since most changes undo others."""
        self._registered: dict[int, int] = {}
        self._timer = _NEVER
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._want)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        # By default four for each handle in use, which would be few at the end of a run, and too many in its middle.
        self._multi.setopt(pycurl.M_MAXCONNECTS, _MOST_KEPT_CONNECTIONS)

    def add(self, curl: Any) -> None:
        """Begin a transfer; its request is sent by ``kick``."""
        self._multi.add_handle(curl)

    def remove(self, curl: Any) -> None:
        """End a transfer, whole or not; the connection of one that is not whole is closed."""
        self._multi.remove_handle(curl)

    def kick(self) -> None:
        """Do what libcurl's timer asks for, if it is due. Only once: where data comes fast, it is due again at once."""
        if self._timer <= time.monotonic():
            self._timer = _NEVER
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def wait(self, seconds: float) -> None:
        """Wait until something has come, up to so long, and see to it."""
        self._tell_selector()
        timeout = max(0.0, min(seconds, self._timer - time.monotonic()))
        self._clock.end_work()
        ready = self._selector.select(timeout)
        self._clock.end_wait()
        for key, events in ready:
            if key.fd not in self._watched:
                self._multi.socket_action(key.fd, _ACTIONS[events])
        self.kick()

    def ended(self) -> list[Ended]:
        """Return what has ended since the last call; each is still to be removed."""
        found: list[Ended] = []
        left = 1
        while left:
            left, whole, failed = self._multi.info_read()
            found += [Ended(curl, 0, "") for curl in whole]
            found += [Ended(*failure) for failure in failed]
        return found

    def watch(self, descriptor: int) -> None:
        """Let ``wait`` return when there is something to read there."""
        self._watched.add(descriptor)
        self._selector.register(descriptor, selectors.EVENT_READ)

    def unwatch(self, descriptor: int) -> None:
        """Watch a descriptor no more."""
        self._watched.discard(descriptor)
        self._selector.unregister(descriptor)

    def forget(self, descriptor: int) -> None:
        """Drop what the selector knows of a descriptor: the old socket is closed, and a new one has its number."""
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

    def _tell_selector(self) -> None:
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
