"""What each path leads to: pages, files, redirects; and that nothing outside of ``web/`` is ever opened."""

import logging
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandersnatch.errors import StorageError
from bandersnatch.logs import TOLD_ONCE
from bandersnatch.serving.negotiation import V1_HTML, V1_JSON
from bandersnatch.serving.site import Document, Redirect, Site
from bandersnatch.storage.layout import Layout
from tests.support.serving import WHEEL, WHEEL_BYTES, make_web

HTML_UTF8 = "text/html; charset=utf-8"


@pytest.fixture(params=[False, True], ids=["", "hash-index"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Site:
    return Site(make_web(tmp_path / "web", hash_index=request.param), Layout(request.param))


@pytest.fixture
def web(tmp_path: Path) -> Path:
    return make_web(tmp_path / "web")


@pytest.fixture
def plain(web: Path) -> Site:
    return Site(web, Layout())


def read(found: Document | Redirect | None) -> bytes | str | None:
    """Return the content of a document, or the target of a redirect."""
    if not isinstance(found, Document):
        return None if found is None else found.location
    with found.file:
        return found.file.read()


def type_of(site: Site, path: str, accept: str | None = None) -> str:
    found = site.find(path, accept)
    assert isinstance(found, Document)
    found.file.close()
    return found.content_type


@pytest.mark.parametrize("path", ["/simple/", "/simple/foo-bar/", "/simple/f/"])
def test_pages_are_there_in_three_forms(site: Site, path: str) -> None:
    assert [type_of(site, path, accept) for accept in (None, V1_HTML, V1_JSON)] == [HTML_UTF8, V1_HTML, V1_JSON]
    assert isinstance(read(site.find(path, V1_JSON)), bytes)


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/simple", "/simple/"),
        ("/simple/foo-bar", "/simple/foo-bar/"),
        ("/simple/Foo_Bar/", "/simple/foo-bar/"),
        ("/simple/foo.-_bar", "/simple/foo-bar/"),
        ("/simple/F", "/simple/f/"),
        ("/json/Foo_Bar", "/json/foo-bar"),
        ("/pypi/Foo_Bar/json", "/pypi/foo-bar/json"),
        ("/pypi/Foo_Bar/json/", "/pypi/foo-bar/json"),
    ],
)
def test_other_spellings_are_redirected(site: Site, path: str, location: str) -> None:
    assert read(site.find(path, None)) == location


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        (f"/{WHEEL}", "application/octet-stream"),
        (f"/{WHEEL}.metadata", "application/octet-stream"),
        ("/packages/aa/bb/empty-1.0.tar.gz", "application/octet-stream"),
        ("/json/foo-bar", "application/json"),
        ("/pypi/foo-bar/json", "application/json"),
        ("/pypi/foo-bar/json/", "application/json"),
        ("/simple/index.html", HTML_UTF8),
        ("/simple/foo-bar/index.html", HTML_UTF8),
        ("/simple/foo-bar/index.v1_html", V1_HTML),
        ("/simple/foo-bar/index.v1_json", V1_JSON),
        ("/last-modified", "text/plain; charset=utf-8"),
    ],
)
def test_files_have_their_types(site: Site, path: str, content_type: str) -> None:
    assert type_of(site, path, "image/png") == content_type


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "simple/",
        "//simple/",
        "/simple//",
        "/simple/no-such-project/",
        "/simple/No.Such",
        "/simple/-/",
        "/simple/foo-bar//",
        "/simple/foo-bar/versions/",
        "/simple/Foo-Bar/index.html",
        "/packages",
        "/packages/",
        "/packages/aa/",
        "/packages/aa",
        f"/{WHEEL}/",
        "/json/",
        "/json/no-such-project",
        "/json/No.Such",
        "/pypi/foo-bar",
        "/pypi/foo-bar/",
        "/pypi/-/json",
        f"/{'n' * 300}",
        "/" + "/".join(["n" * 200] * 30),
        "/a\nb",
        "/a\0b",
    ],
)
def test_what_is_not_there_is_nothing(site: Site, path: str) -> None:
    assert site.find(path, None) is None


def test_letters_of_hash_index_are_no_projects(tmp_path: Path) -> None:
    web = make_web(tmp_path / "web", hash_index=True)
    assert Site(web, Layout(True)).find("/simple/f/foo-bar/", None) is None


def test_forms_that_are_not_written_are_not_offered(web: Path, plain: Site) -> None:
    for name in ("index.html", "index.v1_html"):
        (web / "simple/foo-bar" / name).unlink()
    assert type_of(plain, "/simple/foo-bar/", "text/html") == V1_JSON


@pytest.mark.parametrize(
    "path", ["/.lock", "/../state", "/simple/../../state", "/simple/.index.html.part", "/packages/..", "/a\\..\\b"]
)
def test_hidden_files_and_what_is_above_are_nothing(tmp_path: Path, plain: Site, path: str) -> None:
    for name in ("state", "web/.lock", "web/simple/.index.html.part"):
        (tmp_path / name).write_text("secret")
    assert plain.find(path, None) is None


def test_link_out_of_web_is_not_followed_and_is_told_once(
    tmp_path: Path, web: Path, plain: Site, caplog: pytest.LogCaptureFixture
) -> None:
    TOLD_ONCE.clear()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file").write_text("secret")
    (web / "link").symlink_to(tmp_path / "elsewhere/file")
    (web / "packages/dd").symlink_to(tmp_path / "elsewhere")
    (web / "simple/foo-bar/index.html").unlink()
    (web / "simple/foo-bar/index.html").symlink_to("../../../elsewhere/file")
    with caplog.at_level(logging.WARNING):
        assert [plain.find(path, None) for path in ("/link", "/link", "/packages/dd/file")] == [None] * 3
    assert type_of(plain, "/simple/foo-bar/") == V1_HTML
    assert [record.getMessage().split(":")[0] for record in caplog.records][:2] == ["link", "packages/dd/file"]


def test_links_within_web_are_followed(web: Path, plain: Site) -> None:
    """As keep_index_versions makes them."""
    folder = web / "simple/foo-bar"
    (folder / "versions").mkdir()
    (folder / "index.html").rename(folder / "versions/index_1_x.html")
    (folder / "index.html").symlink_to("versions/index_1_x.html")
    assert read(plain.find("/simple/foo-bar/", None)) == b"<!DOCTYPE html>"


def test_web_itself_may_be_a_link(tmp_path: Path, web: Path) -> None:
    (tmp_path / "linked").symlink_to(web)
    assert read(Site(tmp_path / "linked", Layout()).find(f"/{WHEEL}", None)) == WHEEL_BYTES


def test_what_is_no_plain_file_is_not_opened(web: Path, plain: Site) -> None:
    os.mkfifo(web / "packages/fifo")
    (web / "packages/loop").symlink_to("loop")
    (web / "packages/lost").symlink_to("nowhere")
    assert [plain.find(f"/packages/{name}", None) for name in ("fifo", "loop", "lost")] == [None] * 3


def test_file_that_may_not_be_read_is_an_error(web: Path, plain: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    # Tests may run as root, whom no mode stops. What deletes folders of tests opens them, too.
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        with pytest.raises(StorageError, match="Permission denied"):
            plain.find(f"/{WHEEL}", None)


PARTS = st.sampled_from(
    ["..", ".", "", "simple", "packages", "foo-bar", "state", "link", "json", "pypi", "%2e%2e", "\\"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(PARTS | st.text(max_size=5), max_size=8).map("/".join))
def test_no_path_leads_out_of_web(tmp_path: Path, web: Path, plain: Site, path: str) -> None:
    (tmp_path / "state").write_text("secret")
    for text in (path, f"/{path}"):
        assert read(plain.find(text, None)) != b"secret"
