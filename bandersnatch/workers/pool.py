"""Processes that work on projects and small files beside the main one, so that more than one core computes.

One interpreter computes on one core at a time, and for small files computing is most of the work. A helper is given a
batch of projects, or of one project's files, and returns what came of it (``helper_process.py``). It keeps no record: what
is to be noted before files are touched, and recorded when a project is done, it tells the main process, which alone writes
that down. What it did not get, for whatever reason, the main process works on as if there were no helpers.
"""

import logging
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pickle import UnpicklingError
from queue import SimpleQueue
from typing import Any

from packaging.utils import NormalizedName

from bandersnatch.config.config import HttpConfig
from bandersnatch.errors import InterruptedRunError, PathConflictError
from bandersnatch.logs import log_kept
from bandersnatch.plan.file_plan import FileTask
from bandersnatch.project.files import SyncedFile
from bandersnatch.project.job_context import JobContext
from bandersnatch.storage.layout import ALL_PAGES, SIMPLE, StoredPath, metadata_path, page_path
from bandersnatch.workers.helper_process import Announcement, be_helper
from bandersnatch.workers.project_batch import Announce, Announced, BatchResult, HelpedJob, Leave

logger = logging.getLogger(__name__)

HELPERS_MAX = 4
"""Beyond that, the main process has not enough batches to give away."""
END_SECONDS = 0.5
LOOK_SECONDS = 1.0
MOST_LOOKS_STOPPED = 10
"""A helper that is found stopped (SIGSTOP) at so many looks in a row is given up. When a whole run is stopped and continued,
as by Ctrl-Z and ``fg``, none is: the main process does not look meanwhile.
"""


@contextmanager
def helping(context: JobContext, config: HttpConfig) -> Iterator["Helpers | None"]:
    """Start a helper for each core, and end them with the block. Where there is but one core, there are none.

    To be called before other threads of the process hold locks.
    """
    number = _helpers_wanted(config.workers)
    helpers = _start_all(context, config, number) if number > 1 else []
    try:
        yield Helpers(context, helpers, config.workers // number) if helpers else None
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

    def __init__(self, context: JobContext, helpers: Sequence["_Helper"], lanes: int) -> None:
        self._context, self._lanes = context, lanes
        self._storage, self._limiter = context.storage, context.upstream.limiter
        self._guard = threading.Lock()
        self.number = len(helpers)
        """How many there are, of those that have ended one at the most."""
        self._free: SimpleQueue[_Helper] = SimpleQueue()
        for helper in helpers:
            self._free.put(helper)

    def work_on_projects(
        self, jobs: Sequence[HelpedJob], take_note: Callable[[Sequence[Announced]], None]
    ) -> BatchResult | None:
        """Have a batch of projects worked on; waits for a helper, and for a turn. None stands for a helper that has ended.

        ``take_note`` is called, any number of times, before the files of projects are touched.

        Raises:
            InterruptedRunError: the run was asked to stop.
        """
        touched: list[StoredPath] = []
        with self._free_helper() as helper, ExitStack() as claims:
            if helper.has_ended:
                return None

            def announce(announced: Sequence[Announced]) -> Leave:
                take_note(announced)
                refused: set[NormalizedName] = set()
                for each in announced:
                    try:
                        claims.enter_context(self._storage.claimed(each.files))
                    except PathConflictError:  # to be told by whoever works on the project alone
                        refused.add(each.project)
                    else:
                        touched.extend(each.paths if each.handed_back is None else ())
                return Leave(frozenset(refused), limiter.take_more())

            try:
                with self._limiter.several(self._lanes) as limiter:
                    result = helper.work_on_projects(jobs, limiter.number, announce)
            finally:
                self._tell_changes(helper, touched)
        if result is not None:
            self._context.file_sync.progress.received(result.size_bytes)
        return result

    def sync_together(self, tasks: Sequence[FileTask]) -> dict[str, SyncedFile]:
        """Have a batch of files worked on, as ``FileSync.sync_together`` does it; waits for a helper, and for a turn.

        Raises:
            InterruptedRunError: the run was asked to stop.
        """
        with self._free_helper() as helper:
            if helper.has_ended:
                return self._context.file_sync.sync_together(tasks, self._lanes)
            try:
                with (
                    self._limiter.several(self._lanes) as limiter,
                    self._storage.claimed(task.path for task in tasks),
                ):
                    touched = [path for task in tasks for path in (task.path, metadata_path(task.path))]
                    try:
                        synced = helper.sync_together(tasks, limiter.number)
                    finally:
                        self._tell_changes(helper, touched)
            except PathConflictError:  # to be told by whoever works on the file alone
                return {}
        self._context.file_sync.progress.received(sum(file.size_bytes for file in synced.values()))
        return synced

    def digests(self, paths: Sequence[StoredPath]) -> list[str | None]:
        """Have files hashed, as ``FileSync.digests`` does it; waits for a helper.

        Raises:
            InterruptedRunError: the run was asked to stop.
        """
        with self._free_helper() as helper:
            found = helper.digests(paths)
        return self._context.file_sync.digests(paths) if found is None else found

    @contextmanager
    def _free_helper(self) -> Iterator["_Helper"]:
        helper = self._free.get()
        try:
            if self._context.is_stopped():
                raise InterruptedRunError
            yield helper
        finally:
            with self._guard:
                is_one_of_many = self.number > 1
                self.number -= helper.has_ended and is_one_of_many
            if not (helper.has_ended and is_one_of_many):  # else nobody would wait for it, and it would get every batch
                self._free.put(helper)

    def _tell_changes(self, helper: "_Helper", touched: Sequence[StoredPath]) -> None:
        """Tell what a helper has changed; one that has died may have changed any, and left one half-written."""
        storage = self._storage
        if not helper.has_ended:
            storage.tell(helper.changed)
            return
        files = [path for path in touched if not path.startswith(f"{SIMPLE}/")]
        folders = [path for path in touched if path.startswith(f"{SIMPLE}/")]
        storage.sweep([*files, *(page_path(folder, name) for folder in folders for name in ALL_PAGES)])
        pages = [page for folder in folders for page in storage.files_below(folder, lambda _: True)]
        storage.tell(path for path in (*files, *pages) if storage.stat(path) is not None)


class _StoppedError(Exception):
    """A helper was stopped by a signal, and nobody continues it."""


class _Helper:
    """One process, and the connection to it; used by one thread at a time.

    ``changed`` are the paths that have changed by what it was asked for last; ``has_ended`` tells that nobody knows them.
    """

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self._process, self._connection = process, connection
        self.has_ended = False
        self.changed: list[StoredPath] = []

    def work_on_projects(self, jobs: Sequence[HelpedJob], lanes: int, announce: Announce) -> BatchResult | None:
        """Let the process work on projects; return what came of it, or None where it has ended, or is about to."""
        result: BatchResult | None = self._ask("work_on_projects", jobs, lanes, announce=announce)
        return result

    def sync_together(self, tasks: Sequence[FileTask], lanes: int) -> dict[str, SyncedFile]:
        """Let the process work on files; return those that are in place."""
        return self._ask("sync_together", tasks, lanes) or {}

    def digests(self, paths: Sequence[StoredPath]) -> list[str | None] | None:
        """Let the process hash files; return None where it has ended, or is about to."""
        found: list[str | None] | None = self._ask("digests", paths)
        return found

    def _ask(self, method: str, *arguments: object, announce: Announce | None = None) -> Any:
        """Let the process call a method of its ``Duties``, and return what that returns; or None where it has ended."""
        self.changed = []
        if self.has_ended:
            return None
        try:
            self._connection.send((method, arguments))
            while isinstance(message := self._receive(), Announcement):
                assert announce is not None, "files of one project are noted before"
                self._connection.send(announce(message.announced))
        except (EOFError, OSError, UnpicklingError, _StoppedError):
            self._give_up()
            return None
        except BaseException:  # it waits for an answer that does not come
            self._give_up()
            raise
        self.changed = message.changed
        log_kept(message.logged)
        return message.result

    def _receive(self) -> Any:
        """Return the next message.

        Raises:
            EOFError, OSError: the process has ended.
            _StoppedError: it is stopped, and may be for ever.
        """
        stopped = 0
        while not self._connection.poll(LOOK_SECONDS):
            stopped = stopped + 1 if _is_stopped(self._process.pid) else 0
            if stopped == MOST_LOOKS_STOPPED:
                logger.warning("a helper process is stopped; it is ended, and its work is done by others")
                raise _StoppedError
        return self._connection.recv()

    def _give_up(self) -> None:
        """See to it that the process touches nothing any more."""
        logger.debug("a helper process has ended; the run goes on without it")
        self.has_ended = True
        self._process.kill()
        self._process.join()

    def ask_to_end(self) -> None:
        """Tell the process to end; what it has half-written, it deletes."""
        self._process.terminate()

    def end(self) -> None:
        """See to it that the process has ended."""
        self._process.join(END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _is_stopped(pid: int | None) -> bool:
    """Whether a process is stopped by a signal (proc_pid_stat(5); its name, in brackets, may hold anything)."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")


def _start_all(context: JobContext, config: HttpConfig, number: int) -> list[_Helper]:
    helpers: list[_Helper] = []
    for _ in range(number):
        try:
            helpers.append(_start(context, config))
        except OSError as error:  # no memory or no processes are left; the run itself may well do without
            logger.warning("a helper process can't be started: %s; the run goes on without it", error)
    return helpers


def _start(context: JobContext, config: HttpConfig) -> _Helper:
    forking = multiprocessing.get_context("fork")
    ours, theirs = forking.Pipe()
    process = forking.Process(target=be_helper, args=(theirs, context, config, os.getpid()), daemon=True)
    process.start()
    theirs.close()  # the process has its own; so that we notice when that one is closed
    return _Helper(process, ours)
