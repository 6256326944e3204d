"""Puts distribution files and their core metadata in place: each one whole and checked, or not at all."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from msgspec import Struct

from bandersnatch.errors import (
    IntegrityError,
    InterruptedRunError,
    MirrorError,
    PartGoneError,
    UpstreamError,
    UpstreamUnavailableError,
    gravest,
)
from bandersnatch.http.request import InThread, Request, Steps, Together
from bandersnatch.model import Checksum
from bandersnatch.names import NormalizedName
from bandersnatch.plan.file_plan import FileTask, FileWork
from bandersnatch.project.core_metadata import own_core_metadata, sync_core_metadata
from bandersnatch.project.file_receiver import FileReceiver, PartialFiles, Received
from bandersnatch.project.job_context import JobContext
from bandersnatch.storage.file_writer import Partial
from bandersnatch.storage.layout import StoredPath

logger = logging.getLogger(__name__)

THREAD_HASH_BYTES = 256 * 1024
"""Hashing a file of at least this size takes longer than passing the work to a thread."""
CONCURRENT_FILES = 16
"""How many files of a project are worked on at a time: in most configurations, more than may be in flight."""
MAX_FAILED_IN_A_ROW = 5
"""After so many unavailable files in a row, the other files of the project are left for the next run."""


class SyncedFile(Struct, frozen=True):
    """What was done for a file; ``has_metadata`` is False where upstream advertises core metadata but has none.

    ``sha256`` is that of the file, whether or not upstream told it; ``metadata_sha256`` that of core metadata whose
    digest upstream does not tell, None if there is none.
    """

    size_bytes: int
    was_fetched: bool
    has_metadata: bool
    sha256: str | None
    metadata_sha256: str | None = None


class ProjectFiles:
    """The work on several files of one project.

    ``partials`` are the ETags of the half-written files among them.
    """

    def __init__(self, project: NormalizedName, context: JobContext, partials: Mapping[StoredPath, str]) -> None:
        self._partials = PartialFiles(project, context, partials)
        self._project, self._context = project, context
        self._synced: dict[str, SyncedFile] = {}
        self._error: Exception | None = None
        self._failed_in_a_row = 0

    @property
    def partials(self) -> Mapping[StoredPath, str]:
        """The ETags of the half-written files, with those that downloads have added."""
        return self._partials.etags

    @property
    def is_given_up(self) -> bool:
        """Whether further files of the project would fail, too: the disk is full or broken, or upstream has none of them."""
        is_over = self._failed_in_a_row >= MAX_FAILED_IN_A_ROW
        return isinstance(self._error, MirrorError) and (self._error.stops_run or is_over)

    def sync(self, tasks: Sequence[FileTask]) -> Steps[dict[str, SyncedFile]]:
        """Do the work of all tasks; return what was done, by file name.

        Raises:
            UpstreamError, IntegrityError, StorageError: the error of the first file that failed. It is raised after the
                work on the others, so that the next run has less to do, unless an error stops the run.
            InterruptedRunError: the run was asked to stop.
        """
        left = iter(tasks)
        if len(tasks) == 1:
            yield from self._sync_all(left)
        else:
            yield Together(tuple(self._sync_all(left) for _ in range(min(len(tasks), CONCURRENT_FILES))))
        if self._error is not None:
            raise self._error
        return self._synced

    def _sync_all(self, left: Iterator[FileTask]) -> Steps[None]:
        """Work on one file after the other. Several of these loops run at the same time and share ``left``."""
        for task in left:
            if self.is_given_up:
                return
            try:
                self._synced[task.file.filename] = yield from self._sync_one(task)
            except Exception as error:  # noqa: BLE001 - it is raised after the work on the other files
                self._error = gravest(self._error, error)
                self._failed_in_a_row = self._failed_in_a_row + 1 if isinstance(error, UpstreamUnavailableError) else 0
            else:
                self._failed_in_a_row = 0

    def _sync_one(self, task: FileTask) -> Steps[SyncedFile]:
        """Do the work of one task.

        Raises:
            IntegrityError: upstream sent other bytes than its page promises, twice.
            UpstreamError: the file could not be fetched.
            StorageError: the disk refused.
            InterruptedRunError: the run was asked to stop.
        """
        context = self._context
        if context.is_stopped():
            raise InterruptedRunError
        sha256 = task.file.sha256 if task.work is FileWork.KEEP else (yield from self._right_sha256(task))
        was_fetched, content = task.work is not FileWork.KEEP and sha256 is None, None
        if was_fetched:
            received = yield from self._fetch(task)
            sha256, content = received.sha256, received.content
        elif task.file.mtime is not None:
            context.storage.set_mtime(task.path, task.file.mtime)
        has_metadata, own_metadata = True, None
        if task.file.has_unhashed_metadata:
            own_metadata = own_core_metadata(task, content, context.storage)
        elif task.wants_metadata:
            has_metadata = yield from sync_core_metadata(task, content, self._project, context)
        size_bytes = self._size_of(task) if was_fetched else 0
        return SyncedFile(size_bytes, was_fetched, has_metadata, sha256, own_metadata)

    def _right_sha256(self, task: FileTask) -> Steps[str | None]:
        """Return the SHA-256 of a file that is in place and right; None if it must be fetched.

        Without a digest nothing says whether it is the right one.
        """
        checksum = task.file.checksum
        if checksum is None:
            return None
        if task.work is FileWork.FETCH:
            # The plan may be older than the file: a worker that was lost, or another project, may have fetched it.
            stored = self._context.storage.stat(task.path)
            is_there = stored is not None and task.file.size == stored.size
            finished = yield from self._recover_finished(task, checksum)
            if finished is None and task.moved_from is not None:
                finished = yield InThread(partial(self._copied, task, task.moved_from, checksum))
            if finished is not None or not is_there:
                return finished
        if (yield from digest_of(task, checksum.algorithm, self._context)) == checksum.digest:
            if checksum.algorithm == "sha256":
                return checksum.digest
            return (yield from digest_of(task, "sha256", self._context))
        if task.work is not FileWork.FETCH:
            logger.warning("%s: its %s is wrong; it is fetched again", task.path, checksum.algorithm_name)
        return None

    def _recover_finished(self, task: FileTask, checksum: Checksum) -> Steps[str | None]:
        """Put a file in place that an earlier run wrote completely before it was killed; return its SHA-256, or None."""
        if not task.may_be_half_written:
            return None
        written, size = self._context.storage.partial_size(task.path), task.file.size
        if written == 0 or size not in (written, None):
            return None
        try:
            sha256: str = yield InThread(partial(self._publish_finished, task, written, checksum))
        except (IntegrityError, PartGoneError) as error:
            logger.debug("%s; it is fetched again", error)
            return None
        return sha256

    def _publish_finished(self, task: FileTask, written: int, checksum: Checksum) -> str:
        # Without a size, what has another digest may be the beginning, which is resumed.
        errors = (InterruptedRunError,) if task.file.size is not None else (InterruptedRunError, IntegrityError)
        kept = Partial(written, errors, checksum.algorithm)
        with self._context.storage.write(task.path, task.file.mtime, kept) as writer:
            writer.expect(task.file.url, task.file.size, checksum)
        return writer.sha256

    def _copied(self, task: FileTask, source: StoredPath, checksum: Checksum) -> str | None:
        """Copy a file from where upstream's link led before; return its SHA-256, or None if it is another file now."""
        storage = self._context.storage
        try:
            with storage.write(task.path, task.file.mtime, Partial(algorithm=checksum.algorithm)) as writer:
                for piece in storage.pieces(source):
                    if self._context.is_stopped():
                        raise InterruptedRunError
                    writer.write(piece)
                writer.expect(task.file.url, task.file.size, checksum)
        except IntegrityError as error:
            logger.debug("%s is not what it was (%s); it is fetched", source, error)
            return None
        return writer.sha256

    def _fetch(self, task: FileTask) -> Steps[Received]:
        """Fetch a file from the first of its sources that has the right one; without a digest, from the index's own."""
        *others, last = self._context.sources.urls(task.file.url)
        received: Received
        for url in others if task.file.checksum is not None else ():
            try:
                received = yield self._request(url, task)
            except (UpstreamError, IntegrityError) as error:
                # A mirror may lack a file for a while. A wrong file is worth a warning, although the next source is tried.
                logger.log(logging.WARNING if isinstance(error, IntegrityError) else logging.DEBUG, "%s", error)
            else:
                return received
        received = yield self._request(last, task)
        return received

    def _request(self, url: str, task: FileTask) -> Request[Received]:
        return Request(url, FileReceiver(url, task, self._context, self._partials), subject=self._project)

    def _size_of(self, task: FileTask) -> int:
        """Return the size of a fetched file."""
        if task.file.size is not None:
            return task.file.size
        stored = self._context.storage.stat(task.path)
        return stored.size if stored is not None else 0


def digest_of(task: FileTask, algorithm: str, context: JobContext) -> Steps[str]:
    """Return a digest of a stored file."""
    compute = partial(context.storage.digest, task.path, algorithm, context.is_stopped)
    digest: str = (
        compute() if task.file.size is not None and task.file.size < THREAD_HASH_BYTES else (yield InThread(compute))
    )
    return digest
