"""``Link``: one worker as its pool sees it, a process or a thread, and the connection to it."""

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from msgspec.structs import replace

from bandersnatch.config.config import HttpConfig
from bandersnatch.http.retries import RetryPolicy
from bandersnatch.project.job_context import JobContext
from bandersnatch.stop import StopFlag
from bandersnatch.workers.worker import Reply, Share, WorkerSettings, be_process, be_thread

logger = logging.getLogger(__name__)

WORKER, SPARE = "worker", "spare worker"

JOBS_TOGETHER = 32
"""So many jobs a worker has at a time, or fewer, if it may have few requests in flight."""
JOBS_PER_REQUEST = 4
"""So many jobs a worker has for each request that it may have in flight: waiting jobs cost memory."""
HASHERS = 4
"""So many threads of a worker hash large files, or wait for the disk to read them."""
SPARE_PROCESSES = 3
"""So many workers that are lost are replaced: by processes that were forked with the others, since later is too late."""
END_SECONDS = 0.5
LOOK_SECONDS = 1.0
MOST_LOOKS_STOPPED = 10
"""A worker that is found stopped (SIGSTOP) at so many looks in a row is given up. When a whole run is stopped and continued,
as by Ctrl-Z and ``fg``, none is: the main process does not look meanwhile.
"""


class Link:
    """One worker and the connection to it; ``under_way`` are the futures of what it has been given.

    It has no ``share`` until it is needed.
    """

    def __init__(
        self,
        connection: Connection,
        worker: "BaseProcess | threading.Thread",
        stop: StopFlag,
        share: Share | None = None,
    ) -> None:
        self.connection, self._worker, self._stop, self.share = connection, worker, stop, share
        self.is_thread = isinstance(worker, threading.Thread)
        self.under_way: dict[int, Future[Any]] = {}
        self.is_lost = False
        self._threads: list[threading.Thread] = []

    @property
    def capacity(self) -> int:
        """How many jobs the worker has at a time."""
        return 0 if self.share is None else min(JOBS_TOGETHER, JOBS_PER_REQUEST * self.share.most_in_flight)

    def begin(self, feed: Callable[["Link"], None], listen: Callable[["Link"], None]) -> None:
        """Tell the worker its share, and start the threads that talk to it."""
        if isinstance(self._worker, threading.Thread):
            self._worker.start()
        else:
            self._worker.name = WORKER
        with suppress(OSError):  # whoever listens notices
            self.connection.send(self.share)
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
        if not self._worker.is_alive():
            for thread in self._threads:
                thread.join(END_SECONDS)  # it may still take what the worker has sent
        return is_killed

    def kill(self) -> None:
        """See to it that a process touches nothing any more."""
        if not isinstance(self._worker, threading.Thread):
            self._worker.kill()
            self._worker.join()


def start_processes(context: JobContext, http: HttpConfig, policy: RetryPolicy, number: int) -> list[Link]:
    """Start so many workers, and some that wait, without a share, until one is lost; or as many as can be had."""
    links: list[Link] = []
    context.storage.room.share(number)
    settings = WorkerSettings(context, http, min(http.workers, HASHERS))
    try:
        while len(links) < number + SPARE_PROCESSES:
            links.append(_start_process(settings))
    except OSError as error:  # no memory or no processes are left; the run itself may well do without
        logger.warning("a worker process can't be started: %s; the run goes on without it", error)
    number = min(number, len(links))
    for place, link in enumerate(links[:number]):
        in_flight = http.workers // number + (place < http.workers % number)
        link.share = Share(context.storage.admit(), policy.shared_by(number), in_flight, number, place + 1)
    return links


def thread_link(context: JobContext, http: HttpConfig, policy: RetryPolicy) -> Link:
    """Return a worker in this process."""
    stop = StopFlag()
    is_stopped = context.is_stopped
    own = replace(context, is_stopped=lambda: stop.is_set() or is_stopped())
    settings = WorkerSettings(own, http, min(http.workers, HASHERS))
    ours, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=be_thread, args=(settings, theirs), name=WORKER, daemon=True)
    return Link(ours, thread, stop, Share(context.storage.unfinished.token, policy, http.workers))


def _start_process(settings: WorkerSettings) -> Link:
    forking = multiprocessing.get_context("fork")
    ours, theirs = forking.Pipe()
    process = forking.Process(target=be_process, args=(settings, theirs, os.getpid()), name=SPARE, daemon=True)
    process.start()
    theirs.close()  # the process has its own; so that we notice when that one is closed
    return Link(ours, process, StopFlag())
