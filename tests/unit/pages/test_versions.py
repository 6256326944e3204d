"""The pages of a project in place: plain files, or links to versions, of which some are kept."""

import os
from pathlib import Path

import pytest

from bandersnatch.pages.versions import PageStore
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import ALL_PAGES, StoredPath

FOLDER = StoredPath("web/simple/foo")


def pages(text: str) -> dict[str, bytes]:
    return {name: f"{text} {name}".encode() for name in ALL_PAGES}


def on_disk(root: Path) -> dict[str, bytes]:
    """Return what a web server shows, by the names of pages."""
    folder = root / FOLDER
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} if folder.exists() else {}


def kept(root: Path, suffix: str = "html") -> list[int]:
    """Return the serials of the versions of one form."""
    names = (path.name for path in (root / FOLDER / "versions").glob(f"*.{suffix}"))
    return sorted(int(name.split("_")[1]) for name in names)


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_exactly_these_pages_are_shown(storage: FilesystemStorage, keep: int) -> None:
    store = PageStore(storage, keep)
    assert store.write(FOLDER, pages("old"), 1)
    assert store.write(FOLDER, pages("new"), 2)
    assert on_disk(storage.root) == pages("new")
    assert store.write(FOLDER, {"index.html": b"alone"}, 3)
    assert on_disk(storage.root) == {"index.html": b"alone"}


@pytest.mark.parametrize("keep", [0, 2])
def test_pages_that_are_the_same_are_not_written_again(storage: FilesystemStorage, keep: int) -> None:
    store = PageStore(storage, keep)
    store.write(FOLDER, pages("same"), 1)
    before = {path: path.lstat() for path in (storage.root / FOLDER).rglob("*")}
    assert not store.write(FOLDER, pages("same"), 2)
    assert {path: path.lstat() for path in (storage.root / FOLDER).rglob("*")} == before


def test_links_are_relative_and_lead_to_versions(storage: FilesystemStorage) -> None:
    PageStore(storage, 1).write(FOLDER, pages("x"), 7)
    for name in ALL_PAGES:
        target = os.readlink(storage.root / FOLDER / name)
        assert target.startswith("versions/index_7_")
        assert target.endswith(name.removeprefix("index"))


def test_as_many_versions_of_each_form_are_kept_as_is_wanted(storage: FilesystemStorage) -> None:
    store = PageStore(storage, 2)
    for serial in (8, 9, 10, 11):  # 9 is before 10, although not as text
        store.write(FOLDER, pages(str(serial)), serial)
    for suffix in ("html", "v1_html", "v1_json"):
        assert kept(storage.root, suffix) == [10, 11]


@pytest.mark.parametrize(("keep", "left"), [(1, [3]), (0, [])])
def test_fewer_versions_later_are_fewer_on_disk(storage: FilesystemStorage, keep: int, left: list[int]) -> None:
    for serial in (1, 2, 3):
        PageStore(storage, 3).write(FOLDER, pages(str(serial)), serial)
    PageStore(storage, keep).write(FOLDER, pages("3"), 4)
    assert kept(storage.root) == left
    assert on_disk(storage.root) == pages("3")


def test_only_versions_and_what_is_half_written_go(storage: FilesystemStorage) -> None:
    store = PageStore(storage, 1)
    store.write(FOLDER, pages("x"), 1)
    versions = storage.root / FOLDER / "versions"
    for name in ("notes.txt", "index_x_1.html", ".index_1_x.html.part", f".{'0' * 32}.part"):
        (versions / name).touch()
    store.delete(FOLDER)
    assert sorted(path.name for path in versions.iterdir()) == ["index_x_1.html", "notes.txt"]
    assert on_disk(storage.root) == {}


def test_all_paths_are_told(storage: FilesystemStorage) -> None:
    store = PageStore(storage, 2)
    assert store.paths(FOLDER) == [f"{FOLDER}/{name}" for name in ALL_PAGES]
    store.write(FOLDER, {"index.html": b"1"}, 1)
    (version,) = (storage.root / FOLDER / "versions").iterdir()
    assert store.paths(FOLDER)[len(ALL_PAGES) :] == [f"{FOLDER}/versions/{version.name}"]


@pytest.mark.parametrize("is_there", [True, False])
def test_absolute_links_of_others_become_relative_where_their_version_is_there(
    storage: FilesystemStorage, is_there: bool
) -> None:
    version = storage.root / FOLDER / "versions" / "index_1_2020-01-01T000000.000000Z.html"
    version.parent.mkdir(parents=True)
    if is_there:
        version.write_bytes(b"page")
    link = storage.root / FOLDER / "index.html"
    link.symlink_to(f"/srv/elsewhere/{FOLDER}/versions/{version.name}")
    PageStore(storage).mend_links(FOLDER)
    assert os.readlink(link).startswith("versions/") == is_there
    assert link.exists() == is_there
