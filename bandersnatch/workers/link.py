"""``Link``: one worker as its pool sees it, a process or a thread, and the connection to it."""

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from msgspec.structs import replace

from bandersnatch.config.config import HttpConfig
from bandersnatch.http.retries import RetryPolicy
from bandersnatch.project.job_context import JobContext
from bandersnatch.stop import StopFlag
from bandersnatch.workers.worker import Reply, WorkerSettings, be_process, be_thread

logger = logging.getLogger(__name__)

JOBS_TOGETHER = 32
"""So many jobs a worker has at a time, or fewer, if it may have few requests in flight."""
JOBS_PER_REQUEST = 4
"""So many jobs a worker has for each request that it may have in flight: waiting jobs cost memory."""
HASHERS = 4
"""So many threads of a worker hash large files, or wait for the disk to read them."""
END_SECONDS = 0.5
LOOK_SECONDS = 1.0
MOST_LOOKS_STOPPED = 10
"""A worker that is found stopped (SIGSTOP) at so many looks in a row is given up. When a whole run is stopped and continued,
as by Ctrl-Z and ``fg``, none is: the main process does not look meanwhile.
"""


class Link:
    """One worker and the connection to it; ``under_way`` are the futures of what it has been given."""

    def __init__(
        self,
        connection: Connection,
        settings: WorkerSettings,
        worker: "BaseProcess | threading.Thread",
        stop: StopFlag,
    ) -> None:
        self.connection, self.token, self._worker, self._stop = connection, settings.token, worker, stop
        self.place = settings.place
        self.is_thread = isinstance(worker, threading.Thread)
        self.capacity = min(JOBS_TOGETHER, JOBS_PER_REQUEST * settings.most_in_flight)
        """How many jobs the worker has at a time."""
        self.under_way: dict[int, Future[Any]] = {}
        self.is_lost = False
        self._threads: list[threading.Thread] = []

    def begin(self, feed: Callable[["Link"], None], listen: Callable[["Link"], None]) -> None:
        """Start the threads that talk to the worker."""
        if isinstance(self._worker, threading.Thread):
            self._worker.start()
        self._threads = [threading.Thread(target=each, args=(self,), daemon=True) for each in (feed, listen)]
        for thread in self._threads:
            thread.start()

    def receive(self) -> Reply:
        """Return the next reply.

        Raises:
            EOFError, OSError: the worker has ended, or is stopped, and may be so for ever.
        """
        stopped = 0
        while not self.connection.poll(LOOK_SECONDS):
            stopped = stopped + 1 if self._is_stopped() else 0
            if stopped == MOST_LOOKS_STOPPED:
                logger.warning("a worker process is stopped; it is ended, and its work is done by others")
                raise EOFError
        reply: Reply = self.connection.recv()
        return reply

    def _is_stopped(self) -> bool:
        """Whether the process is stopped by a signal (proc_pid_stat(5); its name, in brackets, may hold anything)."""
        if isinstance(self._worker, threading.Thread):
            return False
        with open(f"/proc/{self._worker.pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")

    def join(self) -> None:
        """Wait until the worker has ended, and all that it has sent was taken."""
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Tell the worker to end; what it has half-written, it deletes."""
        self._stop.set()
        if not isinstance(self._worker, threading.Thread) and not self.is_lost:
            self._worker.terminate()

    def end(self) -> bool:
        """Give the worker a moment to end; then kill a process, and return whether that was needed."""
        self._worker.join(END_SECONDS)
        is_killed = not isinstance(self._worker, threading.Thread) and self._worker.is_alive()
        self.kill()
        return is_killed

    def kill(self) -> None:
        """See to it that a process touches nothing any more."""
        if not isinstance(self._worker, threading.Thread):
            self._worker.kill()
            self._worker.join()


def start_processes(context: JobContext, http: HttpConfig, policy: RetryPolicy, number: int) -> list[Link]:
    """Start so many workers, or as many of them as can be had."""
    links: list[Link] = []
    context.storage.room.share(number)
    for place in range(number):
        share = http.workers // number + (place < http.workers % number)
        token = context.storage.admit()
        settings = _settings(replace(context, workers=number), http, policy.shared_by(number), share, token)
        settings = replace(settings, place=place + 1)
        try:
            links.append(_start_process(settings))
        except OSError as error:  # no memory or no processes are left; the run itself may well do without
            logger.warning("a worker process can't be started: %s; the run goes on without it", error)
    return links


def thread_link(context: JobContext, http: HttpConfig, policy: RetryPolicy) -> Link:
    """Return a worker in this process."""
    stop = StopFlag()
    is_stopped = context.is_stopped
    own = replace(context, is_stopped=lambda: stop.is_set() or is_stopped())
    settings = _settings(own, http, policy, http.workers, context.storage.unfinished.token)
    ours, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=be_thread, args=(settings, theirs), name="worker", daemon=True)
    return Link(ours, settings, thread, stop)


def _settings(
    context: JobContext, http: HttpConfig, policy: RetryPolicy, most_in_flight: int, token: str
) -> WorkerSettings:
    return WorkerSettings(context, http, policy, most_in_flight, min(http.workers, HASHERS), token)


def _start_process(settings: WorkerSettings) -> Link:
    forking = multiprocessing.get_context("fork")
    ours, theirs = forking.Pipe()
    process = forking.Process(target=be_process, args=(settings, theirs, os.getpid()), daemon=True)
    process.start()
    theirs.close()  # the process has its own; so that we notice when that one is closed
    return Link(ours, settings, process, StopFlag())
