"""Brings one distribution file and its core metadata onto the disk: whole and checked, or not at all."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing, suppress

from msgspec import Struct, field

from bandersnatch.errors import (
    BrokenBodyError,
    IntegrityError,
    InterruptedRunError,
    MirrorError,
    RangeRefusedError,
    StorageError,
    TimeLimitError,
    UpstreamError,
)
from bandersnatch.http.body import Resume
from bandersnatch.http.connections import new_connections
from bandersnatch.http.entity_tags import entity_tag
from bandersnatch.http.lane import OK, Question
from bandersnatch.plan.file_plan import FileTask, FileWork
from bandersnatch.progress import Progress
from bandersnatch.project.core_metadata import CoreMetadata
from bandersnatch.project.file_growth import room_to_grow
from bandersnatch.state.inventory import Inventory
from bandersnatch.storage.file_writer import Partial
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath
from bandersnatch.upstream.file_sources import FileSources
from bandersnatch.upstream.index import Upstream

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
RESUME_MIN_BYTES = 1024 * 1024
"""Below that, to note where a download stands costs more than to begin it anew."""
SMALL_BYTES = 256 * 1024
"""Below that, a file costs more CPU time than it takes on the network, and is fetched together with others."""
LANES = 4
"""How many requests one thread has under way for such files; with more, the other threads would have none."""


class SyncedFile(Struct, frozen=True):
    """What was done for a file; ``has_metadata`` is False where upstream advertises core metadata but has none."""

    size_bytes: int
    was_fetched: bool
    has_metadata: bool


class FileSync(Struct, frozen=True):
    """Works on files, one by one or small ones many at a time. Thread-safe."""

    upstream: Upstream
    storage: FilesystemStorage
    inventory: Inventory
    progress: Progress
    is_stopped: Callable[[], bool]
    reserve_bytes: int = 0
    sources: FileSources = field(default_factory=FileSources)

    def sync(self, task: FileTask) -> SyncedFile:
        """Do the work of one task.

        Raises:
            IntegrityError: upstream sends other bytes than its page promises, twice.
            UpstreamError: the file could not be fetched.
            StorageError: the disk refused.
            InterruptedRunError: the run was asked to stop.
        """
        if self.is_stopped():
            raise InterruptedRunError
        was_fetched = task.work is not FileWork.KEEP and not self._is_right(task)
        content = None
        if was_fetched:
            content = self._fetch(task)
        elif task.file.mtime is not None:
            self.storage.set_mtime(task.path, task.file.mtime)
        has_metadata = self._core_metadata.sync(task, content) if task.wants_metadata else True
        return SyncedFile(self._size_of(task) if was_fetched else 0, was_fetched, has_metadata)

    def is_small(self, task: FileTask) -> bool:
        """Whether a file is one for ``sync_together``; what may be of any size is none."""
        return (
            task.file.size is not None
            and task.file.size < SMALL_BYTES
            and (task.work is not FileWork.FETCH or not self.sources.mirror)
        )

    def sync_together(self, tasks: Sequence[FileTask], lanes: int = LANES) -> dict[str, SyncedFile]:
        """Work on small files; return, by their names, those that were right, or came from upstream at the first try.

        What became of the others is for ``sync`` to find out. Up to ``lanes`` requests are under way at a time.

        Raises:
            InterruptedRunError: the run was asked to stop.
        """
        synced: dict[str, SyncedFile] = {}
        missing = []
        for task in tasks:
            if self.is_stopped():
                raise InterruptedRunError
            with suppress(StorageError):
                if task.work is FileWork.FETCH and not self.take_finished(task):
                    missing.append(task)
                elif settled := self.settle(task):
                    synced[task.file.filename] = settled
        if missing:
            self._fetch_together(missing, lanes, synced)
        return synced

    def digests(self, paths: Sequence[StoredPath]) -> list[str | None]:
        """Return the SHA-256 of each stored file, or None where it can't be read.

        Raises:
            InterruptedRunError: the run was asked to stop.
        """
        found: list[str | None] = []
        for path in paths:
            try:
                found.append(self.storage.digest(path, "sha256", self.is_stopped))
            except StorageError:  # it is not there, or is told of by whoever wants to mend it
                found.append(None)
        return found

    def take(self, task: FileTask, content: bytes) -> SyncedFile | None:
        """Put a small file that has come in place, and its core metadata, if the wheel has it; else return None.

        Raises:
            IntegrityError: it is not the right one.
            StorageError: the disk refused.
        """
        self._keep(task, content)
        if task.wants_metadata and not self._core_metadata.keep(task, content):
            return None
        return SyncedFile(len(content), was_fetched=True, has_metadata=True)

    def take_finished(self, task: FileTask) -> bool:
        """Put a file in place that a run had written to its end before it was killed; return whether there was one.

        Raises:
            StorageError: the disk refused.
        """
        written, size = self.storage.partial_size(task.path), task.file.size
        if written == 0 or size not in (written, None):
            return False
        try:
            with self.storage.write(task.path, task.file.mtime, Partial(written)) as writer:
                writer.expect(task.file.url, size, task.file.sha256)
        except IntegrityError as error:
            logger.debug("%s; it is fetched again", error)
            return False
        return True

    def complete(self, task: FileTask) -> SyncedFile:
        """Put the core metadata of a file in place that was not in the wheel.

        Raises:
            UpstreamError: it could not be fetched.
            StorageError: the disk refused.
        """
        has_metadata = self._core_metadata.sync(task, None)
        return SyncedFile(self._size_of(task), was_fetched=True, has_metadata=has_metadata)

    def settle(self, task: FileTask) -> SyncedFile | None:
        """Return what became of a file that is there, if it is right, and its core metadata too; upstream is asked nothing.

        Raises:
            StorageError: the disk refused.
        """
        if task.work is FileWork.CHECK and self._digest(task) != task.file.sha256:
            return None
        if task.file.mtime is not None:
            self.storage.set_mtime(task.path, task.file.mtime)
        is_whole = not task.wants_metadata or self._core_metadata.is_there(task) or self._core_metadata.keep(task, None)
        return SyncedFile(0, was_fetched=False, has_metadata=True) if is_whole else None

    def _fetch_together(self, tasks: Sequence[FileTask], lanes: int, synced: dict[str, SyncedFile]) -> None:
        by_url = {task.file.url: task for task in tasks}
        wanted = deque(Question(url, task.file.size or 0) for url, task in by_url.items())
        without_metadata: list[FileTask] = []
        with closing(self.upstream.documents(wanted, lambda: lanes)) as documents:
            for question, answer in documents:
                if self.is_stopped():
                    raise InterruptedRunError
                task = by_url[question.url]
                try:
                    if answer.status != OK:
                        continue
                    if taken := self.take(task, answer.body):
                        synced[task.file.filename] = taken
                    else:
                        without_metadata.append(task)
                except InterruptedRunError:
                    raise
                except MirrorError as error:
                    logger.debug("%s; it is tried again", error)
        for task in without_metadata:  # not above, where all turns for requests may be taken
            with suppress(UpstreamError, StorageError):
                synced[task.file.filename] = self.complete(task)

    def _keep(self, task: FileTask, content: bytes) -> None:
        """Put a small file in place, if it is the right one."""
        file = task.file
        with (
            self.storage.room_for(task.path, len(content), self.reserve_bytes),
            self.storage.write(task.path, file.mtime) as writer,
        ):
            writer.write(content)
            self.progress.received(len(content))
            writer.expect(file.url, file.size, file.sha256)

    def _is_right(self, task: FileTask) -> bool:
        """Whether a file is in place, perhaps since it was finished after the plan was made."""
        if task.work is FileWork.FETCH:
            stored = self.storage.stat(task.path)
            is_there = stored is not None and task.file.size == stored.size
            return self.take_finished(task) or (is_there and self._digest(task) == task.file.sha256)
        is_right = self._digest(task) == task.file.sha256
        if not is_right:
            logger.warning("%s: its SHA-256 is wrong; it is fetched again", task.path)
        return is_right

    def _digest(self, task: FileTask) -> str:
        return self.storage.digest(task.path, "sha256", self.is_stopped)

    def _fetch(self, task: FileTask) -> bytes | None:
        """Fetch a file from the first of its places that has it right.

        What a small file holds is returned, and need not be read again.
        """
        *others, last = self.sources.urls(task.file.url)
        for url in others:
            try:
                return self._fetch_from(url, task)
            except (UpstreamError, IntegrityError) as error:
                logger.log(logging.WARNING if isinstance(error, IntegrityError) else logging.DEBUG, "%s", error)
        return self._fetch_from(last, task)

    def _fetch_from(self, url: str, task: FileTask) -> bytes | None:
        """Fetch a file; what breaks off goes on, and what is wrong begins anew, a bounded number of times."""
        wrong_bodies = broken = 0
        while True:
            before = self._partial_size(task)
            try:
                if wrong_bodies == 0:
                    return self._fetch_once(url, task, self._resume(task))
                with new_connections():  # what was wrong may have been the answer to another question
                    return self._fetch_once(url, task, None)
            except (IntegrityError, RangeRefusedError) as error:
                logger.debug("%s; it begins anew", error)
                wrong_bodies += 1
                if wrong_bodies > 1:
                    raise
            except BrokenBodyError as error:
                logger.debug("%s", error)
                # A large file on a slow line takes as many time limits as it needs, if it gets on in each of them.
                gets_on = self._partial_size(task) - before >= RESUME_MIN_BYTES
                broken += not (isinstance(error, TimeLimitError) and gets_on)
                if broken == MAX_ATTEMPTS:
                    raise

    def _size_of(self, task: FileTask) -> int:
        """Return how large a file is that has come."""
        if task.file.size is not None:
            return task.file.size
        stored = self.storage.stat(task.path)
        return stored.size if stored is not None else 0

    def _partial_size(self, task: FileTask) -> int:
        """Return how much of a file is there to go on with; a small one always begins anew."""
        return self.storage.partial_size(task.path) if _is_resumable(task) else 0

    def _resume(self, task: FileTask) -> Resume | None:
        """Return where an earlier attempt, perhaps of an earlier run, can be resumed."""
        size, whole_size = self._partial_size(task), task.file.size
        if size == 0 or whole_size is None:
            return None
        etag = entity_tag(self.inventory.partial_etag(task.path))
        is_useful = 0 < size < whole_size and etag is not None and not etag.startswith("W/")
        return Resume(size, etag, whole_size) if is_useful and etag is not None else None

    def _fetch_once(self, url: str, task: FileTask, resume: Resume | None) -> bytes | None:
        file = task.file
        is_little = file.size is not None and file.size < RESUME_MIN_BYTES
        pieces: list[bytes] = []
        room = room_to_grow(self.storage, task, url, self.reserve_bytes)
        with room as check_size, self.upstream.file(url, file.size or 0, resume) as body:
            is_resumable = _is_resumable(task) and body.etag is not None
            if is_resumable and body.offset == 0 and body.etag is not None:
                self.inventory.note_partial(task.path, body.etag)
            partial = Partial(body.offset, (BrokenBodyError,) if is_resumable else ())
            with self.storage.write(task.path, file.mtime, partial) as writer:
                for chunk in body.chunks():
                    if self.is_stopped():
                        raise InterruptedRunError
                    check_size(writer.size + len(chunk))
                    writer.write(chunk)
                    self.progress.received(len(chunk))
                    if is_little:
                        pieces.append(bytes(chunk))
                writer.expect(url, file.size, file.sha256)
        return b"".join(pieces) if is_little else None

    @property
    def _core_metadata(self) -> CoreMetadata:
        return CoreMetadata(self.upstream, self.storage, self.sources)


def _is_resumable(task: FileTask) -> bool:
    return task.file.size is not None and task.file.size >= RESUME_MIN_BYTES
