"""``Link``: a worker as the pool sees it: its process or thread, and the connection to it."""

import logging
import multiprocessing
import os
import select
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.project.job_context import JobContext
from bandersnatch.stop import StopFlag
from bandersnatch.workers.worker import Reply, WorkerLimits, WorkerSettings, run_in_process, run_in_thread

logger = logging.getLogger(__name__)

WORKER, SPARE = "worker", "spare worker"

MAX_JOBS = 32
"""How many jobs a worker has at a time at most."""
JOBS_PER_REQUEST = 4
"""How many jobs a worker has at most for each request that it may have in flight: jobs that wait take memory."""
MAX_HASH_THREADS = 4
"""How many threads of a worker may hash large files, or wait for the disk."""
SPARE_PROCESSES = 3
"""How many lost workers are replaced. The spare processes are forked with the others: once there are threads, a fork is not
safe.
"""
JOIN_SECONDS = 0.5
POLL_SECONDS = 1.0
MAX_STOPPED_POLLS = 10
"""A worker that is stopped (SIGSTOP) at so many polls in a row is given up. If a whole run is stopped and continued, as by
Ctrl-Z and ``fg``, the main process does not poll meanwhile, so no worker is given up.
"""
MAX_SILENT_POLLS = 600
"""A worker from which no message came in so many polls is given up. A healthy one sends a message every few seconds
(``worker.HEARTBEAT_SECONDS``), even while it waits for upstream. Polls at which it waits for the disk don't count.
"""
_STOPPED, _WAITS_FOR_DISK = (b"T", b"t"), b"D"


class Link:
    """One worker and the connection to it; ``under_way`` has the futures of its tasks, by their numbers.

    A spare process has no ``limits`` until it takes the place of a lost worker.
    """

    def __init__(
        self,
        connection: Connection,
        worker: "BaseProcess | threading.Thread",
        stop: StopFlag,
        limits: WorkerLimits | None = None,
    ) -> None:
        self.connection, self._worker, self._stop, self.limits = connection, worker, stop, limits
        self.is_thread = isinstance(worker, threading.Thread)
        self.under_way: dict[int, Future[Any]] = {}
        self.is_lost = False
        self._threads: list[threading.Thread] = []
        # Not the connection's own `poll`, which makes a selector for each reply.
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    @property
    def capacity(self) -> int:
        """How many jobs the worker may have at a time."""
        return min(MAX_JOBS, JOBS_PER_REQUEST * self.most_in_flight)

    @property
    def most_in_flight(self) -> int:
        """How many requests the worker may have in flight."""
        return 0 if self.limits is None else self.limits.max_in_flight

    @property
    def may_get_more(self) -> bool:
        """Whether it has at most half of the jobs that it may have: so messages are few and large, and it never runs dry."""
        number = len(self.under_way)
        return not self.is_lost and (2 * number <= self.capacity or number < self.most_in_flight)

    def begin(self, feed: Callable[["Link"], None], listen: Callable[["Link"], None]) -> None:
        """Send the worker its limits, and start the threads that talk to it."""
        if isinstance(self._worker, threading.Thread):
            self._worker.start()
        else:
            self._worker.name = WORKER
        with suppress(OSError):  # if it is dead, the listening thread notices
            self.connection.send(self.limits)
        self._threads = [threading.Thread(target=each, args=(self,), daemon=True) for each in (feed, listen)]
        for thread in self._threads:
            thread.start()

    def receive(self) -> Reply:
        """Return the next reply.

        Raises:
            EOFError, OSError: the worker has ended, or has been stopped or silent for so long that it is given up.
        """
        stopped = silent = 0
        while not self._poll.poll(POLL_SECONDS * 1000):
            state = self._state()
            stopped = stopped + 1 if state in _STOPPED else 0
            silent += state not in (None, _WAITS_FOR_DISK)
            if stopped == MAX_STOPPED_POLLS or silent == MAX_SILENT_POLLS:
                what = "is stopped" if stopped == MAX_STOPPED_POLLS else "does not answer"
                logger.warning("a worker process %s; it is ended, and its work is done by others", what)
                raise EOFError
        reply: Reply = self.connection.recv()
        return reply

    def _state(self) -> bytes | None:
        """Return the letter for the state of a process; a thread has none."""
        if isinstance(self._worker, threading.Thread):
            return None
        # proc_pid_stat(5): the state follows the name of the program, which is in brackets and may contain brackets.
        with open(f"/proc/{self._worker.pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0]

    def join(self) -> None:
        """Wait until the worker has ended and all its replies were taken."""
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Tell the worker to end; it deletes its half-written files first."""
        self._stop.set()
        if not isinstance(self._worker, threading.Thread) and not self.is_lost:
            self._worker.terminate()

    def end(self) -> bool:
        """Give the worker a moment to end; kill a process that does not. Return whether it was killed, by us or others."""
        self._worker.join(JOIN_SECONDS)
        self.kill()
        if not self._worker.is_alive():
            for thread in self._threads:
                thread.join(JOIN_SECONDS)  # the listening thread may still take replies
        return not isinstance(self._worker, threading.Thread) and self._worker.exitcode != 0

    def kill(self) -> None:
        """Make sure that a process touches nothing any more; a thread can't be killed."""
        if not isinstance(self._worker, threading.Thread):
            self._worker.kill()
            self._worker.join()


class PoolSize(Struct, frozen=True):
    """How many workers there are, and how many spare processes take the places of those that are lost."""

    workers: int = 1
    spares: int = 0


def start_processes(context: JobContext, http: HttpConfig, limits: RunLimits, size: PoolSize) -> list[Link]:
    """Start so many workers, and spare ones that wait without limits; fewer if the system has no room for them."""
    links: list[Link] = []
    context.storage.room.share(size.workers)  # before the forks, since it makes memory that the processes share
    limits.share(size.workers)
    settings = WorkerSettings(context, http, limits, min(http.workers, MAX_HASH_THREADS))
    try:
        while len(links) < size.workers + size.spares:
            links.append(_start_process(settings))
    except OSError as error:  # the system has no memory or no processes left; the run works with fewer, too
        logger.warning("a worker process can't be started: %s; the run goes on without it", error)
    number = min(size.workers, len(links))
    for place, link in enumerate(links[:number]):
        in_flight = http.workers // number + (place < http.workers % number)  # the first ones get the remainder
        link.limits = WorkerLimits(context.storage.admit(), in_flight, number, place + 1)
    return links


def thread_link(context: JobContext, http: HttpConfig, limits: RunLimits) -> Link:
    """Return a worker in a thread of this process."""
    stop = StopFlag()
    is_stopped = context.is_stopped
    own = replace(context, is_stopped=lambda: stop.is_set() or is_stopped())
    settings = WorkerSettings(own, http, limits, min(http.workers, MAX_HASH_THREADS))
    ours, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=run_in_thread, args=(settings, theirs), name=WORKER, daemon=True)
    return Link(ours, thread, stop, WorkerLimits(context.storage.unfinished.token, http.workers))


def _start_process(settings: WorkerSettings) -> Link:
    forking = multiprocessing.get_context("fork")
    ours, theirs = forking.Pipe()
    process = forking.Process(target=run_in_process, args=(settings, theirs, os.getpid()), name=SPARE, daemon=True)
    process.start()
    theirs.close()  # the process has its own copy; while ours is open, its end would not be noticed
    return Link(ours, process, StopFlag())
