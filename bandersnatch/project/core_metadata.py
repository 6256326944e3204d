"""Puts the core metadata of a file beside it: from the wheel itself, or as upstream has it (PEP 658)."""

import hashlib
import logging
from contextlib import suppress
from io import BytesIO

from msgspec import Struct

from bandersnatch.errors import IntegrityError, MalformedResponseError, NotFoundError, UpstreamUnavailableError
from bandersnatch.plan.file_plan import FileTask
from bandersnatch.project.wheel_metadata import guess_wheel_metadata, read_wheel_metadata
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import metadata_path
from bandersnatch.upstream.file_sources import FileSources
from bandersnatch.upstream.index import Upstream

logger = logging.getLogger(__name__)


class CoreMetadata(Struct, frozen=True):
    """Works on the core metadata of files. Thread-safe."""

    upstream: Upstream
    storage: FilesystemStorage
    sources: FileSources

    def sync(self, task: FileTask, content: bytes | None) -> bool:
        """Put a file's core metadata in place; return False where upstream has none in spite of what its page says.

        The wheel that lies here has it, most of the time: that saves a request for each wheel. ``content`` is what the file
        holds, where that is known.
        """
        expected = task.file.core_metadata_sha256
        assert expected is not None, "a task wants core metadata only where the page advertises it"
        if (content is None and self.is_there(task)) or self.keep(task, content):
            return True
        kept_at = metadata_path(task.path)
        try:
            metadata = self._fetch_metadata(task.file.url, expected)
        except NotFoundError as error:
            logger.warning("%s: upstream's page promises it; it is not advertised here", error)
            self.storage.delete(kept_at)
            return False
        self.storage.write_bytes(kept_at, metadata, task.file.mtime)
        return True

    def is_there(self, task: FileTask) -> bool:
        """Whether a file's core metadata is in place, and is what upstream's page promises."""
        kept = self.storage.read(metadata_path(task.path))
        return kept is not None and hashlib.sha256(kept).hexdigest() == task.file.core_metadata_sha256

    def keep(self, task: FileTask, content: bytes | None) -> bool:
        """Put the core metadata of a wheel in place; return whether the wheel has what upstream's page promises."""
        expected, metadata = task.file.core_metadata_sha256, None
        if not task.file.filename.endswith(".whl"):
            return False
        if content is not None:
            metadata = guess_wheel_metadata(content)
        if metadata is None or hashlib.sha256(metadata).hexdigest() != expected:
            with BytesIO(content) if content is not None else self.storage.open(task.path) as wheel:
                metadata = read_wheel_metadata(wheel)
            if metadata is None or hashlib.sha256(metadata).hexdigest() != expected:
                return False
        self.storage.write_bytes(metadata_path(task.path), metadata, task.file.mtime)
        return True

    def _fetch_metadata(self, file_url: str, expected_sha256: str) -> bytes:
        *others, last = self.sources.urls(file_url)
        for url in others:
            with suppress(NotFoundError, UpstreamUnavailableError, MalformedResponseError, IntegrityError):
                return self.upstream.metadata(url, expected_sha256)
        return self.upstream.metadata(last, expected_sha256)
