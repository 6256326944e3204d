"""What a helper process does: it takes one task after the other from the main process, and answers (see ``pool.py``)."""

import ctypes
import gc
import logging
import os
import signal
from collections.abc import Sequence
from contextlib import closing
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.config.config import HttpConfig
from bandersnatch.errors import InterruptedRunError
from bandersnatch.http.fetcher import Fetcher
from bandersnatch.http.retries import RetryPolicy
from bandersnatch.logs import keep_records
from bandersnatch.progress import SilentProgress
from bandersnatch.project.job_context import JobContext
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath
from bandersnatch.upstream.index import Upstream
from bandersnatch.workers.project_batch import Announced, BatchResult, HelpedJob, Leave, ProjectBatch

_PR_SET_PDEATHSIG = 1


class Announcement(Struct, frozen=True):
    """What a helper is about to touch; it waits for leave."""

    announced: Sequence[Announced]


class Reply(Struct, frozen=True):
    """What a helper's work has come to: its result, which paths have changed, and what is to be logged."""

    result: Any
    changed: list[StoredPath]
    logged: list[logging.LogRecord]


def be_helper(connection: Connection, context: JobContext, config: HttpConfig, parent: int) -> None:
    """The life of a helper."""
    gc.freeze()  # the memory of the main process stays shared if the collector does not touch it
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # the next run must not meet the helpers of a dead one
    if os.getppid() != parent:
        return
    logged = keep_records()
    changed: list[StoredPath] = []
    storage = context.storage.twin()
    storage.tell_changes(changed.append)
    try:
        stop = _StopOnce()
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        with closing(Fetcher(config, RetryPolicy(attempts=1))) as fetcher:  # packages have the retries
            journal_end = context.upstream.journal_end.twin()
            upstream = Upstream(fetcher, config.upstream_url, lambda _: False, journal_end)
            duties = Duties(_own(context, upstream, storage), connection)
            while True:
                method, arguments = connection.recv()
                try:
                    result = getattr(duties, method)(*arguments)
                except InterruptedRunError:
                    connection.send(Reply(None, changed, logged.take()))  # what was put in place is told all the same
                    raise
                connection.send(Reply(result, changed, logged.take()))
                changed.clear()
    except (EOFError, OSError, InterruptedRunError):
        pass  # the run has ended, or is to be ended


def _own(context: JobContext, upstream: Upstream, storage: FilesystemStorage) -> JobContext:
    """Return what a helper works with: as the main process does, but with connections of its own, and storage."""
    sync = replace(
        context.file_sync, upstream=upstream, storage=storage, progress=SilentProgress(), is_stopped=lambda: False
    )
    return replace(
        context,
        upstream=upstream,
        storage=storage,
        file_sync=sync,
        together=sync,
        publisher=replace(context.publisher, upstream=upstream, storage=storage),
        chooser=replace(context.chooser, upstream=upstream, storage=storage),
        is_stopped=lambda: False,
    )


class Duties:
    """What a helper is asked for."""

    def __init__(self, context: JobContext, connection: Connection) -> None:
        self._context, self._connection = context, connection
        self.sync_together, self.digests = context.file_sync.sync_together, context.file_sync.digests

    def work_on_projects(self, jobs: Sequence[HelpedJob], lanes: int) -> BatchResult:
        """Work on a batch of projects."""
        return ProjectBatch(self._context, lanes, self._announce).work(jobs)

    def _announce(self, announced: Sequence[Announced]) -> Leave:
        self._connection.send(Announcement(announced))
        leave: Leave = self._connection.recv()
        return leave


class _StopOnce:
    """Raises at the first signal; a second one, as of a terminal and of the main process, shall not end the cleaning up."""

    def __init__(self) -> None:
        self._has_raised = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if not self._has_raised:
            self._has_raised = True
            raise InterruptedRunError
