"""Adds the mirror's own files to what the filters keep of a page, for commands that leave filtering to a run."""

from collections.abc import Iterable

from msgspec.structs import replace

from bandersnatch.filters.selection import Selection
from bandersnatch.model import ProjectPage
from bandersnatch.pages.stored_page import read_held_project, read_whole_page
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath, file_path


def with_held_files(
    selection: Selection,
    storage: FilesystemStorage,
    folders: Iterable[StoredPath],
    upstream_url: str,
    *,
    takes_new: bool,
) -> ProjectPage:
    """Return the page with what the filters keep plus what we hold; without ``takes_new``, only what we hold.

    We hold what the project's page in one of ``folders`` lists; if that page is lost, what is on disk.
    """
    page = selection.upstream_page
    held = next((found for folder in folders if (found := read_whole_page(storage, folder)) is not None), None)
    if held is not None:
        paths = held.paths
    else:
        paths = {path for file in page.files if storage.stat(path := file_path(file)) is not None}
    kept = selection.page if takes_new else replace(page, files=(), versions=())
    kept_names = {file.filename for file in kept.files}
    files = tuple(file for file in page.files if file.filename in kept_names or file_path(file) in paths)
    names = {file.filename for file in files}
    versions = {*kept.versions}
    versions |= {each.version for each in selection.releases if any(file.filename in names for file in each.files)}
    if not versions.issuperset(page.versions):  # our page may have versions without files
        projects = (read_held_project(storage, folder, page.name, upstream_url) for folder in folders)
        versions |= {version for project in projects if project is not None for version in project.versions}
    return replace(page, files=files, versions=tuple(version for version in page.versions if version in versions))
