"""The loop looks at what may have changed, and not at connections that are idle."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from bandersnatch.serving.loop import Connections, Loop
from tests.support.serving import needs_waitress

pytestmark = needs_waitress


class Connection:
    """Stands for a connection of waitress: counts how often it is looked at, and what it reads."""

    accepting = will_close = close_when_flushed = False
    total_outbufs_len = 0

    def __init__(self) -> None:
        self.ours, self.other = socket.socketpair()
        self.requests: list[object] = []
        self.looks = 0
        self.received = b""
        self.wants_to_read, self.wants_to_write, self.written = True, False, 0

    def readable(self) -> bool:
        self.looks += 1
        return self.wants_to_read

    def writable(self) -> bool:
        return self.wants_to_write

    def handle_read_event(self) -> None:
        self.received += self.ours.recv(100)

    def handle_write_event(self) -> None:
        self.written += 1


class Clock:
    now = 1.0

    def __call__(self) -> float:
        return self.now


class Site:
    def __init__(self, stack: ExitStack) -> None:
        self.stack, self.clock, self.map = stack, Clock(), Connections()
        self.loop = Loop(self.map, self.clock)
        stack.callback(self.loop.close)

    def connect(self) -> Connection:
        connection = Connection()
        self.stack.enter_context(connection.ours)
        self.stack.enter_context(connection.other)
        self.map[connection.ours.fileno()] = connection
        return connection


@pytest.fixture
def site() -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(stack)


def test_what_arrives_is_read(site: Site) -> None:
    one, other = site.connect(), site.connect()
    site.loop.turn(0)
    one.other.sendall(b"hello")
    site.loop.turn(0)
    assert (one.received, other.received) == (b"hello", b"")


def test_idle_connections_are_not_looked_at(site: Site) -> None:
    idle = [site.connect() for _ in range(20)]
    one = site.connect()
    site.loop.turn(0)
    before = [connection.looks for connection in idle]
    for _ in range(5):
        one.other.sendall(b"x")
        site.loop.turn(0)
    assert one.received == b"xxxxx"
    assert [connection.looks for connection in idle] == before


def test_all_are_looked_at_once_a_second(site: Site) -> None:
    idle = site.connect()
    site.loop.turn(0)
    before = idle.looks
    site.clock.now += 0.9
    site.loop.turn(0)
    assert idle.looks == before
    site.clock.now += 0.2
    idle.wants_to_write = True  # waitress wants to close it
    site.loop.turn(0)
    assert (idle.looks, idle.written) == (before + 1, 1)


def test_connection_with_a_task_is_looked_at_each_time(site: Site) -> None:
    one = site.connect()
    site.loop.turn(0)
    one.requests, one.wants_to_read = [object()], False
    one.other.sendall(b"x")
    site.loop.turn(0)  # the event was waited for before
    site.loop.turn(0)
    assert one.received == b"x"
    one.requests, one.wants_to_write = [], True  # as a thread does when it is done
    site.loop.turn(0)
    assert one.written == 1


def test_connection_that_wants_nothing_is_not_waited_for(site: Site) -> None:
    one = site.connect()
    one.wants_to_read = False
    one.other.sendall(b"x")
    site.loop.turn(0)
    assert one.received == b""


def test_another_connection_may_get_the_descriptor(site: Site) -> None:
    old = site.connect()
    site.loop.turn(0)
    number = old.ours.fileno()
    del site.map[number]
    old.ours.close()
    new = site.connect()
    assert new.ours.fileno() == number
    new.other.sendall(b"new")
    site.loop.turn(0)
    assert (old.received, new.received) == (b"", b"new")


def test_connection_that_is_gone_is_forgotten(site: Site) -> None:
    old = site.connect()
    site.loop.turn(0)
    del site.map[old.ours.fileno()]
    old.other.sendall(b"x")
    site.loop.turn(0)
    assert old.received == b""
