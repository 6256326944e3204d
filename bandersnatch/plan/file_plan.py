"""Compares the files that a page wants with those on disk: what to fetch, what to check, what to delete.

Pure: the caller has looked at the disk.
"""

import enum
from collections.abc import Callable, Mapping

from msgspec import Struct

from bandersnatch.model import DistributionFile, ProjectPage, StoredFile
from bandersnatch.storage.layout import StoredPath, file_path, is_metadata, metadata_path


class FileWork(enum.Enum):
    """What a wanted file needs."""

    KEEP = "keep"
    CHECK = "check"
    """Its size is right; its digests must be computed before it may stay."""
    FETCH = "fetch"


class FileTask(Struct, frozen=True):
    """The work on one wanted file.

    ``wants_metadata`` if its core metadata is missing or must be replaced; ``may_be_half_written`` if an earlier job may
    have written it, wholly or in part, without putting it in place; ``is_new`` if nothing was there that it may replace.
    ``moved_from`` is where the same file is, if the old page has it at another place: upstream's link has changed.
    """

    file: DistributionFile
    path: StoredPath
    work: FileWork
    wants_metadata: bool
    may_be_half_written: bool = False
    is_new: bool = False
    moved_from: StoredPath | None = None


class FilePlan(Struct, frozen=True):
    """What a project's page asks for: work on files, and deletions once the page is in place."""

    tasks: tuple[FileTask, ...]
    deletions: frozenset[StoredPath]

    @property
    def touched(self) -> set[StoredPath]:
        """All paths that the plan will write or delete."""
        written = {task.path for task in self.tasks if task.work is not FileWork.KEEP}
        return written | {metadata_path(task.path) for task in self.tasks if task.wants_metadata} | self.deletions

    @property
    def moved(self) -> frozenset[StoredPath]:
        """The places that files move from, and those of their core metadata: nothing is lost there."""
        moved = {task.moved_from for task in self.tasks if task.moved_from is not None}
        return frozenset(moved | {metadata_path(path) for path in moved})


class FileRules(Struct, frozen=True):
    """How files are checked: whether ``.metadata`` is kept, and whether digests are checked again."""

    core_metadata: bool
    check_digests: bool


def wanted_paths(page: ProjectPage, rules: FileRules) -> dict[StoredPath, DistributionFile]:
    """Return the paths that a page wants on disk, each with the file it belongs to."""
    wanted: dict[StoredPath, DistributionFile] = {}
    for file in page.files:
        path = file_path(file)
        wanted[path] = file
        if rules.core_metadata and (file.core_metadata_sha256 is not None or file.has_unhashed_metadata):
            wanted[metadata_path(path)] = file
    return wanted


class Holdings(Struct, frozen=True):
    """What is here of a project.

    ``stored`` says what is at a path; ``held`` is what the old page listed, with the SHA-256 that it gave; ``suspects``
    are files that a killed run may have left unfinished: their digests are always checked, and unwanted ones are
    deleted.
    """

    stored: Callable[[StoredPath], StoredFile | None]
    held: Mapping[StoredPath, str | None]
    suspects: frozenset[StoredPath]


def plan_files(wanted: Mapping[StoredPath, DistributionFile], here: Holdings, rules: FileRules) -> FilePlan:
    """Return the work that turns the stored files into what a page wants; ``wanted`` is from ``wanted_paths``."""
    comparison = _Comparison(wanted, here, rules)
    # Core metadata is done with the file itself.
    tasks = (comparison.task(path, file) for path, file in wanted.items() if not is_metadata(path))
    unwanted_suspects = here.suspects - wanted.keys()
    return FilePlan(tuple(task for task in tasks if task is not None), frozenset(comparison.gone | unwanted_suspects))


class _Comparison:
    """Compares what a page wants with what is here."""

    def __init__(self, wanted: Mapping[StoredPath, DistributionFile], here: Holdings, rules: FileRules) -> None:
        self._wanted, self._here, self._rules = wanted, here, rules
        self.gone = here.held.keys() - wanted.keys()
        """What the old page listed, and the new one does not."""
        digests = ((here.held[path], path) for path in self.gone if not is_metadata(path))
        self._elsewhere = {digest: path for digest, path in digests if digest is not None}

    def task(self, path: StoredPath, file: DistributionFile) -> FileTask | None:
        """Return the work on a file, if it needs any."""
        found = self._here.stored(path)
        work = self._work(path, file, found)
        wants_metadata = self._wants_metadata(path, file, work)
        # A wrong time alone is work too: the time is set to that of the upload, without reading the file.
        if work is FileWork.KEEP and not wants_metadata and not _has_wrong_time(file, found):
            return None
        is_suspect = path in self._here.suspects
        is_new = found is None and path not in self._here.held and not is_suspect
        moved_from = self._place_before(file) if found is None else None
        return FileTask(file, path, work, wants_metadata, is_suspect, is_new, moved_from)

    def _work(self, path: StoredPath, file: DistributionFile, found: StoredFile | None) -> FileWork:
        if found is None or file.size not in (found.size, None):
            return FileWork.FETCH
        # Without a size from upstream, any size on disk is accepted, but only of what the old page knew by its digest.
        is_unknown = file.sha256 is None or (file.size is None and self._here.held.get(path) != file.sha256)
        return FileWork.CHECK if is_unknown or self._is_doubtful(path) else FileWork.KEEP

    def _wants_metadata(self, path: StoredPath, file: DistributionFile, work: FileWork) -> bool:
        kept_at = metadata_path(path)
        if kept_at not in self._wanted:
            return False
        # Nothing says yet what the metadata of a wheel is of which upstream tells no digest of it.
        is_doubtful = file.core_metadata_sha256 is None or self._is_doubtful(kept_at)
        return work is FileWork.FETCH or is_doubtful or self._here.stored(kept_at) is None

    def _is_doubtful(self, path: StoredPath) -> bool:
        return self._rules.check_digests or path in self._here.suspects

    def _place_before(self, file: DistributionFile) -> StoredPath | None:
        """Return where the same file is, if the old page has it at another place."""
        source = self._elsewhere.get(file.sha256 or "")
        return source if source is not None and self._here.stored(source) is not None else None


def _has_wrong_time(file: DistributionFile, found: StoredFile | None) -> bool:
    mtime = file.mtime
    # Whole seconds, since some filesystems store no fractions.
    return found is not None and mtime is not None and int(found.mtime) != int(mtime)
