"""Brings one distribution file and its core metadata onto the disk: whole and checked, or not at all."""

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
from bandersnatch.http.request import PARTIAL_CONTENT, Aside, Head, Receiver, Request, Steps, Together
from bandersnatch.plan.file_plan import FileTask, FileWork
from bandersnatch.project.core_metadata import sync_core_metadata
from bandersnatch.project.file_growth import room_to_grow
from bandersnatch.project.job_context import JobContext
from bandersnatch.storage.file_writer import FileWriter, Partial
from bandersnatch.storage.layout import StoredPath

logger = logging.getLogger(__name__)

RESUME_MIN_BYTES = 1024 * 1024
"""Below that, to note where a download stands costs more than to begin it anew."""
ASIDE_BYTES = 256 * 1024
"""From that on, to hash a file takes longer than to have it done in a thread."""
FILES_TOGETHER = 16
"""So many files of a project are worked on at the same time, more than may be in flight for most configurations."""
FILES_IN_VAIN = 5
"""When so many files in a row could not be had, the others of the project are left for the next run."""


class SyncedFile(Struct, frozen=True):
    """What was done for a file; ``has_metadata`` is False where upstream advertises core metadata but has none."""

    size_bytes: int
    was_fetched: bool
    has_metadata: bool


class ProjectFiles:
    """The work on several files of one project, for which nothing else is done at the same time.

    ``partials`` are the ETags of the half-written files among them; what is to be resumed later is added.
    """

    def __init__(self, project: NormalizedName, context: JobContext, partials: Mapping[StoredPath, str]) -> None:
        self.partials = dict(partials)
        self._project, self._context = project, context
        self._synced: dict[str, SyncedFile] = {}
        self._error: Exception | None = None
        self._in_vain = 0

    def sync(self, tasks: Sequence[FileTask]) -> Steps[dict[str, SyncedFile]]:
        """Do the work of all tasks; return what was done, by the names of the files.

        Raises:
            UpstreamError, IntegrityError, StorageError: what befell the first file that could not be brought here. The
                others were worked on first, as far as that made sense.
            InterruptedRunError: the run was asked to stop.
        """
        left = iter(tasks)
        if len(tasks) == 1:
            yield from self._sync_all(left)
        else:
            yield Together(tuple(self._sync_all(left) for _ in range(min(len(tasks), FILES_TOGETHER))))
        if self._error is not None:
            raise self._error
        return self._synced

    def _sync_all(self, left: Iterator[FileTask]) -> Steps[None]:
        """Work on one file after the other until none is left."""
        for task in left:
            if isinstance(self._error, MirrorError) and (self._error.stops_run or self._in_vain >= FILES_IN_VAIN):
                return  # nothing can be written any more, or had
            try:
                self._synced[task.file.filename] = yield from self._sync_one(task)
            except Exception as error:  # noqa: BLE001 - it is raised when the last file has ended
                self._error = self._error or error
                self._in_vain = self._in_vain + 1 if isinstance(error, UpstreamUnavailableError) else 0
            else:
                self._in_vain = 0

    def _sync_one(self, task: FileTask) -> Steps[SyncedFile]:
        """Do the work of one task.

        Raises:
            IntegrityError: upstream sends other bytes than its page promises, twice.
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
        """Whether a file is in place, perhaps since it was finished after the plan was made."""
        storage = self._context.storage
        if task.work is FileWork.FETCH:
            stored = storage.stat(task.path)
            is_there = stored is not None and task.file.size == stored.size
            if (yield from self._take_finished(task)):
                return True
            return is_there and (yield from digest_of(task, self._context)) == task.file.sha256
        is_right: bool = (yield from digest_of(task, self._context)) == task.file.sha256
        if not is_right:
            logger.warning("%s: its SHA-256 is wrong; it is fetched again", task.path)
        return is_right

    def _take_finished(self, task: FileTask) -> Steps[bool]:
        """Put a file in place that a run had written to its end before it was killed; return whether there was one."""
        written, size = self._context.storage.partial_size(task.path), task.file.size
        if written == 0 or size not in (written, None):
            return False
        try:
            yield Aside(partial(self._publish_finished, task, written))
        except (IntegrityError, PartGoneError) as error:
            logger.debug("%s; it is fetched again", error)
            return False
        return True

    def _publish_finished(self, task: FileTask, written: int) -> None:
        with self._context.storage.write(task.path, task.file.mtime, Partial(written)) as writer:
            writer.expect(task.file.url, task.file.size, task.file.sha256)

    def _fetch(self, task: FileTask) -> Steps[bytes | None]:
        """Fetch a file from the first of its places that has it right.

        What a small file holds is returned, and need not be read again.
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
        """Note of which document the half-written file of that path is a part, before anything of it is written."""
        if self._context.reservation is not None:
            self._context.reservation.note_partial(self._project, path, etag)
        self.partials[path] = etag

    def _size_of(self, task: FileTask) -> int:
        """Return how large a file is that has come."""
        if task.file.size is not None:
            return task.file.size
        stored = self._context.storage.stat(task.path)
        return stored.size if stored is not None else 0


def digest_of(task: FileTask, context: JobContext) -> Steps[str]:
    """Return the SHA-256 of a stored file."""
    compute = partial(context.storage.digest, task.path, "sha256", context.is_stopped)
    digest: str = compute() if task.file.size is not None and task.file.size < ASIDE_BYTES else (yield Aside(compute))
    return digest


class Resume(Struct, frozen=True):
    """From where a broken-off download is to go on, and the ETag and size of the document that it was."""

    offset: int
    etag: str
    size: int

    def is_answered_by(self, headers: Mapping[str, str]) -> bool:
        """Whether a partial answer is the rest of that document (RFC 9110, section 15.3.7)."""
        wanted = f"bytes {self.offset}-{self.size - 1}/{self.size}"
        return headers.get("Content-Range", "").strip() == wanted and headers.get("ETag", self.etag) == self.etag


class FileReceiver(Receiver[bytes | None]):
    """Writes a file as it comes; it is published when it is whole and right. A small one returns what it holds."""

    accepts_compressed = False
    can_resume = True

    def __init__(self, url: str, task: FileTask, context: JobContext, files: ProjectFiles) -> None:
        self._url, self._task, self._context, self._files = url, task, context, files
        size = task.file.size
        self._is_resumable = size is not None and size >= RESUME_MIN_BYTES
        self._is_little = size is not None and size < RESUME_MIN_BYTES
        self._resume: Resume | None = None
        self._begins_anew = False
        """Whether what is there may be wrong, so that it is not resumed."""
        self._opened = ExitStack()
        self._pieces: list[bytes] = []

    def headers(self) -> Mapping[str, str]:
        """Hold room for the file; ask for the rest, where an earlier attempt, perhaps of an earlier run, can be resumed.

        Raises:
            StorageError: the disk has no room.
        """
        self._pieces = []
        self._resume = self._find_resume() if self._is_resumable and not self._begins_anew else None
        self._check_size = self._opened.enter_context(  # the last that can fail: nobody would give the room back
            room_to_grow(self._context.storage, self._task, self._url, self._context.reserve_bytes)
        )
        if self._resume is None:
            return {}
        return {"Range": f"bytes={self._resume.offset}-", "If-Range": self._resume.etag}

    def begin(self, head: Head) -> None:
        """Open the file, at its beginning or where it goes on.

        Raises:
            RangeRefusedError: upstream misanswered the request for the rest.
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
        kept_after = (BrokenBodyError,) if is_resumable else ()
        try:
            self._writer: FileWriter = self._opened.enter_context(
                context.storage.write(task.path, task.file.mtime, Partial(offset, kept_after))
            )
        except PartGoneError as error:  # another process has taken what was left
            raise RangeRefusedError(head.url) from error

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
        if self._is_little:
            self._pieces.append(piece)

    def end(self) -> bytes | None:
        """Publish the file.

        Raises:
            IntegrityError: it is not the right one.
            StorageError: the disk refused.
        """
        with self._opened:
            self._writer.expect(self._url, self._task.file.size, self._task.file.sha256)
        return b"".join(self._pieces) if self._is_little else None

    def break_off(self, error: Exception) -> None:
        """Keep what has come, if it can be resumed after that error; else delete it."""
        self._begins_anew |= isinstance(error, IntegrityError | RangeRefusedError)
        with suppress(type(error)), self._opened:
            raise error

    def _find_resume(self) -> Resume | None:
        size, whole_size = self._context.storage.partial_size(self._task.path), self._task.file.size
        etag = entity_tag(self._files.partials.get(self._task.path))
        if whole_size is None or not 0 < size < whole_size or etag is None or etag.startswith("W/"):
            return None
        return Resume(size, etag, whole_size)
