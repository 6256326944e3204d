"""Compares the files that a page wants with the ones that are stored: what to fetch, what to check, what to delete.

Pure: whoever calls it has looked at the disk.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from bandersnatch.layout import StoredPath, file_path, metadata_path
from bandersnatch.model import DistributionFile, ProjectPage, StoredFile


class FileWork(enum.Enum):
    """What a wanted file needs."""

    KEEP = "keep"
    CHECK = "check"
    """Its size is right; its digest must be computed before it may stay."""
    FETCH = "fetch"


@dataclass(frozen=True, slots=True)
class FileTask:
    """The work on one wanted file; ``wants_metadata`` where its core metadata is missing, or must be made anew."""

    file: DistributionFile
    path: StoredPath
    work: FileWork
    wants_metadata: bool


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What a project's page asks for: work on files, and, once its page is in place, deletions."""

    tasks: tuple[FileTask, ...]
    deletions: frozenset[StoredPath]

    @property
    def touched(self) -> set[StoredPath]:
        """All paths that the plan will write or delete."""
        written = {task.path for task in self.tasks if task.work is not FileWork.KEEP}
        return written | {metadata_path(task.path) for task in self.tasks if task.wants_metadata} | self.deletions


@dataclass(frozen=True, slots=True)
class FileRules:
    """How files are looked at: whether ``.metadata`` is kept, and whether digests are checked again."""

    core_metadata: bool
    check_digests: bool


def wanted_paths(page: ProjectPage, rules: FileRules) -> dict[StoredPath, DistributionFile]:
    """Return the paths that a page wants on disk, each with the file it belongs to."""
    wanted: dict[StoredPath, DistributionFile] = {}
    for file in page.files:
        path = file_path(file)
        wanted[path] = file
        if rules.core_metadata and file.core_metadata_sha256 is not None:
            wanted[metadata_path(path)] = file
    return wanted


def plan_files(
    page: ProjectPage,
    stored: Mapping[StoredPath, StoredFile | None],
    held: frozenset[StoredPath],
    suspects: frozenset[StoredPath],
    rules: FileRules,
) -> FilePlan:
    """Return the work that brings the stored files to what ``page`` wants.

    ``stored`` tells of each of ``wanted_paths`` what is there, ``held`` is what the old page listed, and ``suspects`` are
    files that a dead run may have left half-done: their digests are always checked, and what is not wanted is deleted.
    """
    tasks = []
    for file in page.files:
        path = file_path(file)
        found = stored[path]
        wants_metadata = False
        work = FileWork.KEEP
        if found is None or found.size != file.size:
            work = FileWork.FETCH
        elif rules.check_digests or path in suspects:
            work = FileWork.CHECK
        if rules.core_metadata and file.core_metadata_sha256 is not None:
            kept = stored[metadata_path(path)]
            is_doubtful = rules.check_digests or metadata_path(path) in suspects
            wants_metadata = kept is None or work is FileWork.FETCH or is_doubtful
        mtime = file.mtime
        wrong_mtime = (
            work is FileWork.KEEP and found is not None and mtime is not None and int(found.mtime) != int(mtime)
        )
        if work is not FileWork.KEEP or wants_metadata or wrong_mtime:
            tasks.append(FileTask(file, path, work, wants_metadata))
    return FilePlan(tuple(tasks), frozenset((held | suspects) - wanted_paths(page, rules).keys()))
