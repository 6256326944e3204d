"""Whether what is held of a project is sound, so that an unchanged page settles the matter."""

from collections.abc import Mapping

from msgspec import Struct

from bandersnatch.errors import StorageError
from bandersnatch.pages.stored_page import HeldFile, StoredPage
from bandersnatch.project.job import Job
from bandersnatch.project.job_context import JobContext
from bandersnatch.state.inventory import HeldProject
from bandersnatch.storage.layout import StoredPath, metadata_path

LITTLE_FILES = 512
LITTLE_BYTES = 32 * 1024 * 1024
"""So much is hashed in a fraction of a second, and not worth cutting into tasks."""


class LocalCheck(Struct, frozen=True):
    """Looks at what is held of one project, as closely as its job and the rules want.

    Where digests are to be checked, nothing on disk is believed that is not proven: the pages by what the inventory says
    that they hash to, and the files by the pages.
    """

    context: JobContext
    job: Job
    record: HeldProject | None
    held: StoredPage | None

    def seems_whole(self) -> bool:
        """Whether the pages, and on a recheck all the files that they list, are there; their digests come later."""
        context, held = self.context, self.held
        if self.job.fresh or held is None or not context.publisher.pages_are_there(self.job.project):
            return False
        if not self._pages_are_as_published():
            return False
        if not self.job.recheck:
            return True
        if not (self._can_be_proven(held) if self._checks_digests else self._pages_are_whole(held)):
            return False
        return not context.pages.release_files or all(map(self._is_there, held.files))

    def expected_digests(self) -> dict[StoredPath, str]:
        """Return the SHA-256 that each file must have that an unchanged page lists, where these are to be checked."""
        if not (self._checks_digests and self.context.pages.release_files) or self.held is None:
            return {}
        return self.held.expected_digests or {}

    def are_right(self, expected: Mapping[StoredPath, str]) -> bool:
        """Whether files have the SHA-256 that is expected of each; one that can't be read has not.

        Raises:
            InterruptedRunError: the run was asked to stop.
        """
        storage, is_stopped = self.context.storage, self.context.is_stopped
        try:
            return all(storage.digest(path, "sha256", is_stopped) == digest for path, digest in expected.items())
        except StorageError:  # it is not there, or is told of by whoever wants to mend it
            return False

    @property
    def _checks_digests(self) -> bool:
        return self.job.recheck and self.context.rules.check_digests

    def _pages_are_whole(self, held: StoredPage) -> bool:
        return self.context.publisher.pages_are_whole(self.job.project, held.serial)

    def _can_be_proven(self, held: StoredPage) -> bool:
        """Whether it is known that the pages are what was published, and one worker may hash all that they list.

        The work that comes of a whole page can be shared; and a plan needs a whole page in any case.
        """
        is_little = len(held.files) <= LITTLE_FILES and sum(file.size or 0 for file in held.files) <= LITTLE_BYTES
        if self.context.reservation is None or not is_little or held.expected_digests is None:
            return False
        return self.record is not None and self.record.pages_digest is not None

    def _pages_are_as_published(self) -> bool:
        """Whether the pages hash to what was published, where that is known: else what they list is not to be believed."""
        published = self.record.pages_digest if self.record is not None else None
        return published is None or self.context.publisher.pages_digest(self.job.project) == published

    def _is_there(self, file: HeldFile) -> bool:
        storage = self.context.storage
        found = storage.stat(file.path)
        if found is None or found.size != file.size:
            return False
        if self.job.recheck and file.mtime is not None and int(found.mtime) != int(file.mtime):
            return False
        return not file.has_metadata or storage.stat(metadata_path(file.path)) is not None
