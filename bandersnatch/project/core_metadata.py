"""Puts the core metadata of a file beside it: taken from the wheel itself, or fetched from upstream (PEP 658)."""

import hashlib
import logging
from contextlib import suppress
from io import BytesIO

from bandersnatch.errors import IntegrityError, MalformedResponseError, NotFoundError, UpstreamUnavailableError
from bandersnatch.http.request import Steps
from bandersnatch.names import NormalizedName
from bandersnatch.plan.file_plan import FileTask
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.wheel_metadata import guess_wheel_metadata, read_wheel_metadata
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import metadata_path

logger = logging.getLogger(__name__)


def sync_core_metadata(
    task: FileTask, content: bytes | None, project: NormalizedName, context: JobContext
) -> Steps[bool]:
    """Put a file's core metadata in place; return False if upstream's page promises it, but upstream does not have it.

    Most wheels contain what upstream serves as their metadata, which saves a request for each of them. ``content`` is the
    content of the file, if it is in memory.

    Raises:
        UpstreamError, IntegrityError: the metadata could not be fetched, or is wrong.
        StorageError: the disk refused.
    """
    expected, storage = task.file.core_metadata_sha256, context.storage
    assert expected is not None, "a task wants core metadata only where the page advertises it"
    # Beside a file that was just fetched there is hardly ever metadata, so a wheel in memory is read first.
    if (content is None and _is_there(task, storage)) or _take_from_wheel(task, content, storage):
        return True
    kept_at = metadata_path(task.path)
    try:
        metadata = yield from _fetch(task.file.url, expected, project, context)
    except NotFoundError as error:
        logger.warning("%s: upstream's page promises it; it is not advertised here", error)
        storage.delete(kept_at)
        return False
    storage.write_bytes(kept_at, metadata, task.file.mtime)
    return True


def own_core_metadata(task: FileTask, content: bytes | None, storage: FilesystemStorage) -> str | None:
    """Put the core metadata in place that a wheel has inside, and return its SHA-256; None if it has none.

    For files of which upstream tells that there is some, and not its digest: what it serves could not be checked.

    Raises:
        StorageError: the disk refused.
    """
    known, kept_at = task.file.core_metadata_sha256, metadata_path(task.path)
    if not task.wants_metadata:
        return known
    with BytesIO(content) if content is not None else storage.open(task.path) as wheel:
        metadata = read_wheel_metadata(wheel)
    if metadata is None:
        storage.delete(kept_at)
        return None
    storage.write_bytes(kept_at, metadata, task.file.mtime)
    return hashlib.sha256(metadata).hexdigest()


def _is_there(task: FileTask, storage: FilesystemStorage) -> bool:
    """Whether a file's core metadata is in place and has the digest on upstream's page."""
    kept = storage.read(metadata_path(task.path))
    return kept is not None and hashlib.sha256(kept).hexdigest() == task.file.core_metadata_sha256


def _take_from_wheel(task: FileTask, content: bytes | None, storage: FilesystemStorage) -> bool:
    """Put the core metadata in a wheel in place; return False if there is none with the digest on upstream's page."""
    expected, metadata = task.file.core_metadata_sha256, None
    if not task.file.filename.endswith(".whl"):
        return False
    if content is not None:
        metadata = guess_wheel_metadata(content)
    if metadata is None or hashlib.sha256(metadata).hexdigest() != expected:
        with BytesIO(content) if content is not None else storage.open(task.path) as wheel:
            metadata = read_wheel_metadata(wheel)
        if metadata is None or hashlib.sha256(metadata).hexdigest() != expected:
            return False
    storage.write_bytes(metadata_path(task.path), metadata, task.file.mtime)
    return True


def _fetch(file_url: str, sha256: str, project: NormalizedName, context: JobContext) -> Steps[bytes]:
    *others, last = context.sources.urls(file_url)
    for url in others:
        # Whatever is wrong with a download mirror, upstream may still have the right metadata.
        with suppress(NotFoundError, UpstreamUnavailableError, MalformedResponseError, IntegrityError):
            return (yield from context.documents.metadata(url, sha256, project))
    return (yield from context.documents.metadata(last, sha256, project))
