"""``FileReceiver``: writes a file to disk as it arrives, resumes an earlier attempt, and publishes the whole file."""

import re
from collections.abc import Mapping
from contextlib import ExitStack, suppress

from msgspec import Struct

from bandersnatch.errors import (
    BrokenBodyError,
    IntegrityError,
    InterruptedRunError,
    MalformedResponseError,
    PartGoneError,
    PathConflictError,
    RangeRefusedError,
)
from bandersnatch.http.entity_tags import entity_tag
from bandersnatch.http.request import PARTIAL_CONTENT, Head, Receiver
from bandersnatch.names import NormalizedName
from bandersnatch.plan.file_plan import FileTask
from bandersnatch.project.file_growth import FileGrowth
from bandersnatch.project.job_context import JobContext
from bandersnatch.storage.file_writer import FileWriter, Partial
from bandersnatch.storage.layout import StoredPath

RESUME_MIN_BYTES = 1024 * 1024
"""For a smaller file, recording what is needed to resume it costs more than fetching it again."""

_LENGTH = re.compile(r"[0-9]{1,15}")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})")


class PartialFiles:
    """The half-written files of a project: the ETag of the document of each, without which none can be resumed."""

    def __init__(self, project: NormalizedName, context: JobContext, etags: Mapping[StoredPath, str]) -> None:
        self.etags = dict(etags)
        self._project, self._reservation = project, context.reservation

    def note(self, path: StoredPath, etag: str) -> None:
        """Record the ETag of a document before the first part of it is written, so that it can be resumed after a crash."""
        if self._reservation is not None:
            self._reservation.note_partial(self._project, path, etag)
        self.etags[path] = etag


class Received(Struct, frozen=True):
    """A file that has arrived; ``content`` is set if it is small."""

    sha256: str
    content: bytes | None = None


class Resume(Struct, frozen=True):
    """Where to resume an interrupted download, and the ETag and size of its document; None if the size is not known."""

    offset: int
    etag: str
    size: int | None

    def is_answered_by(self, headers: Mapping[str, str]) -> bool:
        """Whether a partial answer is the rest of that document (RFC 9110, section 15.3.7)."""
        told = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
        if told is None or headers.get("ETag", self.etag) != self.etag:
            return False
        first, last, size = map(int, told.groups())
        return first == self.offset and last + 1 == size and self.size in (size, None)


def told_size(head: Head) -> int | None:
    """Return the size of the whole document, as the head of an answer tells it; None if it tells none."""
    if head.status == PARTIAL_CONTENT:
        return int(head.headers.get("Content-Range", "").rpartition("/")[2])  # of a range that was checked before
    length = head.headers.get("Content-Length", "").strip()
    is_told = _LENGTH.fullmatch(length) is not None and "Transfer-Encoding" not in head.headers
    return int(length) if is_told else None


def has_an_end(head: Head) -> bool:
    """Whether a body that breaks off differs from a whole one, although no size is told."""
    return not head.is_http_1 or "chunked" in head.headers.get("Transfer-Encoding", "").lower()


class FileReceiver(Receiver[Received]):
    """Writes a file as it arrives; publishes it when it is whole and right."""

    accepts_compressed = False  # offsets for Range and the promised size are those of the file as it is
    can_resume = True

    def __init__(self, url: str, task: FileTask, context: JobContext, partials: PartialFiles) -> None:
        self._url, self._task, self._context, self._partials = url, task, context, partials
        self._size = task.file.size
        """The size on upstream's page, or else what the answer tells."""
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
        self._pieces, self._size = [], self._task.file.size
        self._resume = None if self._is_small or self._starts_over else self._find_resume()
        # Nothing after this may fail: an attempt that has not begun is not broken off, so the space would stay reserved.
        self._growth = FileGrowth(self._context.storage, self._task, self._url, self._context.reserve_bytes)
        self._opened.callback(self._growth.close)
        if self._resume is None:
            return {}
        # If-Range: if the document has changed, the whole new one comes (RFC 9110, section 13.1.5).
        return {"Range": f"bytes={self._resume.offset}-", "If-Range": self._resume.etag}

    def begin(self, head: Head) -> None:
        """Open the file, at its beginning or where it is resumed.

        Raises:
            RangeRefusedError: upstream's partial answer is not the part that was requested.
            MalformedResponseError: nothing would show that the file is not whole.
            OversizedFileError: a file whose page gives no size is larger than there is room for.
            StorageError: the disk refused.
        """
        offset = 0
        if head.status == PARTIAL_CONTENT:
            if self._resume is None or not self._resume.is_answered_by(head.headers):
                raise RangeRefusedError(head.url)
            offset = self._resume.offset
        context, task = self._context, self._task
        self._take_size(head, offset)
        is_large = self._size is not None and self._size >= RESUME_MIN_BYTES
        etag = entity_tag(head.headers.get("ETag")) if is_large else None
        is_resumable = etag is not None
        if etag is not None and offset == 0:
            self._partials.note(task.path, etag)
        # After any other error, such as a wrong digest, what has arrived is worth nothing.
        kept_after = (BrokenBodyError, InterruptedRunError) if is_resumable else ()
        checksum = task.file.checksum
        algorithm = checksum.algorithm if checksum is not None else "sha256"
        # Of a small file only what an earlier job knows of: it may have been large then.
        may_be_kept = not self._is_small or task.may_be_half_written
        try:
            self._writer: FileWriter = self._opened.enter_context(
                context.storage.write(task.path, task.file.mtime, Partial(offset, kept_after, algorithm, may_be_kept))
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
        self._growth.check(self._writer.size + len(piece))
        self._writer.write(piece)
        self._context.received(len(piece))
        if self._is_small:
            self._pieces.append(piece)

    def end(self) -> Received:
        """Publish the file.

        Raises:
            IntegrityError: it is not the right one.
            PathConflictError: another project has put another file in its place meanwhile.
            StorageError: the disk refused.
        """
        with self._opened:
            self._writer.expect(self._url, self._size, self._task.file.checksum)
            self._refuse_to_replace()
        return Received(self._writer.sha256, b"".join(self._pieces) if self._is_small else None)

    def abort(self, error: Exception) -> None:
        """Keep what has arrived, if it can be resumed after that error; otherwise delete it."""
        self._starts_over |= isinstance(error, IntegrityError | RangeRefusedError)
        with suppress(type(error)), self._opened:
            raise error  # the storage's context manager sees the error, and keeps or deletes the file

    def _refuse_to_replace(self) -> None:
        path, storage = self._task.path, self._context.storage
        if not self._task.is_new or storage.stat(path) is None:
            return
        if storage.digest(path, "sha256", self._context.is_stopped) != self._writer.sha256:
            raise PathConflictError(path, f"another project of this run has put another file there than {self._url}")

    @property
    def _is_small(self) -> bool:
        return self._size is not None and self._size < RESUME_MIN_BYTES

    def _take_size(self, head: Head, offset: int) -> None:
        """Learn the size of a file from the answer, if upstream's page gives none."""
        if self._size is not None:
            return
        self._size = told_size(head)
        if self._size is not None:
            self._growth.promise(self._size, offset)
        elif self._task.file.checksum is None and not has_an_end(head):
            reason = "neither the page nor the answer gives a size or a digest: nothing would show that it is not whole"
            raise MalformedResponseError(head.url, reason)

    def _find_resume(self) -> Resume | None:
        etag, whole_size = entity_tag(self._partials.etags.get(self._task.path)), self._task.file.size
        # A weak ETag does not promise the same bytes, so a range must not rely on it (RFC 9110, section 13.1.5).
        if etag is None or etag.startswith("W/"):
            return None
        size = self._context.storage.partial_size(self._task.path)
        is_part = size > 0 and (whole_size is None or size < whole_size)
        return Resume(size, etag, whole_size) if is_part else None
