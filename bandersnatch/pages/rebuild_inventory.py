"""Rebuilds the inventory from the pages under ``web/``, if it was deleted, or another bandersnatch made the mirror."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress

from bandersnatch.errors import MalformedResponseError, RefusedPlaceError
from bandersnatch.json_documents import parse_root_index
from bandersnatch.model import ListedProject
from bandersnatch.names import NormalizedName, parse_project_name
from bandersnatch.pages.stored_page import read_held_page
from bandersnatch.state.inventory import HeldProject
from bandersnatch.state.strangers import strangers_of
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import JSON_PAGE, SIMPLE, Layout, StoredPath, page_path


def held_projects(
    storage: FilesystemStorage, owns: Callable[[NormalizedName], bool] = lambda _: True
) -> Iterator[HeldProject]:
    """Yield every project that has a page, as the page describes it; without an ETag, so that it is fetched again.

    Where several indexes have pages, only those are read of which ``owns`` says that they are wanted. A project whose
    page we may not read is as the root index lists it, and without files: ``unreadable`` finds it again.
    """
    listed = _listed(storage)
    for name in storage.folders(SIMPLE):
        for project, folder in _page_folders(storage, name, listed):
            if owns(project):
                try:
                    held = _held(storage, project, folder, listed.get(project))
                except RefusedPlaceError:
                    held = _unread(project, listed.get(project))
                if held is not None:
                    yield held


def unreadable(storage: FilesystemStorage, held: Iterable[HeldProject]) -> Iterator[HeldProject]:
    """Yield the projects of a rebuilt inventory whose pages we may not read."""
    for each in held:
        if not each.files:
            try:
                for hash_index in (False, True):
                    read_held_page(storage, Layout(hash_index).page_folder(each.name))
            except RefusedPlaceError:
                yield each


def quarantined_of(storage: FilesystemStorage, projects: Iterable[NormalizedName]) -> Iterator[NormalizedName]:
    """Yield the projects whose pages say that they are quarantined."""
    for project in projects:
        folders = (Layout(hash_index).page_folder(project) for hash_index in (False, True))
        pages = (read_held_page(storage, folder) for folder in folders)
        with suppress(RefusedPlaceError):
            if any(page is not None and page.is_quarantined for page in pages):
                yield project


def project_folders(storage: FilesystemStorage) -> Iterator[tuple[NormalizedName, StoredPath]]:
    """Yield the folders that may hold pages, with and without ``hash-index``."""
    for name in storage.folders(SIMPLE):
        yield from _folders_of(storage, name)


def _folders_of(storage: FilesystemStorage, name: str) -> Iterator[tuple[NormalizedName, StoredPath]]:
    """Yield those that are, or are in, a folder of the simple index."""
    folder = StoredPath(f"{SIMPLE}/{name}")
    if parse_project_name(name) == name:
        yield NormalizedName(name), folder
    # It may be a project with a short name, a folder of hash-index, or both.
    if len(name) == 1:
        for inner in storage.folders(folder):
            if parse_project_name(inner) == inner and inner[0] == name:
                yield NormalizedName(inner), StoredPath(f"{folder}/{inner}")


def _page_folders(
    storage: FilesystemStorage, name: str, listed: Collection[NormalizedName]
) -> list[tuple[NormalizedName, StoredPath]]:
    """Return the same; of a folder that we may not list, those of the projects that the root index has.

    Raises:
        StorageError: we may not list it, and there is no root index that tells.
    """
    try:
        return list(_folders_of(storage, name))
    except RefusedPlaceError:
        if not listed:
            raise
        flat, hashed = Layout(hash_index=False), Layout(hash_index=True)
        inside = (project for project in listed if project[0] == name and project != name)
        found = [(each, hashed.page_folder(each)) for each in inside if not storage.is_folder(flat.page_folder(each))]
        if name in listed:
            found.append((NormalizedName(name), StoredPath(f"{SIMPLE}/{name}")))
        return found


def _held(
    storage: FilesystemStorage, project: NormalizedName, folder: StoredPath, listed: ListedProject | None
) -> HeldProject | None:
    page = read_held_page(storage, folder)
    if page is None:
        return None
    size_bytes = sum(file.size or 0 for file in page.files)
    strangers = strangers_of(project, (file.path for file in page.files))
    return HeldProject(
        project, listed.display_name if listed is not None else project, page.serial, None, len(page.files), size_bytes,
        None, strangers or None, True if page.is_quarantined else None,
    )  # fmt: skip


def _unread(project: NormalizedName, listed: ListedProject | None) -> HeldProject:
    if listed is None:
        return HeldProject(project, project, 0, None, 0, 0)
    return HeldProject(project, listed.display_name, listed.serial, None, 0, 0)


def _listed(storage: FilesystemStorage) -> dict[NormalizedName, ListedProject]:
    """Return the projects as the root index lists them; nothing else records the spelling of their names."""
    body = storage.read(page_path(SIMPLE, JSON_PAGE))
    if body is None:
        return {}
    try:
        return parse_root_index(body, "the root index")[1]
    except MalformedResponseError:
        return {}
