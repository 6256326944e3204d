"""What nginx serves with README's configuration: negotiation, types, redirects, and nothing hidden."""

import gzip
import hashlib
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

import msgspec
import pytest
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

from tests.e2e.clients import HTML, V1_HTML, V1_JSON, get, read_html_page, read_json_page
from tests.e2e.conftest import MirrorRun, make_mirror, run_bandersnatch
from tests.e2e.nginx import Site

pytestmark = pytest.mark.e2e

HTML_UTF8 = "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        pytest.param(None, HTML_UTF8, id="none"),
        pytest.param("*/*", HTML_UTF8, id="curl"),
        pytest.param("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML_UTF8, id="browser"),
        pytest.param("text/html", HTML_UTF8, id="old pip"),
        pytest.param(f"{V1_JSON}, {V1_HTML}; q=0.1, text/html; q=0.01", V1_JSON, id="pip"),
        pytest.param(f"{V1_JSON}, {V1_HTML};q=0.2, text/html;q=0.01", V1_JSON, id="uv"),
        pytest.param(f"text/html;q=0.01, {V1_HTML};q=0.2, {V1_JSON}", V1_JSON, id="uv, turned round"),
        pytest.param(V1_JSON, V1_JSON, id="JSON only"),
        pytest.param(V1_JSON.upper(), V1_JSON, id="JSON, in upper case"),
        pytest.param(f"{V1_JSON};q=1.0", V1_JSON, id="JSON with q=1.0"),
        pytest.param(f"{V1_JSON};q=0.5", V1_JSON, id="JSON with q=0.5"),
        pytest.param("application/vnd.pypi.simple.latest+json", V1_JSON, id="latest JSON"),
        pytest.param(V1_HTML, V1_HTML, id="HTML v1 only"),
        pytest.param(f"{V1_HTML}, {V1_JSON};q=0.5", V1_HTML, id="HTML v1 before JSON"),
        pytest.param(f"text/html, {V1_JSON};q=0.9", HTML_UTF8, id="HTML before JSON"),
        pytest.param(f"{V1_JSON};q=0, text/html", HTML_UTF8, id="no JSON"),
        pytest.param(f"{V1_JSON};q=0, {V1_HTML};q=0.0, */*", HTML_UTF8, id="nothing with a version"),
        pytest.param("image/png", HTML_UTF8, id="something else"),
    ],
)
@pytest.mark.parametrize("path", ["/simple/", "/simple/six/"])
@pytest.mark.parametrize("which", ["site", "hashed_site"])
def test_accept_header_decides_the_form(
    which: str, path: str, accept: str | None, content_type: str, request: pytest.FixtureRequest
) -> None:
    site: Site = request.getfixturevalue(which)
    response = get(f"{site.url}{path}", accept)
    assert response.status == 200
    assert response.content_type == content_type
    assert {"Accept"} <= {*(response.headers.get_all("Vary") or [])} <= {"Accept", "Accept-Encoding"}
    assert response.headers["Cache-Control"] == "max-age=600, public"
    assert response.body.startswith(b"{" if content_type == V1_JSON else b"<!DOCTYPE html>")


@pytest.mark.parametrize("accept", [V1_JSON, V1_HTML, "text/html"])
def test_pages_are_compressed_for_whoever_wants_that(site: Site, accept: str) -> None:
    request = Request(f"{site.index_url}six/", headers={"Accept": accept, "Accept-Encoding": "gzip"})
    with urlopen(request, timeout=30) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in ", ".join(answer.headers.get_all("Vary") or [])
        assert gzip.decompress(answer.read()) == get(f"{site.index_url}six/", accept).body


def test_head_answers_like_get(site: Site) -> None:
    answers = [get(f"{site.index_url}six/", V1_JSON, method) for method in ("HEAD", "GET")]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].content_type == answers[1].content_type == V1_JSON
    assert answers[0].headers["Content-Length"] == str(len(answers[1].body))
    assert answers[0].body == b""


@pytest.mark.parametrize("which", ["site", "hashed_site"])
def test_missing_slash_is_redirected(which: str, request: pytest.FixtureRequest) -> None:
    site: Site = request.getfixturevalue(which)
    response = get(f"{site.url}/simple/six")
    assert response.status == 301
    assert response.headers["Location"] == "/simple/six/"


@pytest.mark.parametrize("path", ["/simple/no-such-project/", "/simple/Six/", "/packages/aa/", "/state"])
@pytest.mark.parametrize("which", ["site", "hashed_site"])
def test_what_is_not_there_is_404(which: str, path: str, request: pytest.FixtureRequest) -> None:
    site: Site = request.getfixturevalue(which)
    assert get(f"{site.url}{path}").status == 404


def test_hidden_files_are_404(mirror: MirrorRun, site: Site) -> None:
    hidden = [mirror.web / ".hidden", mirror.web / "simple" / "six" / ".index.html.part"]
    for path in hidden:
        path.write_text("half-written")
    try:
        for path in hidden:
            assert get(f"{site.url}/{path.relative_to(mirror.web)}").status == 404
    finally:
        for path in hidden:
            path.unlink()


@pytest.mark.parametrize("path", ["/../state", "/%2e%2e/state", "/simple/%2e%2e/%2e%2e/state", "/.lock", "/../.lock"])
def test_nothing_above_web_is_served(site: Site, path: str) -> None:
    assert get(f"{site.url}{path}").status in (400, 404)


def test_last_modified_is_served_as_text(site: Site) -> None:
    response = get(f"{site.url}/last-modified")
    assert response.content_type == "text/plain; charset=utf-8"
    assert len(response.body) == len("20261123T10:20:01\n")


def test_top_folder_is_listed(site: Site) -> None:
    response = get(f"{site.url}/")
    assert response.content_type == HTML_UTF8
    assert b'href="simple/"' in response.body


@pytest.mark.parametrize("which", ["site", "hashed_site"])
def test_json_and_html_clients_see_every_file_and_can_fetch_it(
    which: str, distributions: Path, request: pytest.FixtureRequest
) -> None:
    site: Site = request.getfixturevalue(which)
    seen: set[str] = set()
    for name in sorted({project_of(path.name) for path in distributions.iterdir()}):
        links = read_json_page(f"{site.index_url}{name}/")
        assert read_html_page(f"{site.index_url}{name}/") == links
        assert read_html_page(f"{site.index_url}{name}/", V1_HTML) == links
        for link in links:
            content = get(link.url)
            assert content.content_type == "application/octet-stream"
            assert content.headers["Cache-Control"] == "max-age=31536000, immutable, public"
            assert content.headers["Content-Encoding"] is None
            assert content.body == (distributions / link.filename).read_bytes()
            assert hashlib.sha256(content.body).hexdigest() == link.sha256
            seen.add(link.filename)
    assert seen == {path.name for path in distributions.iterdir()}


def test_core_metadata_is_served_for_every_wheel(site: Site) -> None:
    for name in ("six", "packaging", "requests"):
        for link in read_json_page(f"{site.index_url}{name}/"):
            assert (link.metadata_sha256 is not None) == link.filename.endswith(".whl")
            if link.metadata_sha256 is not None:
                metadata = get(f"{link.url}.metadata")
                assert metadata.content_type == "application/octet-stream"
                assert hashlib.sha256(metadata.body).hexdigest() == link.metadata_sha256


@pytest.mark.parametrize("which", ["site", "hashed_site"])
def test_root_index_lists_exactly_the_projects(which: str, distributions: Path, request: pytest.FixtureRequest) -> None:
    site: Site = request.getfixturevalue(which)
    expected = {project_of(path.name) for path in distributions.iterdir()}
    index = msgspec.json.decode(get(site.index_url, V1_JSON).body)
    assert {canonicalize_name(project["name"]) for project in index["projects"]} == expected
    html = get(site.index_url, HTML).body.decode("utf-8")
    assert all(f'<a href="{quote(name)}/">' in html for name in expected)
    assert html.count("<a ") == len(expected)


def test_json_of_a_project_is_served_where_it_is_kept(hashed_site: Site, site: Site) -> None:
    for path in ("/pypi/six/json", "/json/six"):
        response = get(f"{hashed_site.url}{path}")
        assert response.content_type == "application/json"
        assert msgspec.json.decode(response.body)["info"]["name"] == "six"
        assert get(f"{site.url}{path}").status == 404


def test_a_second_run_finds_nothing_to_do(mirror: MirrorRun) -> None:
    before = {path: path.stat().st_mtime_ns for path in mirror.web.rglob("*") if path.name != "last-modified"}
    assert " 0 failed, " in mirror.output.splitlines()[-1]
    assert ": 0 updated, 0 removed, 0 failed, 0 files, 0 bytes in " in run_bandersnatch(mirror.config).splitlines()[-1]
    after = {path: path.stat().st_mtime_ns for path in mirror.web.rglob("*") if path.name != "last-modified"}
    assert {path for path in after if after[path] != before.get(path)} <= {mirror.web}


def test_another_mirror_can_follow_this_one(mirror: MirrorRun, site: Site, tmp_path: Path) -> None:
    second = make_mirror(tmp_path, site.url)
    assert " 0 failed, " in second.output.splitlines()[-1]
    for folder in ("packages", "simple"):
        copied = contents(second.web / folder)
        assert copied == contents(mirror.web / folder)
        assert copied
    log = run_bandersnatch(second.config)
    assert ": 0 updated, 0 removed, 0 failed, 0 files, 0 bytes in " in log.splitlines()[-1]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def project_of(filename: str) -> str:
    """Return the normalized name of the project that a file belongs to."""
    parse = parse_wheel_filename if filename.endswith(".whl") else parse_sdist_filename
    return str(parse(filename)[0])
