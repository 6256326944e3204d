"""Puts distribution files and their core metadata in place: each one whole and checked, or not at all."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial

from msgspec import Struct
from packaging.utils import NormalizedName

from bandersnatch.errors import (
    BrokenBodyError,
    IntegrityError,
    InterruptedRunError,
    MirrorError,
    PartGoneError,
    RangeRefusedError,
    UpstreamError,
    UpstreamUnavailableError,
)
from bandersnatch.http.entity_tags import entity_tag
from bandersnatch.http.request import PARTIAL_CONTENT, Head, InThread, Receiver, Request, Steps, Together
from bandersnatch.plan.file_plan import FileTask, FileWork
from bandersnatch.project.core_metadata import sync_core_metadata
from bandersnatch.project.file_growth import room_to_grow
from bandersnatch.project.job_context import JobContext
from bandersnatch.storage.file_writer import FileWriter, Partial
from bandersnatch.storage.layout import StoredPath

logger = logging.getLogger(__name__)

RESUME_MIN_BYTES = 1024 * 1024
"""For a smaller file, recording what is needed to resume it costs more than fetching it again."""
THREAD_HASH_BYTES = 256 * 1024
"""Hashing a file of at least this size takes longer than passing the work to a thread."""
CONCURRENT_FILES = 16
"""How many files of a project are worked on at a time: in most configurations, more than may be in flight."""
MAX_FAILED_IN_A_ROW = 5
"""After so many unavailable files in a row, the other files of the project are left for the next run."""


class SyncedFile(Struct, frozen=True):
    """What was done for a file; ``has_metadata`` is False where upstream advertises core metadata but has none."""

    size_bytes: int
    was_fetched: bool
    has_metadata: bool


class ProjectFiles:
    """The work on several files of one project.

    ``partials`` are the ETags of the half-written files among them; a download that may be resumed later adds its own.
    """

    def __init__(self, project: NormalizedName, context: JobContext, partials: Mapping[StoredPath, str]) -> None:
        self.partials = dict(partials)
        self._project, self._context = project, context
        self._synced: dict[str, SyncedFile] = {}
        self._error: Exception | None = None
        self._failed_in_a_row = 0

    def sync(self, tasks: Sequence[FileTask]) -> Steps[dict[str, SyncedFile]]:
        """Do the work of all tasks; return what was done, by file name.

        Raises:
            UpstreamError, IntegrityError, StorageError: the error of the first file that failed. It is raised after the
                work on the others, so that the next run has less to do.
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
            is_over = self._failed_in_a_row >= MAX_FAILED_IN_A_ROW
            if isinstance(self._error, MirrorError) and (self._error.stops_run or is_over):
                return  # the disk is full or broken, or upstream has none of the files
            try:
                self._synced[task.file.filename] = yield from self._sync_one(task)
            except Exception as error:  # noqa: BLE001 - it is raised after the work on the other files
                self._error = self._error or error
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
        was_fetched = task.work is not FileWork.KEEP and not (yield from self._is_right(task))
        content = None
        if was_fetched:
            content = yield from self._fetch(task)
        elif task.file.mtime is not None:
            context.storage.set_mtime(task.path, task.file.mtime)
        has_metadata = True
        if task.wants_metadata:
            has_metadata = yield from sync_core_metadata(task, content, self._project, context)
        return SyncedFile(self._size_of(task) if was_fetched else 0, was_fetched, has_metadata)

    def _is_right(self, task: FileTask) -> Steps[bool]:
        """Whether a file is in place and right."""
        storage = self._context.storage
        if task.work is FileWork.FETCH:
            # The plan may be older than the file: a worker that was lost, or another project, may have fetched it.
            stored = storage.stat(task.path)
            is_there = stored is not None and task.file.size == stored.size
            if (yield from self._recover_finished(task)):
                return True
            return is_there and (yield from digest_of(task, self._context)) == task.file.sha256
        is_right: bool = (yield from digest_of(task, self._context)) == task.file.sha256
        if not is_right:
            logger.warning("%s: its SHA-256 is wrong; it is fetched again", task.path)
        return is_right

    def _recover_finished(self, task: FileTask) -> Steps[bool]:
        """Put a file in place that an earlier run wrote completely before it was killed; return whether there was one."""
        written, size = self._context.storage.partial_size(task.path), task.file.size
        if written == 0 or size not in (written, None):
            return False
        try:
            yield InThread(partial(self._publish_finished, task, written))
        except (IntegrityError, PartGoneError) as error:
            logger.debug("%s; it is fetched again", error)
            return False
        return True

    def _publish_finished(self, task: FileTask, written: int) -> None:
        with self._context.storage.write(task.path, task.file.mtime, Partial(written)) as writer:
            writer.expect(task.file.url, task.file.size, task.file.sha256)

    def _fetch(self, task: FileTask) -> Steps[bytes | None]:
        """Fetch a file from the first of its sources that has the right one.

        The content of a small file is returned, so that its metadata can be read from memory.
        """
        *others, last = self._context.sources.urls(task.file.url)
        content: bytes | None
        for url in others:
            try:
                content = yield self._request(url, task)
            except (UpstreamError, IntegrityError) as error:
                logger.log(logging.WARNING if isinstance(error, IntegrityError) else logging.DEBUG, "%s", error)
            else:
                return content
        content = yield self._request(last, task)
        return content

    def _request(self, url: str, task: FileTask) -> Request[bytes | None]:
        return Request(url, FileReceiver(url, task, self._context, self), subject=self._project)

    def note_partial(self, path: StoredPath, etag: str) -> None:
        """Record the ETag of a document before the first part of it is written, so that it can be resumed after a crash."""
        if self._context.reservation is not None:
            self._context.reservation.note_partial(self._project, path, etag)
        self.partials[path] = etag

    def _size_of(self, task: FileTask) -> int:
        """Return the size of a fetched file."""
        if task.file.size is not None:
            return task.file.size
        stored = self._context.storage.stat(task.path)
        return stored.size if stored is not None else 0


def digest_of(task: FileTask, context: JobContext) -> Steps[str]:
    """Return the SHA-256 of a stored file."""
    compute = partial(context.storage.digest, task.path, "sha256", context.is_stopped)
    digest: str = (
        compute() if task.file.size is not None and task.file.size < THREAD_HASH_BYTES else (yield InThread(compute))
    )
    return digest


class Resume(Struct, frozen=True):
    """Where to resume an interrupted download, and the ETag and size of its document."""

    offset: int
    etag: str
    size: int

    def is_answered_by(self, headers: Mapping[str, str]) -> bool:
        """Whether a partial answer is the rest of that document (RFC 9110, section 15.3.7)."""
        wanted = f"bytes {self.offset}-{self.size - 1}/{self.size}"
        return headers.get("Content-Range", "").strip() == wanted and headers.get("ETag", self.etag) == self.etag


class FileReceiver(Receiver[bytes | None]):
    """Writes a file as it arrives; publishes it when it is whole and right. The result of a small file is its content."""

    accepts_compressed = False  # offsets for Range and the promised size are those of the file as it is
    can_resume = True

    def __init__(self, url: str, task: FileTask, context: JobContext, files: ProjectFiles) -> None:
        self._url, self._task, self._context, self._files = url, task, context, files
        size = task.file.size
        self._is_resumable = size is not None and size >= RESUME_MIN_BYTES
        self._is_small = size is not None and size < RESUME_MIN_BYTES
        self._resume: Resume | None = None
        self._starts_over = False
        """Whether the half-written file may be wrong, so that it must not be resumed."""
        self._opened = ExitStack()
        self._pieces: list[bytes] = []

    def headers(self) -> Mapping[str, str]:
        """Reserve disk space; return the header fields that resume an earlier attempt, perhaps of an earlier run.

        Raises:
            StorageError: there is not enough space.
        """
        self._pieces = []
        self._resume = self._find_resume() if self._is_resumable and not self._starts_over else None
        # Nothing after this may fail: an attempt that has not begun is not broken off, so the space would stay reserved.
        self._check_size = self._opened.enter_context(
            room_to_grow(self._context.storage, self._task, self._url, self._context.reserve_bytes)
        )
        if self._resume is None:
            return {}
        # If-Range: if the document has changed, the whole new one comes (RFC 9110, section 13.1.5).
        return {"Range": f"bytes={self._resume.offset}-", "If-Range": self._resume.etag}

    def begin(self, head: Head) -> None:
        """Open the file, at its beginning or where it is resumed.

        Raises:
            RangeRefusedError: upstream's partial answer is not the part that was requested.
            StorageError: the disk refused.
        """
        offset = 0
        if head.status == PARTIAL_CONTENT:
            if self._resume is None or not self._resume.is_answered_by(head.headers):
                raise RangeRefusedError(head.url)
            offset = self._resume.offset
        context, task, etag = self._context, self._task, entity_tag(head.headers.get("ETag"))
        is_resumable = self._is_resumable and etag is not None
        if is_resumable and offset == 0 and etag is not None:
            self._files.note_partial(task.path, etag)
        # After any other error, such as a wrong digest, what has arrived is worth nothing.
        kept_after = (BrokenBodyError,) if is_resumable else ()
        try:
            self._writer: FileWriter = self._opened.enter_context(
                context.storage.write(task.path, task.file.mtime, Partial(offset, kept_after))
            )
        except PartGoneError as error:  # another process has resumed it meanwhile
            raise RangeRefusedError(head.url) from error  # which makes the next attempt start over

    def write(self, piece: bytes) -> None:
        """Write a piece.

        Raises:
            IntegrityError, OversizedFileError: the file becomes too large.
            StorageError: the disk refused.
            InterruptedRunError: the run was asked to stop.
        """
        if self._context.is_stopped():
            raise InterruptedRunError
        self._check_size(self._writer.size + len(piece))
        self._writer.write(piece)
        self._context.received(len(piece))
        if self._is_small:
            self._pieces.append(piece)

    def end(self) -> bytes | None:
        """Publish the file.

        Raises:
            IntegrityError: it is not the right one.
            StorageError: the disk refused.
        """
        with self._opened:
            self._writer.expect(self._url, self._task.file.size, self._task.file.sha256)
        return b"".join(self._pieces) if self._is_small else None

    def abort(self, error: Exception) -> None:
        """Keep what has arrived, if it can be resumed after that error; otherwise delete it."""
        self._starts_over |= isinstance(error, IntegrityError | RangeRefusedError)
        with suppress(type(error)), self._opened:
            raise error  # the storage's context manager sees the error, and keeps or deletes the file

    def _find_resume(self) -> Resume | None:
        size, whole_size = self._context.storage.partial_size(self._task.path), self._task.file.size
        etag = entity_tag(self._files.partials.get(self._task.path))
        # A weak ETag does not promise the same bytes, so a range must not rely on it (RFC 9110, section 13.1.5).
        if whole_size is None or not 0 < size < whole_size or etag is None or etag.startswith("W/"):
            return None
        return Resume(size, etag, whole_size)
