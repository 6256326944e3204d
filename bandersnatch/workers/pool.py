"""``WorkerPool``: an executor of workers, which are processes for a long todo list, and one thread for a short one.

One interpreter computes on one core at a time, and for small files computing is most of the work; so a long list gets a
process for each core. To start one costs more than a short list takes.
"""

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pickle import UnpicklingError
from typing import Any

from msgspec.structs import replace

from bandersnatch.config.config import HttpConfig
from bandersnatch.errors import InterruptedRunError, MirrorError
from bandersnatch.http.retries import RetryPolicy
from bandersnatch.logs import log_kept
from bandersnatch.memory import scarcity
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.package import publish_project, work_on_files
from bandersnatch.workers.link import Link, start_processes, thread_link
from bandersnatch.workers.worker import Reply, Share, Task

logger = logging.getLogger(__name__)

WORKERS_MAX = 4
"""Beyond that, the main process can't keep the records as fast as they come."""
LINGER_SECONDS = 0.002
"""So long a message waits for more jobs, which come one by one."""


class WorkerLostError(MirrorError):
    """The worker that had a job has ended before its time; what it has left is noted.

    It ``is_last`` if no other process can try the job again.
    """

    def __init__(self, *, is_last: bool = False) -> None:
        super().__init__("the worker has ended before its time")
        self.is_last = is_last


class NoWorkerLeftError(MirrorError):
    """All workers have ended before their time, the one in the main process, too: a bug of ours."""

    stops_run = True

    def __init__(self) -> None:
        super().__init__("no worker is left: the last one has ended before its time; the next run goes on from here")


def workers_wanted(most_in_flight: int) -> int:
    """Return how many processes a long todo list is worth: one for each core, if several requests are left for each."""
    if sys.platform != "linux":
        return 1  # a fork is not safe there
    return max(1, min(len(os.sched_getaffinity(0)), WORKERS_MAX, most_in_flight // 2))


@contextmanager
def worker_pool(
    context: JobContext, http: HttpConfig, policy: RetryPolicy, number: int, take_up: Callable[[str], None]
) -> Iterator["WorkerPool"]:
    """Start so many workers, and stop them at the end of the block.

    ``take_up`` is called with the token of a worker that has ended before its time, and sees to what that has left. To be
    called before other threads of the process hold locks: several workers are processes that are forked.
    """
    links = start_processes(context, http, policy, number) if number > 1 else []
    try:
        pool = WorkerPool(links, partial(thread_link, context, http, policy), context, take_up)
    except BaseException:  # no thread is to be had
        for link in links:
            link.kill()
        raise
    try:
        yield pool
        pool.shutdown(wait=True)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        pool.end()


class WorkerPool(Executor):
    """Workers that are given functions of ``project/package.py`` and the like: steps, which get the worker's context."""

    def __init__(
        self,
        links: list[Link],
        thread: Callable[[], Link],
        context: JobContext,
        take_up: Callable[[str], None],
    ) -> None:
        self._thread, self._context, self._take_up = thread, context, take_up
        self._links = [link for link in links if link.share is not None] or [thread()]
        self._spares = deque(link for link in links if link.share is None)
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Task, Future[Any]]] = deque()
        self._numbers = count()
        self._is_shut_down = False
        for link in self._links:
            link.begin(self._feed, self._listen)

    @property
    def number(self) -> int:
        """How many workers there are."""
        return sum(not link.is_lost for link in self._links)

    @property
    def window(self) -> int:
        """How many jobs are worth to be submitted at a time: those that are worked on, and as many that wait."""
        return sum(2 * link.capacity for link in self._links if not link.is_lost)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have steps made by a worker: ``fn(context, *args)``, which must be a function of a module.

        Raises:
            RuntimeError: the pool was shut down.
            InterruptedRunError: the run is being stopped.
            NoWorkerLeftError: there is no worker for it.
        """
        assert not kwargs, "jobs are told by position"
        future: Future[Any] = Future()
        with self._changed:
            if self._is_shut_down:
                raise RuntimeError("the pool was shut down")
            if not self.number:
                raise InterruptedRunError if self._context.is_stopped() else NoWorkerLeftError
            # What goes on with a project that was shared out is first: such a project costs memory until it has ended.
            add = self._waiting.appendleft if fn in (work_on_files, publish_project) else self._waiting.append
            add((Task(next(self._numbers), fn, args), future))
            self._changed.notify_all()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no further jobs; end those that were given, or cancel the ones that no worker has yet."""
        with self._changed:
            self._is_shut_down = True
            cancelled = list(self._waiting) if cancel_futures else []
            if cancel_futures:
                self._waiting.clear()
            self._changed.notify_all()
        for _, future in cancelled:
            future.cancel()
        if wait:
            for link in self._links:
                link.join()

    def end(self) -> None:
        """See to it that no worker works any more; one that does not end by itself is killed."""
        for link in self._spares:
            link.kill()
        for link in self._links:
            link.stop()
        for link in self._links:
            if link.end() and link.share is not None:
                self._context.storage.give_up(link.share.token)

    def _feed(self, link: Link) -> None:
        """Give jobs to a worker, until there are no more; the life of a thread."""
        while (tasks := self._next_tasks(link)) is not None:
            try:
                link.connection.send(tasks)
            except OSError:
                return  # whoever listens notices
            except (
                Exception
            ):  # a job that can't be sent, or no memory for it: without an end the run would wait for ever
                logger.exception("a worker can't be given its jobs; it is ended")
                link.kill()
                return
        with suppress(OSError):
            link.connection.send(None)

    def _next_tasks(self, link: Link) -> list[Task] | None:
        with self._changed:
            while not (self._waiting and 2 * len(link.under_way) <= link.capacity):
                if link.is_lost or (self._is_shut_down and not self._waiting):
                    return None
                self._changed.wait()
            if len(self._waiting) < link.capacity and not self._is_shut_down:
                self._changed.wait(LINGER_SECONDS)
            if link.is_lost:  # what it got now would be lost
                return None
            share = -(-len(self._waiting) // max(1, self.number))
            tasks = []
            for _ in range(min(link.capacity - len(link.under_way), share)):
                task, future = self._waiting.popleft()
                if future.set_running_or_notify_cancel():
                    link.under_way[task.number] = future
                    tasks.append(task)
            return tasks

    def _listen(self, link: Link) -> None:
        """Take what a worker sends, until it ends; the life of a thread."""
        try:
            while True:
                self._take(link, link.receive())
        except (EOFError, OSError, UnpicklingError):
            self._lose(link)
        except Exception:  # without an end of its jobs the run would wait for ever
            logger.exception("what a worker sends can't be read; it is ended")
            self._lose(link)

    def _take(self, link: Link, reply: Reply) -> None:
        log_kept(reply.logged)
        self._context.storage.tell(reply.changed)
        if reply.received_bytes:
            self._context.received(reply.received_bytes)
        with self._changed:
            futures = [(link.under_way.pop(ended.number), ended) for ended in reply.ended]
            self._changed.notify_all()
        for future, ended in futures:
            if ended.error is not None:
                future.set_exception(ended.error)
            else:
                future.set_result(ended.value)

    def _lose(self, link: Link) -> None:
        """A worker has ended; if it had jobs, that was before its time."""
        link.kill()
        assert link.share is not None, "it had begun"
        if not link.is_thread:
            self._context.storage.room.give_back(link.share.place)
        waiting: list[Future[Any]] = []
        with self._changed:
            link.is_lost = True
            lost, link.under_way = link.under_way, {}
            is_ending = self._context.is_stopped() or self._is_shut_down
            if not is_ending and not link.is_thread:
                self._replace(link.share)
            if not self.number:
                waiting = [future for _, future in self._waiting]
                self._waiting.clear()
            is_last = all(each.is_thread for each in self._links if not each.is_lost)
            self._changed.notify_all()
        error: Exception = NoWorkerLeftError() if link.is_thread else WorkerLostError(is_last=is_last)
        if is_ending:
            error = InterruptedRunError()
        elif lost:
            logger.warning("a worker has ended before its time; its work is done by others")
            try:
                self._take_up(link.share.token)
            except Exception as refused:  # noqa: BLE001 - it becomes the end of the jobs, which would have none else
                error = scarcity(refused) or refused
        for future in lost.values():
            future.set_exception(error)
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)

    def _replace(self, share: Share) -> None:
        """Let a process that waits have the share of one that is lost; when all are lost, a thread goes on."""
        if self._spares:
            link = self._spares.popleft()
            link.share = replace(share, token=self._context.storage.admit())
        elif not self.number:
            link = self._thread()
        else:
            return
        self._links.append(link)
        link.begin(self._feed, self._listen)
