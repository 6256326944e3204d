"""``WorkerPool``: an executor of workers. These are processes for a long todo list, and one thread for a short one.

An interpreter uses one core at a time, and for small files most of the work is computing; so a long list gets a process for
each core. For a short list, starting processes takes longer than the work.
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

from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.errors import InterruptedRunError, MirrorError
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.logs import log_kept
from bandersnatch.memory import scarcity
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.package import publish_project, work_on_files
from bandersnatch.workers.link import Link, PoolSize, start_processes, thread_link
from bandersnatch.workers.worker import Reply, Task, WorkerLimits

logger = logging.getLogger(__name__)

MAX_WORKERS = 4
"""With more workers, the main process can't record results as fast as they arrive."""
LINGER_SECONDS = 0.002
"""How long a message to a worker waits for more jobs, since jobs are submitted one by one."""


class WorkerLostError(MirrorError):
    """The worker that had a job has ended unexpectedly; what it has left is cleaned up.

    ``is_last`` says that no other process is left to try the job again.
    """

    is_loss = True

    def __init__(self, *, is_last: bool = False) -> None:
        super().__init__("the worker has ended unexpectedly")
        self.is_last = is_last


class NoWorkerLeftError(MirrorError):
    """All workers have ended unexpectedly, even the thread of the main process, which is a bug of ours."""

    stops_run = True

    def __init__(self) -> None:
        super().__init__("no worker is left: the last one has ended unexpectedly; the next run continues from here")


def workers_wanted(max_in_flight: int) -> int:
    """Return how many workers a long todo list gets: one for each core, if each may have two requests in flight."""
    if sys.platform != "linux":
        return 1  # a fork is not safe on macOS, and Windows has none
    return max(1, min(len(os.sched_getaffinity(0)), MAX_WORKERS, max_in_flight // 2))


@contextmanager
def worker_pool(
    context: JobContext, http: HttpConfig, limits: RunLimits, size: PoolSize, recover: Callable[[str], None]
) -> Iterator["WorkerPool"]:
    """Start so many workers, and stop them at the end of the block.

    ``recover`` is called with the token of a worker that has ended unexpectedly, to clean up what it has left. Several
    workers are forked processes, so no other thread may hold a lock now: in a process, nobody would release its copy.
    """
    links = start_processes(context, http, limits, size) if size.workers > 1 else []
    try:
        pool = WorkerPool(links, partial(thread_link, context, http, limits), context, recover)
    except BaseException:  # no thread can be started
        for link in links:
            link.kill()
        raise
    try:
        yield pool
        pool.shutdown(wait=True)
    finally:
        # After an error, nobody wants the results of what is left.
        pool.shutdown(wait=False, cancel_futures=True)
        pool.end()


class WorkerPool(Executor):
    """An executor whose workers run generator functions (``Steps``), such as those of ``project/package.py``.

    Each worker has two threads here: one sends it tasks, the other takes its replies. ``_changed`` guards what they share.
    """

    def __init__(
        self,
        links: list[Link],
        thread: Callable[[], Link],
        context: JobContext,
        recover: Callable[[str], None],
    ) -> None:
        self._thread, self._context, self._recover = thread, context, recover
        self._links = [link for link in links if link.limits is not None] or [thread()]
        self._spares = deque(link for link in links if link.limits is None)
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
        """How many jobs to submit at a time: as many as the workers can have, and as many again that wait."""
        return sum(2 * link.capacity for link in self._links if not link.is_lost)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a worker run the generator ``fn(context, *args)``; ``fn`` must be picklable, so a function of a module.

        Raises:
            RuntimeError: the pool was shut down.
            InterruptedRunError: the run is being stopped.
            NoWorkerLeftError: there is no worker.
        """
        assert not kwargs, "a task has positional arguments only"
        future: Future[Any] = Future()
        with self._changed:
            if self._is_shut_down:
                raise RuntimeError("the pool was shut down")
            if not self.number:
                raise InterruptedRunError if self._context.is_stopped() else NoWorkerLeftError
            # Jobs that continue a shared project go first: such a project takes memory until it has ended.
            add = self._waiting.appendleft if fn in (work_on_files, publish_project) else self._waiting.append
            add((Task(next(self._numbers), fn, args), future))
            # Jobs come one by one, and most of them while all workers have enough: then no thread is woken for it.
            if any(link.may_get_more for link in self._links):
                self._changed.notify_all()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no further jobs; finish those that were submitted, or cancel the ones that no worker has yet."""
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
        """Make sure that no worker is running any more; one that does not end by itself is killed."""
        for link in self._spares:
            link.kill()  # it has done nothing, and has nothing to clean up
        for link in self._links:  # all are told before any is waited for, so that they end at the same time
            link.stop()
        for link in self._links:
            if link.end() and link.limits is not None:
                self._clean_up(link.limits.token)

    def _clean_up(self, token: str) -> None:
        """Keep what can be resumed of what a killed worker has left, and delete the rest."""
        try:
            self._recover(token)
        except MirrorError:  # the next command finds it
            self._context.storage.give_up(token)

    def _feed(self, link: Link) -> None:
        """Send tasks to a worker until there are no more; runs in a thread."""
        while (tasks := self._next_tasks(link)) is not None:
            try:
                link.connection.send(tasks)
            except OSError:
                return  # the connection is closed, which the listening thread notices
            except Exception:
                # A task can't be pickled, or there is no memory for it. If the worker lived on, nobody would end the task.
                logger.exception("tasks can't be sent to a worker; it is ended")
                link.kill()
                return
        with suppress(OSError):
            link.connection.send(None)

    def _next_tasks(self, link: Link) -> list[Task] | None:
        with self._changed:
            while not (self._waiting and self._room(link)):
                if link.is_lost or (self._is_shut_down and not self._waiting):
                    return None
                self._changed.wait()
            if len(self._waiting) < link.capacity and not self._is_shut_down:
                self._changed.wait(LINGER_SECONDS)
            if link.is_lost:  # it may have been lost during the wait
                return None
            # Half of what each worker could get of all that waits (rounded up), so that all end at about the same time.
            share = -(-len(self._waiting) // (2 * max(1, self.number)))
            tasks = []
            for _ in range(min(self._room(link), share)):
                task, future = self._waiting.popleft()
                if future.set_running_or_notify_cancel():  # otherwise it was withdrawn
                    link.under_way[task.number] = future
                    tasks.append(task)
            return tasks

    def _room(self, link: Link) -> int:
        """Return how many more tasks a worker should get now; none, unless it ``may_get_more``."""
        if self.number > 1 and 2 * len(self._waiting) < self.number * link.capacity:
            # Few are left: what a worker can't begin at once, another one may.
            return max(0, link.most_in_flight - len(link.under_way))
        return link.capacity - len(link.under_way) if link.may_get_more else 0

    def _listen(self, link: Link) -> None:
        """Take the replies of a worker until it ends; runs in a thread."""
        try:
            while True:
                self._handle_reply(link, link.receive())
        except (EOFError, OSError, UnpicklingError):
            self._handle_end(link)
        except Exception:  # whatever it is, the worker's tasks must end, or the run would wait for ever
            logger.exception("a reply of a worker can't be read; the worker is ended")
            self._handle_end(link)

    def _handle_reply(self, link: Link, reply: Reply) -> None:
        log_kept(reply.logged)
        self._context.storage.tell(reply.changed)
        if reply.received_bytes:
            self._context.received(reply.received_bytes)
        with self._changed:
            futures = [(link.under_way.pop(ended.number), ended) for ended in reply.ended]
            self._changed.notify_all()
        for future, ended in futures:  # without the lock: callbacks of futures may submit more
            if ended.error is not None:
                future.set_exception(ended.error)
            else:
                future.set_result(ended.value)

    def _handle_end(self, link: Link) -> None:
        """End the tasks of a worker that has ended. If it had any, it is lost: clean up, and let another take its place."""
        link.kill()
        assert link.limits is not None, "a worker without limits has no thread that listens"
        if not link.is_thread:
            self._context.storage.room.give_back(link.limits.place)
        waiting: list[Future[Any]] = []
        with self._changed:
            link.is_lost = True
            lost, link.under_way = link.under_way, {}
            is_ending = self._context.is_stopped() or self._is_shut_down
            if not is_ending and not link.is_thread:
                self._replace(link.limits)
            if not self.number:
                waiting = [future for _, future in self._waiting]
                self._waiting.clear()
            is_last = all(each.is_thread for each in self._links if not each.is_lost)
            self._changed.notify_all()
        # From here on without the lock: `recover` may take long, and callbacks of futures may submit more.
        error: Exception = NoWorkerLeftError() if link.is_thread else WorkerLostError(is_last=is_last)
        if is_ending:
            error = InterruptedRunError()
        elif lost:
            logger.warning("a worker has ended unexpectedly; its work is done by others")
            try:
                self._recover(link.limits.token)
            except Exception as refused:  # noqa: BLE001 - it becomes the error of the tasks, which must end in any case
                error = scarcity(refused) or refused
        for future in lost.values():
            future.set_exception(error)
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)

    def _replace(self, limits: WorkerLimits) -> None:
        """Give the limits of a lost worker to a spare process; when all processes are lost, a thread continues."""
        if self._spares:
            link = self._spares.popleft()
            link.limits = replace(limits, token=self._context.storage.admit())
        elif not self.number:
            link = self._thread()
        else:
            return
        self._links.append(link)
        link.begin(self._feed, self._listen)
