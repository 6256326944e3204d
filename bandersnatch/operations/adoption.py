"""Takes over a tree that another bandersnatch, or shadowmire, has left, before it is read for the first time.

Pages under names that are not normalized are moved, links become relative, and leftovers of those programs are deleted:
only files whose names no other program uses. Distribution files are not touched; the sync of each project checks them.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from bandersnatch.errors import RefusedPlaceError
from bandersnatch.names import parse_project_name
from bandersnatch.pages.render import is_as_we_write
from bandersnatch.pages.versions import VERSIONS, PageStore
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import (
    ALL_PAGES,
    LAST_MODIFIED,
    LEGACY_JSON,
    LEGACY_PYPI,
    LEGACY_STATUS,
    LOCAL_JSON,
    LOCAL_SERIAL,
    SIMPLE,
    TODO,
    WEB,
    StoredPath,
    json_paths,
    page_path,
)

logger = logging.getLogger(__name__)

GENERATION = StoredPath("generation")
_RELIC_FOLDERS = (StoredPath("web/local-stats/days"), StoredPath("web/serversig"))
_SHADOWMIRE = ("local.db", "local.db.serial", "local.json", "plan.json", "remote.json", "remote_excluded.json")
_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}", re.ASCII)
_SHADOWMIRE_TEMPORARY = ".tmp"
_VERSION = re.compile(r"index_\d+_.+\.(html|v1_html|v1_json)", re.ASCII)
_DISTRIBUTIONS = (
    ".whl", ".tar.gz", ".zip", ".egg", ".tgz", ".tar.bz2", ".tar.xz", ".tar.Z", ".exe", ".msi", ".rpm", ".deb", ".dmg",
    ".metadata",
)  # fmt: skip


class Adopted(Struct):
    """What the takeover changed."""

    renamed: int = 0
    cleaned: int = 0


def is_foreign(storage: FilesystemStorage) -> bool:
    """Whether another program left a tree that has pages and no records of ours."""
    return not _has_our_pages(storage)


def _has_our_pages(storage: FilesystemStorage) -> bool:
    """Whether our program wrote the root index last, or, if there is none, all pages.

    We write it once a tree is taken over completely; other programs would have written their own records since.
    """
    if any(storage.stat(path) is not None for path in (GENERATION, LEGACY_STATUS)):
        return False
    has_root_index = any(storage.stat(page_path(SIMPLE, page)) is not None for page in ALL_PAGES)
    folders = [SIMPLE] if has_root_index else _folders(storage)
    paths = (page_path(folder, page) for folder in folders for page in ALL_PAGES)
    return all(_may_be_ours(storage, path) for path in paths)


def _may_be_ours(storage: FilesystemStorage, path: StoredPath) -> bool:
    """Whether nothing shows that another program wrote a page; one that is not there, or that we may not read, does not."""
    try:
        if storage.stat(path) is None:
            return True
        with storage.open(path) as stream:  # a root index may be 40 MB
            return is_as_we_write(stream.read(100))
    except RefusedPlaceError:
        return True


def adopt(storage: FilesystemStorage, *, is_dry_run: bool = False) -> bool:
    """Take over a tree that has pages and no records of ours; return whether another program left it.

    It may be repeated after a crash. A dry run, whose storage keeps all changes to itself, only says that it would be
    done. There must be no inventory yet: with one, the tree counts as taken over.

    Raises:
        StorageError: the disk refused.
    """
    if _has_our_pages(storage):
        logger.info("%s: the records of earlier runs are gone; the mirror is read and checked as a whole", storage.root)
        return False
    is_to_be = "a run would take it over" if is_dry_run else "it is taken over"
    logger.info("%s holds a mirror of another program; %s", storage.root, is_to_be)
    adopted = adopt_pages(storage)
    # Only beside shadowmire's own files is a name in .tmp known to be its temporary file.
    strangers = [name for name in _SHADOWMIRE if storage.stat(StoredPath(f"{WEB}/{name}")) is not None]
    for path in _leftovers(storage, is_shadowmires=bool(strangers)):
        with _as_far_as_we_may():
            adopted.cleaned += storage.delete(path)
    if (stamp := storage.read(LAST_MODIFIED)) is not None:  # other versions make it readable for its owner only
        storage.delete(LAST_MODIFIED)
        storage.write_bytes(LAST_MODIFIED, stamp)
    if is_dry_run:
        return True
    # Those that we write too, where json = true, are left out.
    if unused := [name for name in strangers if StoredPath(f"{WEB}/{name}") not in (LOCAL_JSON, LOCAL_SERIAL)]:
        logger.info("shadowmire's files in %s/web are not used: %s", storage.root, ", ".join(unused))
    logger.info(
        "page folders that got their normalized name: %d; leftovers deleted: %d", adopted.renamed, adopted.cleaned
    )
    storage.flush()  # before the inventory exists, which marks all this as done
    return True


@contextmanager
def _as_far_as_we_may() -> Iterator[None]:
    """Leave what only one project needs, and another user owns, as it is: that project fails in the run."""
    try:
        yield
    except RefusedPlaceError as error:
        logger.warning("%s; it is left as it is", error)


def adopt_pages(storage: FilesystemStorage) -> Adopted:
    """Give each project's pages the place and the links that ours have."""
    adopted, pages = Adopted(), PageStore(storage)
    for folder in _folders(storage):
        with _as_far_as_we_may():
            _adopt_folder(storage, pages, folder, adopted)
    return adopted


def _folders(storage: FilesystemStorage) -> Iterator[StoredPath]:
    """Yield all folders that may hold pages, including those below a first letter, before anything is renamed."""
    for name in list(storage.folders(SIMPLE)):
        folder = StoredPath(f"{SIMPLE}/{name}")
        if len(name) == 1:
            inner: list[str] = []
            with _as_far_as_we_may():
                inner = [inner for inner in storage.folders(folder) if inner[0].lower() == name.lower()]
            yield from (StoredPath(f"{folder}/{each}") for each in inner)
        yield folder


def _adopt_folder(storage: FilesystemStorage, pages: PageStore, folder: StoredPath, adopted: Adopted) -> None:
    """Give a folder of pages its normalized name; if there are newer pages under that name, delete the old ones."""
    parent, _, name = folder.rpartition("/")
    project = parse_project_name(name)
    if project is None or not any(page in ALL_PAGES for page in storage.files(folder)):
        return
    pages.mend_links(folder)
    if project == name:
        return
    # Pages in folders by letter stay in such folders; the project's sync moves them if hash-index is off.
    parent = SIMPLE if parent == SIMPLE else f"{SIMPLE}/{project[0]}"
    place = StoredPath(f"{parent}/{project}")
    if not storage.is_same(folder, place) and any(page in ALL_PAGES for page in storage.files(place)):
        pages.delete(folder)
        adopted.cleaned += 1
        return
    if not storage.move_folder(folder, place):  # something else is there, of an operator or a killed run
        for page in ALL_PAGES:
            if (body := storage.read(page_path(folder, page))) is not None:
                storage.write_bytes(page_path(place, page), body)
        pages.delete(folder)
    adopted.renamed += 1


def _leftovers(storage: FilesystemStorage, *, is_shadowmires: bool) -> Iterator[StoredPath]:
    """Yield the files that only other programs make, and that nobody needs any more."""
    yield from (GENERATION, TODO)
    endings = (_SHADOWMIRE_TEMPORARY,) if is_shadowmires else ()
    found = storage.files_below(WEB, lambda name: name.startswith(".") or name.endswith(endings))
    yield from [path for path in found if _is_temporary(path)]
    for folder in _RELIC_FOLDERS:
        yield from [StoredPath(f"{folder}/{name}") for name in storage.files(folder)]
        yield StoredPath(f"{folder}/index.html")  # it need not exist: deleting it also deletes an empty folder
    for name in list(storage.files(LEGACY_JSON)):
        if not _is_json_of_page(storage, name):
            yield StoredPath(f"{LEGACY_JSON}/{name}")
    for name in list(storage.folders(LEGACY_PYPI)):
        if not _is_json_of_page(storage, name):
            yield StoredPath(f"{LEGACY_PYPI}/{name}/json")


def _is_temporary(path: StoredPath) -> bool:
    """Whether this is the name of a file that bandersnatch or shadowmire was writing when it was killed."""
    folder, _, name = path.rpartition("/")
    if not name.startswith("."):
        target = name.removesuffix(_SHADOWMIRE_TEMPORARY)
        return target in (*ALL_PAGES, *_SHADOWMIRE) or target.endswith(_DISTRIBUTIONS)
    found = _TEMPORARY.fullmatch(name)
    if found is None:
        return False
    is_json = folder == LEGACY_JSON or (folder.startswith(f"{LEGACY_PYPI}/") and found[1] == "json")
    is_version = folder.endswith(f"/{VERSIONS}") and _VERSION.fullmatch(found[1]) is not None
    is_page = is_version or found[1] in (*ALL_PAGES, "last-modified")
    return is_json or is_page or found[1].endswith(_DISTRIBUTIONS)


def _is_json_of_page(storage: FilesystemStorage, name: str) -> bool:
    """Whether legacy JSON has the name of a project that has a page; any other is never updated."""
    project = parse_project_name(name)
    if project is None or name.startswith("."):
        return True  # unknown, so it is not ours to delete
    if project != name:
        return any(
            storage.is_same(path, other) for path, other in zip(json_paths(name), json_paths(project), strict=True)
        )
    folders = (StoredPath(f"{SIMPLE}/{project}"), StoredPath(f"{SIMPLE}/{project[0]}/{project}"))
    try:
        return any(storage.stat(page_path(folder, page)) is not None for folder in folders for page in ALL_PAGES)
    except RefusedPlaceError:
        return True  # it may have one
