"""A worker: it takes jobs from the main process, and works on many at a time over one engine of its own.

It is a thread of the main process or a process beside it, and talks to the pool over a connection in both cases.
"""

import ctypes
import gc
import logging
import os
import secrets
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from pickle import PicklingError
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.config.config import HttpConfig
from bandersnatch.errors import InterruptedRunError
from bandersnatch.http.conversation import Conversation
from bandersnatch.http.driver import Driver
from bandersnatch.http.request import Steps
from bandersnatch.http.retries import RetryPolicy
from bandersnatch.http.transfer import Transfer
from bandersnatch.logs import KeptRecords, keep_records
from bandersnatch.project.job import Result
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.report import Failure
from bandersnatch.state.reservations import Reservation
from bandersnatch.storage.layout import StoredPath
from bandersnatch.upstream.index import Upstream

REPLY_SECONDS = 0.05
"""Results of so long a time are sent together, while there is other work."""
_PR_SET_PDEATHSIG = 1

WorkFunction = Callable[..., Steps[Any]]
"""What a worker is asked for: it gets the ``JobContext`` of the worker, and the arguments of the job."""


class Task(Struct, frozen=True):
    """One job: a function, and its arguments but for the context."""

    number: int
    function: WorkFunction
    arguments: tuple[Any, ...]


class Ended(Struct, frozen=True):
    """What came of a task."""

    number: int
    value: Any
    error: Exception | None


class Reply(Struct, frozen=True):
    """What a worker has done since its last reply; what a process of its own has changed, and has to log."""

    ended: Sequence[Ended]
    received_bytes: int = 0
    changed: Sequence[StoredPath] = ()
    logged: Sequence[logging.LogRecord] = ()


class WorkerSettings(Struct, frozen=True):
    """What a worker is made from; ``threads`` hash large files."""

    context: JobContext
    http: HttpConfig
    threads: int


class Share(Struct, frozen=True):
    """A worker's part of what all ``workers`` of a run may do: the first that it is told.

    ``token`` tells its traces from those of others. ``place`` is the number of a process, from 1 on; a thread has none.
    """

    token: str
    policy: RetryPolicy
    most_in_flight: int
    workers: int = 1
    place: int = 0


class Worker:
    """Works on the tasks that come over a connection, until that is closed or the run is stopped."""

    def __init__(self, context: JobContext, token: str, connection: Connection, driver: Driver) -> None:
        self._context = replace(context, received=self._count)
        # A worker of an earlier pool of this process may have left records under the same token.
        self._name = f"{token}-{secrets.token_hex(8)}"
        self._connection, self._driver = connection, driver
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._active = self._received_bytes = self._reservations = 0
        self._ended: list[Ended] = []
        self._next_reply = 0.0
        self.changed: list[StoredPath] = []
        self.kept: KeptRecords | None = None

    def work(self) -> None:
        """Work until there is nothing more to do, or the run is stopped; what is under way then is given up.

        Raises:
            EOFError, OSError: the pool is gone.
        """
        takes_more = True
        while (takes_more or self._active) and not self._context.is_stopped():
            self._driver.advance(REPLY_SECONDS if self._ended else 1.0)
            while takes_more and self._poll.poll(0):
                tasks: Sequence[Task] | None = self._connection.recv()
                takes_more = tasks is not None
                for task in tasks or ():
                    self._start(task)
            if self._ended or self._received_bytes:
                self._reply()
        self._next_reply = 0
        self._reply()

    def _count(self, size_bytes: int) -> None:
        self._received_bytes += size_bytes

    def _start(self, task: Task) -> None:
        self._active += 1
        self._reservations += 1
        reservation = Reservation(self._context.storage, f"{self._name}-{self._reservations}")
        context = replace(self._context, reservation=reservation)

        def end(value: Any, error: Exception | None) -> None:
            reservation.close()
            self._active -= 1
            self._ended.append(Ended(task.number, value, error))
            if error is not None or (isinstance(value, Result) and isinstance(value.outcome, Failure)):
                self._next_reply = 0.0  # it may mean that no others are to be begun

        self._driver.start(task.function(context, *task.arguments), end)

    def _reply(self) -> None:
        """Send what has ended, unless more is likely to end soon."""
        now = time.monotonic()
        if self._active and now < self._next_reply:
            return
        self._next_reply = now + REPLY_SECONDS
        reply = Reply(
            self._ended, self._received_bytes, list(self.changed), self.kept.take() if self.kept is not None else ()
        )
        self._ended, self._received_bytes = [], 0
        self.changed.clear()
        try:
            self._connection.send(reply)
        except (PicklingError, TypeError, AttributeError):  # an error that can't be sent, of a bug of ours
            ended = [
                each if each.error is None else replace(each, error=RuntimeError(repr(each.error)))
                for each in reply.ended
            ]
            self._connection.send(replace(reply, ended=ended))


def be_thread(settings: WorkerSettings, connection: Connection) -> None:
    """Be a worker in a thread of the main process."""
    share: Share = connection.recv()
    with (
        closing(connection),
        closing(Transfer(settings.http, share.policy, share.most_in_flight)) as transfer,
        closing(Driver(transfer, settings.threads)) as driver,
    ):
        _watch(transfer, connection)
        with suppress(EOFError, OSError, InterruptedRunError):  # the run has ended, or is to be ended
            Worker(settings.context, share.token, connection, driver).work()


def be_process(settings: WorkerSettings, connection: Connection, parent: int) -> None:
    """Be a worker in a process of its own, which was forked from the main one, and waits until it is needed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever types it means the main process, which ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.freeze()  # the memory of the main process stays shared if the collector does not touch it
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(
            _PR_SET_PDEATHSIG, signal.SIGKILL
        )  # the next run must not meet the workers of a dead one
    if os.getppid() != parent:
        return
    try:
        share: Share = connection.recv()
    except (EOFError, OSError):
        return
    kept = keep_records()
    is_stopped = False
    storage = settings.context.storage.twin(share.token)
    storage.room.take_place(share.place)
    with (
        closing(Conversation(settings.http, share.policy)) as conversation,
        closing(Transfer(settings.http, share.policy, share.most_in_flight)) as transfer,
        closing(Driver(transfer, settings.threads)) as driver,
    ):
        context = replace(settings.context, workers=share.workers)
        context = _own_context(context, conversation, settings.http, storage, lambda: is_stopped)

        def stop(_number: int, _frame: object) -> None:
            nonlocal is_stopped
            is_stopped = True
            driver.wake()

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        worker = Worker(context, share.token, connection, driver)
        worker.kept = kept
        storage.tell_changes(worker.changed.append)
        _watch(transfer, connection)
        with suppress(EOFError, OSError, InterruptedRunError):  # the run has ended, or is to be ended
            worker.work()
    storage.tidy()


def _watch(transfer: Transfer, connection: Connection) -> None:
    transfer.watch(connection.fileno())


def _own_context(
    context: JobContext, conversation: Conversation, http: HttpConfig, storage: Any, is_stopped: Callable[[], bool]
) -> JobContext:
    """Return what a process works with: as the main process does, but with storage and connections of its own."""
    upstream = Upstream(conversation, http.upstream_url, lambda _: False)
    documents = replace(context.documents, journal_end=context.documents.journal_end.twin(upstream.journal_end.ask))
    return replace(
        context,
        documents=documents,
        storage=storage,
        publisher=replace(context.publisher, storage=storage, journal_end=documents.journal_end, is_stopped=is_stopped),
        chooser=replace(context.chooser, storage=storage),
        is_stopped=is_stopped,
    )
