"""The inventory is rebuilt from the pages under ``web/``."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bandersnatch.config.option_groups import PagesConfig
from bandersnatch.inifile.option import SimpleFormat
from bandersnatch.model import ProjectPage
from bandersnatch.pages.forms import IndexedProject
from bandersnatch.pages.rebuild_inventory import held_projects
from bandersnatch.pages.render import published_page, render_project
from bandersnatch.pages.root_index import RootIndex
from bandersnatch.state.inventory import HeldProject, Inventory
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import Layout, StoredPath, page_path
from tests.support.builders import SAMPLE, encoded, make_file, make_page, named


@pytest.fixture
def storage(tmp_path: Path) -> FilesystemStorage:
    return FilesystemStorage(tmp_path)


def write(storage: FilesystemStorage, page: ProjectPage, **config: Any) -> None:
    """Write a project's pages as the mirror does."""
    settings = PagesConfig(**config)
    folder = Layout(settings.hash_index).page_folder(page.name)
    for name, body in render_project(published_page(page, settings, {}), settings).items():
        storage.write_bytes(page_path(folder, name), body)


def held(storage: FilesystemStorage) -> list[HeldProject]:
    return sorted(held_projects(storage), key=lambda project: project.name)


def test_an_empty_mirror_holds_nothing(storage: FilesystemStorage) -> None:
    assert held(storage) == []


@pytest.mark.parametrize("hash_index", [False, True])
def test_every_project_with_a_page_is_found(storage: FilesystemStorage, hash_index: bool) -> None:
    write(storage, make_page(make_file(), make_file("sample-1.0.tar.gz"), serial=5), hash_index=hash_index)
    write(storage, make_page(name=named("a"), serial=6), hash_index=hash_index)
    write(storage, make_page(name=named("abc"), serial=7), hash_index=hash_index)
    assert held(storage) == [
        HeldProject(named("a"), "a", 6, None, 0, 0),
        HeldProject(named("abc"), "abc", 7, None, 0, 0),
        HeldProject(SAMPLE, "sample", 5, None, 2, 14),
    ]


def test_a_project_is_found_by_html_alone(storage: FilesystemStorage) -> None:
    write(storage, make_page(make_file(), serial=5), simple_format=SimpleFormat.HTML)
    assert held(storage) == [HeldProject(SAMPLE, "sample", 5, None, 1, 0)]


def test_names_are_spelled_as_in_the_root_index(storage: FilesystemStorage) -> None:
    write(storage, make_page(serial=5))
    RootIndex(storage, PagesConfig()).write([IndexedProject(SAMPLE, "Sample", 5)], 5)
    assert held(storage) == [HeldProject(SAMPLE, "Sample", 5, None, 0, 0)]


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", encoded({"projects": [{"name": 1}]})])
def test_a_root_index_that_can_not_be_read_does_no_harm(storage: FilesystemStorage, body: bytes) -> None:
    write(storage, make_page(serial=5))
    storage.write_bytes(StoredPath("web/simple/index.v1_json"), body)
    assert held(storage) == [HeldProject(SAMPLE, "sample", 5, None, 0, 0)]


def test_what_is_no_project_is_left_out(storage: FilesystemStorage) -> None:
    for name in ("Django", "a_b", "-x", ".hidden", "empty/versions"):
        storage.write_bytes(StoredPath(f"web/simple/{name}/other"), b"")
    storage.write_bytes(StoredPath("web/simple/Django/index.html"), b"")
    storage.write_bytes(StoredPath("web/simple/x/other/index.html"), b"")
    assert held(storage) == []


def test_what_was_rebuilt_can_be_recorded(storage: FilesystemStorage, tmp_path: Path) -> None:
    write(storage, make_page(make_file(), serial=5))
    with closing(Inventory(tmp_path / "inventory.sqlite")) as inventory:
        inventory.open()
        inventory.put_all(held_projects(storage))
        assert list(inventory.projects()) == held(storage)


@pytest.mark.parametrize(
    "page",
    [
        {"files": [], "meta": {"_last-serial": 2**63}},
        {"files": [], "meta": {"_last-serial": "9" * 19}},
        {"files": [{"url": "../../packages/aa/x", "size": 2**63}]},
        {"files": [{"url": "../../packages/aa/%ff", "size": 1}]},
    ],
)
def test_one_page_that_is_garbage_does_not_keep_the_others_from_being_recorded(
    storage: FilesystemStorage, tmp_path: Path, page: object
) -> None:
    write(storage, make_page(serial=5))
    storage.write_bytes(StoredPath("web/simple/broken/index.v1_json"), encoded(page))
    with closing(Inventory(tmp_path / "inventory.sqlite")) as inventory:
        inventory.open()
        inventory.put_all(held_projects(storage))
        assert SAMPLE in inventory.serials()


@pytest.mark.parametrize("body", [b"<![foo[x]]>", b"<!--SERIAL 9999999999999999999-->"])
def test_one_html_page_that_is_garbage_does_not_keep_the_others_from_being_recorded(
    storage: FilesystemStorage, tmp_path: Path, body: bytes
) -> None:
    write(storage, make_page(serial=5))
    storage.write_bytes(StoredPath("web/simple/broken/index.html"), body)
    with closing(Inventory(tmp_path / "inventory.sqlite")) as inventory:
        inventory.open()
        inventory.put_all(held_projects(storage))
        assert SAMPLE in inventory.serials()
