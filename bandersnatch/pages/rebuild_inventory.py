"""Rebuilds the inventory from the pages under ``web/``, if it was deleted, or another bandersnatch made the mirror."""

from collections.abc import Callable, Iterable, Iterator

from packaging.utils import NormalizedName

from bandersnatch.errors import MalformedResponseError
from bandersnatch.json_documents import parse_root_index
from bandersnatch.model import ListedProject
from bandersnatch.names import parse_project_name
from bandersnatch.pages.stored_page import read_held_page
from bandersnatch.state.inventory import HeldProject
from bandersnatch.state.strangers import strangers_of
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import JSON_PAGE, SIMPLE, Layout, StoredPath, page_path


def held_projects(
    storage: FilesystemStorage, owns: Callable[[NormalizedName], bool] = lambda _: True
) -> Iterator[HeldProject]:
    """Yield every project that has a page, as the page describes it; without an ETag, so that it is fetched again.

    Where several indexes have pages, only those are read of which ``owns`` says that they are wanted.
    """
    display_names = _display_names(storage)
    for project, folder in project_folders(storage):
        page = read_held_page(storage, folder) if owns(project) else None
        if page is not None:
            listed = display_names.get(project)
            display_name = listed.display_name if listed is not None else project
            size_bytes = sum(file.size or 0 for file in page.files)
            strangers = strangers_of(project, (file.path for file in page.files))
            yield HeldProject(
                project, display_name, page.serial, None, len(page.files), size_bytes, None, strangers or None,
                True if page.is_quarantined else None,
            )  # fmt: skip


def quarantined_of(storage: FilesystemStorage, projects: Iterable[NormalizedName]) -> Iterator[NormalizedName]:
    """Yield the projects whose pages say that they are quarantined."""
    for project in projects:
        folders = (Layout(hash_index).page_folder(project) for hash_index in (False, True))
        pages = (read_held_page(storage, folder) for folder in folders)
        if any(page is not None and page.is_quarantined for page in pages):
            yield project


def project_folders(storage: FilesystemStorage) -> Iterator[tuple[NormalizedName, StoredPath]]:
    """Yield the folders that may hold pages, with and without ``hash-index``."""
    for name in storage.folders(SIMPLE):
        folder = StoredPath(f"{SIMPLE}/{name}")
        if parse_project_name(name) == name:
            yield NormalizedName(name), folder
        # It may be a project with a short name, a folder of hash-index, or both.
        if len(name) == 1:
            for inner in storage.folders(folder):
                if parse_project_name(inner) == inner and inner[0] == name:
                    yield NormalizedName(inner), StoredPath(f"{folder}/{inner}")


def _display_names(storage: FilesystemStorage) -> dict[NormalizedName, ListedProject]:
    """Return the projects as the root index spells them; nothing else records the spelling."""
    body = storage.read(page_path(SIMPLE, JSON_PAGE))
    if body is None:
        return {}
    try:
        return parse_root_index(body, "the root index")[1]
    except MalformedResponseError:
        return {}
