"""The loop that waits for all connections, with a cost that does not grow with those that are idle.

waitress's own loop looks at each connection before each wait: with 2,000 idle ones, an answer took twelve times as long.
This one looks at those with an event or a task, and once a second at all of them, because waitress marks the ones that
were idle for too long.
"""

import select
import selectors
import time
from collections.abc import Callable
from typing import Any


class Connections(dict[int, Any]):
    """waitress's connections, by descriptor; remembers which ones have come or gone."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: set[int] = set()

    def __setitem__(self, descriptor: int, connection: object) -> None:
        super().__setitem__(descriptor, connection)
        self.changed.add(descriptor)

    def __delitem__(self, descriptor: int) -> None:
        super().__delitem__(descriptor)
        self.changed.add(descriptor)


class Loop:
    """Waits for connections, and lets waitress handle their events. To be used by one thread."""

    def __init__(self, connections: Connections, now: Callable[[], float] = time.monotonic) -> None:
        self._connections, self._now = connections, now
        self._selector = selectors.DefaultSelector()
        self._waiting: dict[int, tuple[int, Any]] = {}
        """Which events of which connection are waited for, by descriptor."""
        self._busy: set[int] = set()
        self._next_look = 0.0  # when all of them are looked at

    def turn(self, seconds: float) -> None:
        """Wait for events, for so long at most, and handle them."""
        from waitress import wasyncore  # noqa: PLC0415 - it need not be installed

        now = self._now()
        if now >= self._next_look:
            self._next_look = now + 1
            self._busy.update(self._connections)
        changed, self._connections.changed = self._connections.changed, set()
        for descriptor in self._busy | changed:
            self._renew(descriptor)
        for key, events in self._selector.select(seconds):
            # An earlier event may have closed it; another connection may have got its descriptor.
            if (connection := self._connections.get(key.fd)) is not None and connection is key.data:
                can_read, can_write = events & selectors.EVENT_READ, events & selectors.EVENT_WRITE
                flags = (select.POLLIN if can_read else 0) | (select.POLLOUT if can_write else 0)
                wasyncore.readwrite(connection, flags)
                self._busy.add(key.fd)

    def close(self) -> None:
        """Free what the loop itself has opened."""
        self._selector.close()

    def _renew(self, descriptor: int) -> None:
        """Wait for what the connection needs now."""
        connection = self._connections.get(descriptor)
        # In this order: if no thread works for it now, none will until the next event, and what it needs does not change.
        is_busy = connection is not None and _is_busy(connection)
        events = _events(connection) if connection is not None else 0
        (self._busy.add if is_busy else self._busy.discard)(descriptor)
        waited_for, before = self._waiting.get(descriptor, (0, None))
        if waited_for and (not events or before is not connection):
            self._selector.unregister(descriptor)
            waited_for = 0
        if events and not waited_for:
            self._selector.register(descriptor, events, connection)
        elif events != waited_for:
            self._selector.modify(descriptor, events, connection)
        if events:
            self._waiting[descriptor] = (events, connection)
        else:
            self._waiting.pop(descriptor, None)


def _is_busy(connection: Any) -> bool:
    """Whether a connection may soon need something else, without an event of its own."""
    if connection.accepting:
        return True  # it stops when there are too many connections
    # The requests first: a thread takes one off after it has written its answer.
    return bool(
        getattr(connection, "requests", ())
        or getattr(connection, "total_outbufs_len", 0)
        or getattr(connection, "close_when_flushed", False)
        or getattr(connection, "will_close", False)
    )


def _events(connection: Any) -> int:
    can_write = not connection.accepting and connection.writable()
    return (selectors.EVENT_READ if connection.readable() else 0) | (selectors.EVENT_WRITE if can_write else 0)
