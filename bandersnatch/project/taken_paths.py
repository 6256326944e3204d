"""Refuses a file in whose place is another project's file with other bytes.

What is below ``packages/`` on any host has the same place here. So two projects of an index that links to several hosts may
claim one place; the file that came first stays, because the page of its project lists it.
"""

from collections.abc import Iterator

from bandersnatch.errors import PathConflictError
from bandersnatch.model import DistributionFile, ProjectPage
from bandersnatch.names import NormalizedName, possible_projects
from bandersnatch.pages.stored_page import HeldFile, StoredPage, read_held_page
from bandersnatch.project.job import Job
from bandersnatch.project.job_context import JobContext
from bandersnatch.storage.layout import Layout, StoredPath, file_path


class TakenPaths:
    """Finds the files of one project's page whose places are taken."""

    def __init__(self, job: Job, held: StoredPage | None, context: JobContext) -> None:
        self._job, self._context = job, context
        self._own = {file.path for file in held.files} if held is not None else set[StoredPath]()
        self._pages: dict[NormalizedName, dict[StoredPath, HeldFile]] = {}

    def of(self, page: ProjectPage) -> dict[str, PathConflictError]:
        """Return why files are refused, by their names. Only a file that is there, and not ours, costs more than a look."""
        if not self._context.pages.release_files:
            return {}
        found = ((file, self._conflict(file)) for file in page.files)
        return {file.filename: conflict for file, conflict in found if conflict is not None}

    def _conflict(self, file: DistributionFile) -> PathConflictError | None:
        path = file_path(file)
        if path in self._own or self._context.storage.stat(path) is None:
            return None
        for project in self._candidates(file, path):
            other = self._files_of(project).get(path)
            if other is not None and not _is_same(file, other):
                return PathConflictError(path, f"{project} has another file there, so {file.url} can't be kept")
        return None

    def _candidates(self, file: DistributionFile, path: StoredPath) -> Iterator[NormalizedName]:
        """Yield the projects that may list a file: by its name, or because the inventory knows it of them."""
        yield from (name for name in possible_projects(file.filename) if name != self._job.project)
        if path in self._job.files_of_others:
            yield self._job.files_of_others[path]

    def _files_of(self, project: NormalizedName) -> dict[StoredPath, HeldFile]:
        if project not in self._pages:
            folder = Layout(self._context.pages.hash_index).page_folder(project)
            held = read_held_page(self._context.storage, folder)
            self._pages[project] = {file.path: file for file in held.files} if held is not None else {}
        return self._pages[project]


def _is_same(file: DistributionFile, other: HeldFile) -> bool:
    """Whether a digest shows that both are one file."""
    checksum = file.checksum
    return checksum is not None and other.hashes.get(checksum.algorithm) == checksum.digest
