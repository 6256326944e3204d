"""Checks what is held of a project, so that nothing needs to be done if its page is unchanged upstream."""

from collections.abc import Mapping

from msgspec import Struct

from bandersnatch.errors import StorageError
from bandersnatch.pages.stored_documents import StoredDocuments
from bandersnatch.pages.stored_page import HeldFile, StoredPage
from bandersnatch.project.job import Job
from bandersnatch.project.job_context import JobContext
from bandersnatch.state.inventory import HeldProject
from bandersnatch.storage.layout import StoredPath, metadata_path

ONE_CALL_FILES = 512
ONE_CALL_BYTES = 32 * 1024 * 1024
"""So much is hashed in a fraction of a second by one call; splitting it into tasks would not pay."""


class LocalCheck(Struct, frozen=True):
    """Checks what is held of one project, as closely as its job and the rules demand.

    If digests are to be checked, nothing on disk is trusted: the pages must have the digest in the inventory, and the files
    the digests on the pages.
    """

    context: JobContext
    job: Job
    record: HeldProject | None
    held: StoredPage | None

    def seems_whole(self, documents: StoredDocuments) -> bool:
        """Whether the pages are there and, in a recheck, all files that they list. Files are not hashed yet."""
        context, held = self.context, self.held
        if self.job.fresh or held is None or not documents.are_there():
            return False
        if not self._are_as_published(documents):
            return False
        if not self.job.recheck:
            return True
        # The digest does not prove that: what was published may lack the legacy JSON, if upstream had none.
        if not (self._can_be_proven(held) if self._checks_digests else documents.are_whole(held.serial)):
            return False
        return not context.pages.release_files or all(map(self._is_there, held.files))

    def expected_digests(self) -> dict[StoredPath, str]:
        """Return the SHA-256 that each file of an unchanged page must have; nothing if digests are not to be checked."""
        if not (self._checks_digests and self.context.pages.release_files) or self.held is None:
            return {}
        return self.held.expected_digests or {}

    def are_right(self, expected: Mapping[StoredPath, str]) -> bool:
        """Whether all files have their expected SHA-256; a file that can't be read counts as wrong.

        Raises:
            InterruptedRunError: the run was asked to stop.
        """
        storage, is_stopped = self.context.storage, self.context.is_stopped
        try:
            return all(storage.digest(path, "sha256", is_stopped) == digest for path, digest in expected.items())
        except StorageError:  # missing, or unreadable, which the repair then reports
            return False

    @property
    def _checks_digests(self) -> bool:
        return self.job.recheck and self.context.rules.check_digests

    def _can_be_proven(self, held: StoredPage) -> bool:
        """Whether the pages are known to be as published, and their files few enough to be hashed in one call.

        If not, the whole page is fetched: then files become tasks, which workers can share.
        """
        size_bytes = sum(file.size or 0 for file in held.files)
        is_small = len(held.files) <= ONE_CALL_FILES and size_bytes <= ONE_CALL_BYTES
        # Without a reservation only a plan is made, for which the whole page is needed in any case.
        if self.context.reservation is None or not is_small or held.expected_digests is None:
            return False
        return self.record is not None and self.record.pages_digest is not None

    def _are_as_published(self, documents: StoredDocuments) -> bool:
        """Whether the documents have the digest of what was published; true if none is recorded."""
        published = self.record.pages_digest if self.record is not None else None
        return published is None or documents.digest() == published

    def _is_there(self, file: HeldFile) -> bool:
        storage = self.context.storage
        found = storage.stat(file.path)
        if found is None or found.size != file.size:
            return False
        mtime = file.mtime if self.job.recheck else None
        # Whole seconds, since some filesystems store no fractions.
        if mtime is not None and int(found.mtime) != int(mtime):
            return False
        return not file.has_metadata or storage.stat(metadata_path(file.path)) is not None
