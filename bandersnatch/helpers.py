"""Processes that fetch and check small files beside the main one, so that more than one core computes.

One interpreter computes on one core at a time, and for small files computing is most of the work. A helper is given a
batch of files, and returns which of them are in place, whole and checked (``FileSync.sync_together``), or their digests
(``FileSync.digests``); it decides nothing and keeps no record. What it did not get, for whatever reason, the main process
works on as if there were no helpers.
"""

import ctypes
import gc
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from types import FrameType
from typing import Any

from msgspec.structs import replace

from bandersnatch.config import HttpConfig
from bandersnatch.errors import InterruptedRunError, PathConflictError
from bandersnatch.fetch import Fetcher
from bandersnatch.file_plan import FileTask
from bandersnatch.file_sync import FileSync, SyncedFile
from bandersnatch.layout import StoredPath, metadata_path
from bandersnatch.logs import keep_records, log_kept
from bandersnatch.progress import SilentProgress
from bandersnatch.upstream import Upstream

logger = logging.getLogger(__name__)

HELPERS_MAX = 4
"""Beyond that, the main process has not enough batches to give away."""
END_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


@contextmanager
def helping(file_sync: FileSync, config: HttpConfig) -> Iterator["FileSync | Helpers"]:
    """Start a helper for each core; give what stands in for ``file_sync`` with small files, and end them with the block.

    Where there is but one core, there are none. To be called before other threads of the process hold locks.
    """
    number = _helpers_wanted(config.workers)
    helpers = _start_all(file_sync, config, number) if number > 1 else []
    try:
        yield Helpers(file_sync, helpers, config.workers // number) if helpers else file_sync
    finally:
        for helper in helpers:
            helper.ask_to_end()
        for helper in helpers:
            helper.end()


def _helpers_wanted(workers: int) -> int:
    if sys.platform != "linux":
        return 0  # a fork is not safe there
    return min(len(os.sched_getaffinity(0)), HELPERS_MAX, workers // 2)


class Helpers:
    """The helpers of one run. Thread-safe."""

    def __init__(self, file_sync: FileSync, helpers: Sequence["_Helper"], lanes: int) -> None:
        self._file_sync, self._lanes = file_sync, lanes
        self._free: SimpleQueue[_Helper] = SimpleQueue()
        for helper in helpers:
            self._free.put(helper)

    def sync_together(self, tasks: Sequence[FileTask]) -> dict[str, SyncedFile]:
        """Have a batch worked on, as ``FileSync.sync_together`` does it; waits for a helper, and for a turn.

        Raises:
            InterruptedRunError: the run was asked to stop.
        """
        file_sync = self._file_sync
        with self._free_helper() as helper:
            if helper.has_ended:
                return file_sync.sync_together(tasks, self._lanes)
            try:
                with (
                    file_sync.upstream.turns.several(self._lanes) as lanes,
                    file_sync.storage.claimed(task.path for task in tasks),
                ):
                    synced, changed = helper.sync_together(tasks, lanes)
                    self._take_note(tasks, changed, is_all=not helper.has_ended)
            except PathConflictError:  # to be told by whoever works on the file alone
                return {}
        file_sync.progress.received(sum(file.size_bytes for file in synced.values()))
        return synced

    def digests(self, paths: Sequence[StoredPath]) -> list[str | None]:
        """Have files hashed, as ``FileSync.digests`` does it; waits for a helper.

        Raises:
            InterruptedRunError: the run was asked to stop.
        """
        with self._free_helper() as helper:
            found = helper.digests(paths)
        return self._file_sync.digests(paths) if found is None else found

    @contextmanager
    def _free_helper(self) -> Iterator["_Helper"]:
        helper = self._free.get()
        try:
            if self._file_sync.is_stopped():
                raise InterruptedRunError
            yield helper
        finally:
            self._free.put(helper)

    def _take_note(self, tasks: Sequence[FileTask], changed: Sequence[StoredPath], *, is_all: bool) -> None:
        """Tell what a helper has changed; one that has died may have changed any, and left one half-written."""
        storage = self._file_sync.storage
        if not is_all:
            paths = [path for task in tasks for path in (task.path, metadata_path(task.path))]
            storage.sweep(paths)
            changed = [path for path in paths if storage.stat(path) is not None]
        storage.tell(changed)


class _Helper:
    """One process, and the connection to it; used by one thread at a time."""

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self._process, self._connection = process, connection
        self.has_ended = False

    def sync_together(self, tasks: Sequence[FileTask], lanes: int) -> tuple[dict[str, SyncedFile], list[StoredPath]]:
        """Let the process work on a batch; return what is in place, and which paths have changed."""
        synced, changed = self._ask("sync_together", tasks, lanes)
        return synced or {}, changed

    def digests(self, paths: Sequence[StoredPath]) -> list[str | None] | None:
        """Let the process hash files; return None where it has ended, or is about to."""
        found: list[str | None] | None = self._ask("digests", paths)[0]
        return found

    def _ask(self, method: str, *arguments: object) -> tuple[Any, list[StoredPath]]:
        """Let the process call a method of its ``FileSync``; return what that returns, and which paths have changed."""
        if self.has_ended:
            return None, []
        try:
            self._connection.send((method, arguments))
            result, changed, logged = self._connection.recv()
        except (EOFError, OSError):
            self.has_ended = True
            return None, []
        log_kept(logged)
        return result, changed

    def ask_to_end(self) -> None:
        """Tell the process to end; what it has half-written, it deletes."""
        self._process.terminate()

    def end(self) -> None:
        """See to it that the process has ended."""
        self._process.join(END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _start_all(file_sync: FileSync, config: HttpConfig, number: int) -> list[_Helper]:
    helpers: list[_Helper] = []
    for _ in range(number):
        try:
            helpers.append(_start(file_sync, config))
        except OSError as error:  # no memory or no processes are left; the run itself may well do without
            logger.warning("a helper process can't be started: %s; the run goes on without it", error)
    return helpers


def _start(file_sync: FileSync, config: HttpConfig) -> _Helper:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_help, args=(theirs, file_sync, config, os.getpid()), daemon=True)
    process.start()
    theirs.close()  # the process has its own; so that we notice when that one is closed
    return _Helper(process, ours)


def _help(connection: Connection, file_sync: FileSync, config: HttpConfig, parent: int) -> None:
    """The life of a helper."""
    gc.freeze()  # the memory of the main process stays shared if the collector does not touch it
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # the next run must not meet the helpers of a dead one
    if os.getppid() != parent:
        return
    logged = keep_records()
    changed: list[StoredPath] = []
    storage = file_sync.storage.twin()
    storage.tell_changes(changed.append)
    try:
        stop = _StopOnce()
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        with closing(Fetcher(config)) as fetcher:
            upstream = Upstream(fetcher, config.upstream_url, lambda _: False)
            own = replace(
                file_sync, upstream=upstream, storage=storage, progress=SilentProgress(), is_stopped=lambda: False
            )
            while True:
                method, arguments = connection.recv()
                try:
                    result = getattr(own, method)(*arguments)
                except InterruptedRunError:
                    connection.send((None, changed, logged.take()))  # what was put in place is told all the same
                    raise
                connection.send((result, changed, logged.take()))
                changed.clear()
    except (EOFError, OSError, InterruptedRunError):
        pass  # the run has ended, or is to be ended


class _StopOnce:
    """Raises at the first signal; a second one, as of a terminal and of the main process, shall not end the cleaning up."""

    def __init__(self) -> None:
        self._has_raised = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if not self._has_raised:
            self._has_raised = True
            raise InterruptedRunError
