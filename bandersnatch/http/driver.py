"""``Driver``: runs many ``Steps`` at a time in one thread, like an event loop.

It starts what they yield, such as a request, and resumes each when its result is there.
"""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from bandersnatch.http.request import InThread, Request, Steps, T, Together

if TYPE_CHECKING:
    from bandersnatch.http.transfer import Transfer

_WAKE_BYTES = 4096

Done = Callable[[Any, Exception | None], None]
"""Called with the result of steps, or the error that ended them."""


class Driver:
    """Runs steps over one engine, in the engine's thread. At most ``threads`` other threads run calls that block."""

    def __init__(self, transfer: "Transfer", threads: int) -> None:
        self._transfer, self._max_threads = transfer, threads
        self._under_way: dict[_Task, None] = {}
        """The steps that have not ended, in the order of their start: a set with an order."""
        self._ready: deque[tuple[_Task, Any, Exception | None]] = deque()
        self._executor: ThreadPoolExecutor | None = None
        self._ended_in_threads: SimpleQueue[tuple[_Task, Future[Any]]] = SimpleQueue()
        self._is_closed = False
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        os.set_blocking(self._wake_writer, False)
        transfer.watch(self._wake_reader)

    def start(self, steps: Steps[Any], done: Done) -> None:
        """Start steps; ``advance`` calls ``done`` when they have ended."""
        task = _Task(steps, done)
        self._under_way[task] = None
        self._ready.append((task, None, None))

    def advance(self, seconds: float) -> None:
        """Run the steps that are ready, and wait up to so many seconds for what the others need.

        If some have ended, it does not wait: the caller may have more to start.
        """
        has_ended = self._run_ready()
        self._transfer.advance(0.0 if has_ended else seconds)
        with suppress(BlockingIOError):
            os.read(self._wake_reader, _WAKE_BYTES)
        while not self._ended_in_threads.empty():
            task, future = self._ended_in_threads.get()
            error = future.exception()
            if error is not None and not isinstance(error, Exception):
                raise error
            self._ready.append((task, None if error else future.result(), error))
        self._run_ready()

    def finish(self, steps: Steps[T]) -> T:
        """Run steps to their end; return their result or raise their error."""
        ended: list[tuple[Any, Exception | None]] = []
        self.start(steps, lambda result, error: ended.append((result, error)))
        while not ended:
            self.advance(1.0)
        result, error = ended[0]
        if error is not None:
            raise error
        found: T = result
        return found

    def wake(self) -> None:
        """Let ``advance`` return soon. Called from any thread or signal handler, perhaps after the driver was closed."""
        if not self._is_closed:
            with suppress(BlockingIOError):  # the pipe is full, so `advance` returns in any case
                os.write(self._wake_writer, b"\0")

    def close(self) -> None:
        """Give up all steps: each generator is closed. The engine is not closed; its owner does that."""
        if self._is_closed:
            return
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
        self._is_closed = True
        with ExitStack() as closing:  # which closes the others even if one fails, last one first
            closing.callback(os.close, self._wake_writer)
            closing.callback(os.close, self._wake_reader)
            closing.callback(self._transfer.unwatch, self._wake_reader)
            for task in self._under_way:  # so steps of a `Together` are closed before those that wait for them
                closing.callback(task.steps.close)
        self._under_way.clear()
        self._ready.clear()

    def _run_ready(self) -> bool:
        """Run the steps that are ready; return whether some have ended."""
        has_ended = False
        while self._ready:
            task, value, error = self._ready.popleft()
            has_ended |= self._resume(task, value, error)
        return has_ended

    def _resume(self, task: "_Task", value: Any, error: Exception | None) -> bool:
        """Run steps up to the next thing that they wait for; return whether they have ended."""
        try:
            wanted = task.steps.throw(error) if error is not None else task.steps.send(value)
        except StopIteration as end:
            del self._under_way[task]
            task.done(end.value, None)
        except Exception as failure:  # noqa: BLE001 - it is passed to whoever started them
            del self._under_way[task]
            task.done(None, failure)
        else:
            self._begin(task, wanted)
            return False
        return True

    def _begin(self, task: "_Task", wanted: Request[Any] | Together | InThread) -> None:
        match wanted:
            case Request():
                self._transfer.start(wanted, lambda value, error: self._ready.append((task, value, error)))
            case InThread(call):
                if self._executor is None:
                    self._executor = ThreadPoolExecutor(self._max_threads, thread_name_prefix="blocking-call")
                self._executor.submit(call).add_done_callback(partial(self._end_in_thread, task))
            case Together(all_steps):
                group = _Group(task, len(all_steps))
                for place, steps in enumerate(all_steps):
                    self.start(steps, partial(self._end_one, group, place))
                if not all_steps:
                    self._ready.append((task, group.results, None))

    def _end_in_thread(self, task: "_Task", future: Future[Any]) -> None:
        if not future.cancelled():
            self._ended_in_threads.put((task, future))
            self.wake()

    def _end_one(self, group: "_Group", place: int, value: Any, error: Exception | None) -> None:
        group.results[place] = value if error is None else error
        group.left -= 1
        if group.left == 0:
            self._ready.append((group.task, group.results, None))


class _Task:
    """Steps that are under way, and the callback for their end."""

    __slots__ = ("done", "steps")

    def __init__(self, steps: Steps[Any], done: Done) -> None:
        self.steps, self.done = steps, done


class _Group:
    """The steps of a ``Together``: who waits for them, their results, and how many have not ended."""

    __slots__ = ("left", "results", "task")

    def __init__(self, task: _Task, number: int) -> None:
        self.task, self.left = task, number
        self.results: list[Any] = [None] * number
