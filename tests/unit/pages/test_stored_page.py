"""Pages on disk are read back: our own, those of an older bandersnatch, and garbage."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bandersnatch.config.option_groups import PagesConfig
from bandersnatch.inifile.option import SimpleFormat
from bandersnatch.model import ProjectPage
from bandersnatch.pages.render import published_page, render_project
from bandersnatch.pages.stored_page import StoredPage, read_held_page
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import ALL_PAGES, Layout, StoredPath, file_path, metadata_path, page_path
from tests.support.builders import (
    FOLDER,
    SAMPLE,
    SHA256,
    WHEEL,
    encoded,
    json_values,
    make_file,
    make_page,
    project_pages,
    unhurried,
)

PAGES = Layout().page_folder(SAMPLE)
STORED = StoredPath(f"web/packages/{FOLDER}/{WHEEL}")
MAX_DATABASE_INTEGER = 2**63 - 1

HTML_OF_8_0 = f"""<!DOCTYPE html>
<html>
  <head>
    <meta name="pypi:repository-version" content="1.0">
    <title>Links for Sample</title>
  </head>
  <body>
    <h1>Links for Sample</h1>
    <a href="../../packages/{FOLDER}/{WHEEL}#sha256={SHA256}" data-requires-python="&gt;=3.8" \
data-core-metadata="sha256={SHA256}" data-dist-info-metadata="sha256={SHA256}">{WHEEL}</a><br/>
    <a href="../../packages/{FOLDER}/sample-1.0.tar.gz#md5=00" data-yanked="">sample-1.0.tar.gz</a><br/>
  </body>
</html>
<!--SERIAL 105-->"""

JSON_OF_8_0: dict[str, Any] = {
    "files": [
        {
            "filename": WHEEL,
            "hashes": {"sha256": SHA256},
            "requires-python": None,
            "size": 7,
            "upload-time": "2024-05-06T07:08:09.123456Z",
            "url": f"../../packages/{FOLDER}/{WHEEL}",
            "yanked": False,
            "core-metadata": {"sha256": SHA256},
        },
        {
            "filename": "sample-1.0.tar.gz",
            "hashes": {"md5": "00"},
            "requires-python": "",
            "size": 9,
            "upload-time": "2024-05-06T07:08:09Z",
            "url": f"../../packages/{FOLDER}/sample-1.0.tar.gz",
            "yanked": True,
            "core-metadata": False,
        },
    ],
    "meta": {"api-version": "1.1", "_last-serial": "105"},
    "name": "sample",
    "versions": ["1.0"],
}


def read(folder: Path, **pages: bytes) -> StoredPage | None:
    """Write pages, named by ``html``, ``v1_html`` and ``v1_json``, and read what is held."""
    storage = FilesystemStorage(folder)
    for kind, body in pages.items():
        storage.write_bytes(page_path(PAGES, f"index.{kind}"), body)
    return read_held_page(storage, PAGES)


def read_ours(folder: Path, page: ProjectPage, **config: Any) -> StoredPage | None:
    """Write our own pages, and read what is held."""
    settings = PagesConfig(**config)
    storage = FilesystemStorage(folder)
    for name, body in render_project(published_page(page, settings, {}), settings).items():
        storage.write_bytes(page_path(PAGES, name), body)
    return read_held_page(storage, PAGES)


def wanted_paths_of(page: ProjectPage) -> set[str]:
    paths: set[str] = {file_path(file) for file in page.files}
    return paths | {metadata_path(file_path(file)) for file in page.files if file.core_metadata_sha256}


def test_where_there_is_no_page_nothing_is_held(tmp_path: Path) -> None:
    assert read(tmp_path) is None


@unhurried
@given(project_pages(), st.sampled_from(SimpleFormat))
def test_our_own_pages_are_read_back(page: ProjectPage, simple_format: SimpleFormat) -> None:
    with tempfile.TemporaryDirectory() as folder:
        held = read_ours(Path(folder), page, simple_format=simple_format)
    assert held is not None
    assert held.serial == (page.serial or 0)
    assert held.paths == wanted_paths_of(page)
    assert [file.path for file in held.files] == [file_path(file) for file in page.files]
    assert [file.hashes["sha256"] for file in held.files] == [file.sha256 for file in page.files]
    if simple_format is not SimpleFormat.HTML:
        assert [file.size for file in held.files] == [file.size for file in page.files]


@pytest.mark.parametrize("simple_format", SimpleFormat)
@pytest.mark.parametrize("root_uri", ["https://cdn.example", "https://cdn.example/a/b", "/pypi"])
def test_our_own_pages_with_root_uri_are_read_back(tmp_path: Path, root_uri: str, simple_format: SimpleFormat) -> None:
    page = make_page(make_file(core_metadata_sha256=SHA256))
    held = read_ours(tmp_path, page, root_uri=root_uri, simple_format=simple_format)
    assert held is not None
    assert held.paths == wanted_paths_of(page)


def test_the_other_digest_of_our_page_is_read_back(tmp_path: Path) -> None:
    page = make_page(make_file(hashes={"sha256": SHA256, "md5": "0" * 32}))
    held = read_ours(tmp_path, page, digest_name="md5")
    assert held is not None
    assert held.files[0].hashes == {"sha256": SHA256, "md5": "0" * 32}


def test_a_page_without_files_is_held_all_the_same(tmp_path: Path) -> None:
    assert read_ours(tmp_path, make_page(serial=4)) == StoredPage(4, ())


def test_the_html_of_bandersnatch_8_is_read(tmp_path: Path) -> None:
    held = read(tmp_path, html=HTML_OF_8_0.encode())
    assert held is not None
    assert held.serial == 105
    assert [(file.path, file.hashes, file.has_metadata) for file in held.files] == [
        (STORED, {"sha256": SHA256}, True),
        (f"web/packages/{FOLDER}/sample-1.0.tar.gz", {"md5": "00"}, False),
    ]


def test_the_json_of_bandersnatch_8_is_read(tmp_path: Path) -> None:
    held = read(tmp_path, v1_json=encoded(JSON_OF_8_0))
    assert held is not None
    assert held.serial == 105
    assert [(file.path, file.size, file.has_metadata) for file in held.files] == [
        (STORED, 7, True),
        (f"web/packages/{FOLDER}/sample-1.0.tar.gz", 9, False),
    ]
    assert held.paths == {STORED, f"{STORED}.metadata", f"web/packages/{FOLDER}/sample-1.0.tar.gz"}


def test_a_page_of_bandersnatch_8_that_is_a_link_is_read(tmp_path: Path) -> None:
    storage = FilesystemStorage(tmp_path)
    version = StoredPath(f"{PAGES}/versions/index_105_2024-05-06T070809.000000Z.html")
    storage.write_bytes(version, HTML_OF_8_0.encode())
    (tmp_path / PAGES / "index.html").symlink_to(tmp_path / version)
    held = read_held_page(storage, PAGES)
    assert held is not None
    assert len(held.files) == 2


def test_an_html_page_from_before_serials_is_at_serial_zero(tmp_path: Path) -> None:
    assert read(tmp_path, html=b"<a href='../../packages/source/s/sample/sample-1.0.zip'>x</a>") == StoredPage(
        0, (read_one("web/packages/source/s/sample/sample-1.0.zip"),)
    )


def read_one(path: str) -> Any:
    """Return a held file of which only the path is known."""
    from bandersnatch.pages.stored_page import HeldFile

    return HeldFile(StoredPath(path), None, {}, has_metadata=False)


@pytest.mark.parametrize("name", ALL_PAGES)
def test_any_one_of_the_pages_is_enough(tmp_path: Path, name: str) -> None:
    storage = FilesystemStorage(tmp_path)
    config = PagesConfig()
    page = make_page(make_file())
    body = render_project(published_page(page, config, {}), config)[name]
    storage.write_bytes(page_path(PAGES, name), body)
    held = read_held_page(storage, PAGES)
    assert held is not None
    assert held.paths == {STORED}


def test_json_goes_before_html(tmp_path: Path) -> None:
    held = read(tmp_path, html=b"<!--SERIAL 1-->", v1_json=encoded(JSON_OF_8_0))
    assert held is not None
    assert held.serial == 105


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b'{"files": 1}', b"\xff", b"[" * 50_000, b'{"files": [], "meta": 1}']
)
def test_html_stands_in_for_json_that_can_not_be_read(tmp_path: Path, body: bytes) -> None:
    held = read(tmp_path, html=HTML_OF_8_0.encode(), v1_json=body)
    assert held is not None
    assert held.serial == 105


def test_json_that_can_not_be_read_and_no_html_is_no_page(tmp_path: Path) -> None:
    assert read(tmp_path, v1_json=b"{") is None


@pytest.mark.parametrize("url", ["../../../etc/passwd", "https://elsewhere/x.whl", "../../packages/%2e%2e/x", "[", ""])
def test_a_link_to_no_file_of_ours_is_left_out(tmp_path: Path, url: str) -> None:
    assert read(tmp_path, v1_json=encoded({"files": [{"url": url}]})) == StoredPage(0, ())
    assert read(tmp_path, html=f'<a href="{url}">x</a>'.encode()) == StoredPage(0, ())


def test_a_link_that_is_no_utf8_is_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, v1_json=encoded({"files": [{"url": "../../packages/aa/%ff"}]})) == StoredPage(0, ())


@pytest.mark.parametrize("serial", [-1, "-1", 2**63, "9" * 19, "x", "", "1_0", " 7 ", "9" * 5000])
def test_a_serial_that_can_not_be_makes_the_page_useless_but_harmless(tmp_path: Path, serial: int | str) -> None:
    held = read(tmp_path, v1_json=encoded({"files": [], "meta": {"_last-serial": serial}}))
    assert held is None or 0 <= held.serial <= MAX_DATABASE_INTEGER


def test_a_serial_in_html_that_can_not_be_is_harmless(tmp_path: Path) -> None:
    held = read(tmp_path, html=b"<!--SERIAL 9999999999999999999-->")
    assert held is None or 0 <= held.serial <= MAX_DATABASE_INTEGER


def test_only_the_last_comment_of_the_html_is_its_serial(tmp_path: Path) -> None:
    held = read(tmp_path, html=b"<!--SERIAL 5--><p>text</p>")
    assert held == StoredPage(0, ())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"<",
        b"<a",
        b"<a href",
        b"<!",
        b"<!-",
        b"<![foo[x]]>",
        b"<![if x]>",
        b"<!DOCTYPE [<",
        b"</",
        b"&",
    ],
)
def test_html_that_is_garbage_lists_nothing(tmp_path: Path, body: bytes) -> None:
    assert read(tmp_path, html=body) == StoredPage(0, ())


@unhurried
@given(
    st.binary() | st.lists(st.sampled_from([b"<", b"!", b"[", b"-", b"a", b" href=", b'"', b">", b"]"])).map(b"".join)
)
@example(b"<![foo[")
def test_any_bytes_of_html_can_be_read(body: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        held = read(Path(folder), html=body)
    assert held is not None
    assert all(path.startswith("web/packages/") for path in held.paths)


@unhurried
@given(st.binary() | json_values.map(encoded) | json_values.map(lambda value: encoded({"files": [{"url": value}]})))
def test_any_bytes_of_json_are_a_page_or_none(body: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        held = read(Path(folder), v1_json=body)
    assert held is None or all(path.startswith("web/packages/") for path in held.paths)
