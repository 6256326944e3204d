"""The documents of a project on disk are checked, each of them with one look."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bandersnatch.config.option_groups import PagesConfig
from bandersnatch.pages.render import published_page, render_project
from bandersnatch.pages.stored_documents import StoredDocuments, digest_of
from bandersnatch.pages.stored_page import read_held_page
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import ALL_PAGES, HTML_PAGES, JSON_PAGE, Layout, json_paths, page_path
from tests.support.builders import SAMPLE, make_file, make_page
from tests.support.counting_storage import CountingStorage

PAGES = Layout().page_folder(SAMPLE)
SERIAL = 105


def publish(storage: FilesystemStorage, **options: Any) -> StoredDocuments:
    """Write the pages of a project, and its legacy JSON if there shall be such."""
    config = PagesConfig(**options)
    page = make_page(make_file(), serial=SERIAL)
    for name, body in render_project(published_page(page, config, {}), config).items():
        storage.write_bytes(page_path(PAGES, name), body)
    for path in json_paths(SAMPLE) if config.legacy_json else ():
        storage.write_bytes(path, b"{}")
    return StoredDocuments(storage, config, SAMPLE)


def test_each_document_is_read_once_whatever_is_asked(tmp_path: Path) -> None:
    storage = CountingStorage(tmp_path)
    publish(storage)
    storage.reads.clear()
    documents = StoredDocuments(storage, PagesConfig(), SAMPLE)
    assert documents.page == read_held_page(FilesystemStorage(tmp_path), PAGES)
    assert documents.are_there()
    assert documents.are_whole(SERIAL)
    assert documents.digest() == documents.digest()
    paths = {*(page_path(PAGES, name) for name in ALL_PAGES), *json_paths(SAMPLE)}
    assert storage.reads == dict.fromkeys(paths, 1)


def test_only_the_page_is_read_for_what_it_says(tmp_path: Path) -> None:
    storage = CountingStorage(tmp_path)
    publish(storage)
    storage.reads.clear()
    assert StoredDocuments(storage, PagesConfig(), SAMPLE).page is not None
    assert storage.reads == {page_path(PAGES, JSON_PAGE): 1}


def test_a_project_without_pages_has_nothing(storage: FilesystemStorage) -> None:
    documents = StoredDocuments(storage, PagesConfig(), SAMPLE)
    assert documents.page is None
    assert not documents.are_there()
    assert not documents.are_whole(SERIAL)
    assert documents.digest() == digest_of({})


def cut(body: bytes) -> bytes:
    return body[: len(body) // 2]


def of_another_serial(body: bytes) -> bytes:
    return body.replace(str(SERIAL).encode(), str(SERIAL - 1).encode())


@pytest.mark.parametrize("spoil", [cut, of_another_serial])
@pytest.mark.parametrize("name", ALL_PAGES)
def test_one_form_that_is_cut_or_of_another_serial_is_noticed(
    storage: FilesystemStorage, name: str, spoil: Callable[[bytes], bytes]
) -> None:
    before = publish(storage).digest()
    path = page_path(PAGES, name)
    storage.write_bytes(path, spoil(storage.read(path) or b""))
    documents = StoredDocuments(storage, PagesConfig(), SAMPLE)
    assert documents.are_there()
    assert not documents.are_whole(SERIAL)
    assert documents.digest() != before


@pytest.mark.parametrize("name", ALL_PAGES)
def test_one_form_that_is_missing_is_noticed(storage: FilesystemStorage, name: str) -> None:
    before = publish(storage).digest()
    storage.delete(page_path(PAGES, name))
    documents = StoredDocuments(storage, PagesConfig(), SAMPLE)
    assert not documents.are_there()
    assert not documents.are_whole(SERIAL)
    assert documents.digest() != before


def test_forms_of_one_serial_that_differ_are_noticed(storage: FilesystemStorage) -> None:
    publish(storage)
    path = page_path(PAGES, HTML_PAGES[0])
    storage.write_bytes(path, b"<!-- another -->" + (storage.read(path) or b""))
    assert not StoredDocuments(storage, PagesConfig(), SAMPLE).are_whole(SERIAL)


@pytest.mark.parametrize("place", [0, 1])
def test_legacy_json_that_is_missing_is_noticed_where_it_is_configured(storage: FilesystemStorage, place: int) -> None:
    documents = publish(storage, legacy_json=True)
    assert documents.are_whole(SERIAL)
    before = documents.digest()
    storage.delete(json_paths(SAMPLE)[place])
    without = StoredDocuments(storage, PagesConfig(legacy_json=True), SAMPLE)
    assert not without.are_whole(SERIAL)
    assert without.digest() != before
    assert StoredDocuments(storage, PagesConfig(), SAMPLE).are_whole(SERIAL)
