"""A worker: it receives tasks from the pool, and works on many at a time with one transfer engine of its own.

It is a thread of the main process or a process of its own. In both cases it talks to the pool over a connection.
"""

import ctypes
import gc
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import Connection
from pickle import PicklingError
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.errors import StorageError, gravest
from bandersnatch.http.conversation import Conversation
from bandersnatch.http.driver import Driver
from bandersnatch.http.request import Steps
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.http.transfer import Transfer
from bandersnatch.logs import KeptRecords, keep_records
from bandersnatch.project.job import Result
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.report import Failure
from bandersnatch.state.reservations import Reservation
from bandersnatch.stop import StopFlag
from bandersnatch.storage.layout import StoredPath
from bandersnatch.upstream.index import Upstream

REPLY_SECONDS = 0.05
"""While there is other work, the results of so many seconds are sent together: fewer messages cost less."""
HEARTBEAT_SECONDS = 5.0
"""A worker that has nothing else to tell sends an empty reply after so many seconds: otherwise it is taken for hung."""
_LONGEST_WAIT_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1

WorkFunction = Callable[..., Steps[Any]]
"""A function that a worker can run. Its arguments are the worker's ``JobContext``, and those of the task."""


class Task(Struct, frozen=True):
    """A call for a worker: a function, and its arguments without the context."""

    number: int
    function: WorkFunction
    arguments: tuple[Any, ...]


class Ended(Struct, frozen=True):
    """The result of a task, or its error."""

    number: int
    value: Any
    error: Exception | None


class Reply(Struct, frozen=True):
    """What a worker has done since its last reply. ``changed`` and ``logged`` come from processes only.

    The main process writes the log, and reports changed paths.
    """

    ended: Sequence[Ended]
    received_bytes: int = 0
    changed: Sequence[StoredPath] = ()
    logged: Sequence[logging.LogRecord] = ()


class WorkerSettings(Struct, frozen=True):
    """What all workers have in common; ``threads`` is how many threads of a worker hash large files."""

    context: JobContext
    http: HttpConfig
    limits: RunLimits
    threads: int


class WorkerLimits(Struct, frozen=True):
    """The part of the run's limits that one of the ``workers`` has. It is the first message to a worker.

    ``token`` is in the names of its half-written files and reservations. ``place`` is the number of a process, from 1 on;
    a thread has none.
    """

    token: str
    max_in_flight: int
    workers: int = 1
    place: int = 0


class PoolGoneError(Exception):
    """The connection to the pool is closed: the run has ended, or is being stopped."""


class Worker:
    """Works on the tasks that arrive over a connection, until there are no more or the run is stopped."""

    def __init__(self, context: JobContext, token: str, connection: Connection, driver: Driver) -> None:
        self._context = replace(context, received=self._count)
        # A worker of an earlier pool of this process may have left records under the same token.
        self._name = f"{token}-{os.urandom(8).hex()}"
        self._connection, self._driver = connection, driver
        # `connection.poll` would make a selector for each call, and this is asked for each message.
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._active = self._received_bytes = self._reservations = 0
        self._ended: list[Ended] = []
        self._next_reply, self._last_reply = 0.0, time.monotonic()
        self.changed: list[StoredPath] = []
        self.kept: KeptRecords | None = None

    def work(self) -> None:
        """Work until there are no more tasks, or the run is stopped; tasks that are then under way are abandoned.

        Raises:
            PoolGoneError: nobody is left who takes the results.
        """
        takes_more = True
        while (takes_more or self._active) and not self._context.is_stopped():
            # The wait has a limit, since nothing may arrive that ends it when the run is stopped.
            wait = min(_LONGEST_WAIT_SECONDS, HEARTBEAT_SECONDS)
            self._driver.advance(REPLY_SECONDS if self._ended else wait)
            while takes_more and self._poll.poll(0):
                with _to_pool():
                    tasks: Sequence[Task] | None = self._connection.recv()
                takes_more = tasks is not None
                for task in tasks or ():
                    self._start(task)
            # Log lines must not wait for what takes long, such as a Retry-After; and a worker that is killed loses few.
            if self._has_something_to_tell():
                self._reply()
        self._next_reply = 0  # the last reply waits for nothing
        self._reply()

    def _count(self, size_bytes: int) -> None:
        self._received_bytes += size_bytes

    def _start(self, task: Task) -> None:
        self._active += 1
        self._reservations += 1
        reservation = Reservation(self._context.storage, f"{self._name}-{self._reservations}")
        context = replace(self._context, reservation=reservation)

        def end(value: Any, error: Exception | None) -> None:
            try:
                reservation.close()
            except StorageError as refused:
                value, error = None, gravest(error, refused)
            self._active -= 1
            self._ended.append(Ended(task.number, value, error))
            if error is not None or (isinstance(value, Result) and isinstance(value.outcome, Failure)):
                self._next_reply = (
                    0.0  # an error may end the run, so the main process must see it before it starts more
                )

        self._driver.start(task.function(context, *task.arguments), end)

    def _has_something_to_tell(self) -> bool:
        if self._ended or self._received_bytes or (self.kept is not None and self.kept.has_some()):
            return True
        return time.monotonic() >= self._last_reply + HEARTBEAT_SECONDS

    def _reply(self) -> None:
        """Send what has ended, unless the last reply was a moment ago and there is other work."""
        now = time.monotonic()
        if self._active and now < self._next_reply:
            return
        self._next_reply, self._last_reply = now + REPLY_SECONDS, now
        reply = Reply(
            self._ended, self._received_bytes, list(self.changed), self.kept.take() if self.kept is not None else ()
        )
        self._ended, self._received_bytes = [], 0
        self.changed.clear()
        try:
            self._send(reply)
        except (PicklingError, TypeError, AttributeError):  # an error, caused by a bug of ours, that can't be pickled
            ended = [
                each if each.error is None else replace(each, error=RuntimeError(repr(each.error)))
                for each in reply.ended
            ]
            self._send(replace(reply, ended=ended))

    def _send(self, reply: Reply) -> None:
        with _to_pool():
            self._connection.send(reply)


@contextmanager
def _to_pool() -> Iterator[None]:
    """Only errors of the connection to the pool may end a worker silently."""
    try:
        yield
    except (EOFError, OSError) as error:
        raise PoolGoneError from error


def run_in_thread(settings: WorkerSettings, connection: Connection) -> None:
    """Run a worker in a thread of the main process."""
    own: WorkerLimits = connection.recv()
    with (
        closing(connection),
        closing(Transfer(settings.http, settings.limits, own.max_in_flight)) as transfer,
        closing(Driver(transfer, settings.threads)) as driver,
    ):
        _watch(transfer, connection)
        with suppress(PoolGoneError):
            Worker(settings.context, own.token, connection, driver).work()


def run_in_process(settings: WorkerSettings, connection: Connection, parent: int) -> None:
    """Run a worker in a process that was forked from the main one; it waits until it is given its limits."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes, but the main one stops its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until it has work, it leaves nothing behind
    gc.freeze()  # the collector would write to all objects, and so copy the memory shared with the main process
    if sys.platform == "linux":
        # If the main process dies, the kernel kills this one: the next run must not meet it (prctl(2)).
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return  # the main process died before that took effect
    try:
        own: WorkerLimits = connection.recv()
    except (EOFError, OSError):
        return
    kept = keep_records()
    stop = StopFlag()
    storage = settings.context.storage.twin(own.token)
    storage.room.take_place(own.place)
    settings.limits.take_place(own.place)
    with (
        closing(Conversation(settings.http, settings.limits, stop.wait)) as conversation,
        closing(Transfer(settings.http, settings.limits, own.max_in_flight)) as transfer,
        closing(Driver(transfer, settings.threads)) as driver,
    ):
        context = replace(settings.context, workers=own.workers)
        context = _own_context(context, conversation, settings.http, storage, stop.is_set)

        def end(_number: int, _frame: object) -> None:
            stop.set()
            driver.wake()

        signal.signal(signal.SIGINT, end)
        signal.signal(signal.SIGTERM, end)
        worker = Worker(context, own.token, connection, driver)
        worker.kept = kept
        storage.tell_changes(worker.changed.append)
        _watch(transfer, connection)
        with suppress(PoolGoneError):
            worker.work()
    storage.tidy()


def _watch(transfer: Transfer, connection: Connection) -> None:
    transfer.watch(connection.fileno())


def _own_context(
    context: JobContext, conversation: Conversation, http: HttpConfig, storage: Any, is_stopped: Callable[[], bool]
) -> JobContext:
    """Return the context of a process: that of the main process, but with its own storage and connections."""
    upstream = Upstream(conversation, http.upstream_url)
    documents = replace(context.documents, journal_end=context.documents.journal_end.twin(upstream.journal_end.ask))
    return replace(
        context,
        documents=documents,
        storage=storage,
        publisher=replace(context.publisher, storage=storage, journal_end=documents.journal_end, is_stopped=is_stopped),
        chooser=replace(context.chooser, storage=storage),
        is_stopped=is_stopped,
    )
