"""Rendered pages, read back by readers that know nothing of what wrote them."""

import json
import re
from collections.abc import Iterable
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.config.option_groups import PagesConfig
from bandersnatch.inifile.option import SimpleFormat
from bandersnatch.json_documents import parse_project_page, parse_root_index
from bandersnatch.model import DistributionFile, ProjectPage
from bandersnatch.pages.forms import IndexedProject, page_names
from bandersnatch.pages.render import (
    as_written_before,
    published_page,
    render_project,
    render_project_html,
    render_project_json,
    render_root_html,
    render_root_json,
)
from tests.support.builders import (
    FOLDER,
    PAGE_URL,
    SAMPLE,
    SHA256,
    WHEEL,
    make_file,
    make_page,
    named,
    project_pages,
    serials,
    sha256s,
    unhurried,
)
from tests.support.recorded import RECORDED

FINAL = RECORDED / "06-final"
RECORDED_PAGES = sorted(p for p in FINAL.glob("simple-*.json.body") if "index" not in p.name)
RECORDED_HOST = "http://127.0.0.1:8911"
OUR_URL = f"../../packages/{FOLDER}/{WHEEL}"

Attributes = dict[str, str | None]


class PageReader(HTMLParser):
    """Collects what a client looks at."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.links: list[tuple[str, Attributes]] = []
        self.metas: Attributes = {}
        self.texts: dict[str, str] = {}
        self.comments: list[str] = []
        self.tags: list[str] = []
        self._within = ""
        self.feed(html.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        assert len(attributes) == len(attrs), "an attribute is there twice"
        self.tags.append(tag)
        self._within = tag
        if tag == "a":
            self.links.append(("", attributes))
        elif tag == "meta":
            self.metas[attributes.get("name") or "charset"] = attributes.get("content", attributes.get("charset"))

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "a":
            text, attributes = self.links[-1]
            self.links[-1] = (text + data, attributes)
        elif self._within:
            self.texts[self._within] = self.texts.get(self._within, "") + data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def published(page: ProjectPage, **config: Any) -> ProjectPage:
    return published_page(page, PagesConfig(**config), {})


def html_of(page: ProjectPage, **config: Any) -> PageReader:
    return PageReader(render_project_html(published(page, **config), config.get("digest_name", "sha256")))


def json_of(page: ProjectPage, **config: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(render_project_json(published(page, **config)))
    return value


def only_link(file: DistributionFile, **config: Any) -> Attributes:
    ((_, attributes),) = html_of(make_page(file), **config).links
    return attributes


def only_file(file: DistributionFile, **config: Any) -> dict[str, Any]:
    (value,) = json_of(make_page(file), **config)["files"]
    assert isinstance(value, dict)
    return value


# Against PyPI


@pytest.mark.parametrize("path", RECORDED_PAGES, ids=lambda path: path.name)
def test_our_json_says_what_pypis_says(path: Path) -> None:
    theirs = json.loads(path.read_bytes())
    page = parse_project_page(path.read_bytes(), named(theirs["name"]), PAGE_URL)
    ours = json_of(page, root_uri=RECORDED_HOST)
    for file in ours["files"]:
        file["url"] = unquote(file["url"])
    assert ours == theirs


@pytest.mark.parametrize("path", RECORDED_PAGES, ids=lambda path: path.name)
def test_our_html_says_what_pypis_says(path: Path) -> None:
    page = parse_project_page(path.read_bytes(), named(json.loads(path.read_bytes())["name"]), PAGE_URL)
    ours = html_of(page, root_uri=RECORDED_HOST)
    theirs = PageReader(path.with_name(path.name.replace(".json.", ".html.")).read_bytes())
    for _, attributes in ours.links:
        attributes["href"] = unquote(attributes["href"] or "")
    assert ours.links == theirs.links
    assert ours.metas == {"charset": "utf-8"} | theirs.metas
    assert ours.comments == theirs.comments
    assert ours.texts["title"] == theirs.texts["title"]
    assert ours.texts["h1"] == theirs.texts["h1"]


def test_the_recorded_pages_are_there() -> None:
    assert len(RECORDED_PAGES) > 5


def test_our_root_json_says_what_pypis_says() -> None:
    body = (FINAL / "simple-index.json.body").read_bytes()
    serial, projects = parse_root_index(body, PAGE_URL)
    assert serial is not None
    lines = [IndexedProject(name, listed.display_name, listed.serial) for name, listed in projects.items()]
    assert b"".join(render_root_json(lines, serial)) == body


def test_our_root_html_names_what_pypis_names() -> None:
    theirs = PageReader((FINAL / "simple-index.html.body").read_bytes())
    _, projects = parse_root_index((FINAL / "simple-index.json.body").read_bytes(), PAGE_URL)
    lines = [IndexedProject(name, listed.display_name, listed.serial) for name, listed in projects.items()]
    ours = PageReader(b"".join(render_root_html(lines)))
    expected = [(text, f"{attributes['href']}".removeprefix("/simple/")) for text, attributes in theirs.links]
    assert [(text, attributes["href"]) for text, attributes in ours.links] == expected
    assert ours.metas["pypi:repository-version"] == "1.4"


# Any text in any field


@unhurried
@given(project_pages())
def test_json_is_read_back_field_by_field(page: ProjectPage) -> None:
    value = json_of(page)
    assert value["meta"].get("_last-serial") == page.serial
    is_complete = bool(page.versions or not page.files) and all(file.size is not None for file in page.files)
    assert value["meta"]["api-version"] == ("1.4" if is_complete else "1.0")
    assert value["name"] == page.name
    assert value["project-status"]["status"] == page.status
    assert value["project-status"].get("reason") == page.status_reason
    assert value["meta"].get("tracks", []) == list(page.tracks)
    assert value.get("alternate-locations", []) == list(page.alternate_locations)
    # Without versions there is no file of one: then they are not told, and are not known.
    assert value.get("versions") == (list(page.versions) if page.versions or not page.files else None)
    for wire, file in zip(value["files"], page.files, strict=True):
        assert wire["filename"] == file.filename
        assert wire["hashes"] == {"sha256": file.sha256}
        assert wire["requires-python"] == file.requires_python
        assert wire["size"] == file.size
        assert wire.get("upload-time") == file.upload_time
        assert wire["yanked"] == file.yanked
        expected = {"sha256": file.core_metadata_sha256} if file.core_metadata_sha256 else False
        assert wire["core-metadata"] == wire["data-dist-info-metadata"] == expected
        assert wire["provenance"] == file.provenance
        assert wire["url"].startswith("../../packages/")


@unhurried
@given(project_pages())
def test_html_is_read_back_field_by_field(page: ProjectPage) -> None:
    reader = html_of(page)
    assert reader.texts["title"] == reader.texts["h1"] == f"Links for {page.name}"
    assert reader.metas["pypi:repository-version"] == "1.4"
    assert reader.metas["pypi:project-status"] == page.status
    assert reader.metas.get("pypi:project-status-reason") == page.status_reason
    assert reader.comments == ([] if page.serial is None else [f"SERIAL {page.serial}"])
    for (text, attributes), file, shown in zip(reader.links, page.files, published(page).files, strict=True):
        expected: Attributes = {"href": f"{shown.url}#sha256={file.sha256}"}
        if file.requires_python is not None:
            expected["data-requires-python"] = file.requires_python
        if file.yanked is not False:
            expected["data-yanked"] = "" if file.yanked is True else str(file.yanked)
        if file.core_metadata_sha256 is not None:
            digest = f"sha256={file.core_metadata_sha256}"
            expected["data-core-metadata"] = expected["data-dist-info-metadata"] = digest
        if file.provenance is not None:
            expected["data-provenance"] = file.provenance
        assert text == file.filename
        assert attributes == expected


@unhurried
@given(project_pages())
def test_our_pages_are_pages_that_a_mirror_can_follow(page: ProjectPage) -> None:
    ours = published(page)
    again = parse_project_page(render_project_json(ours), SAMPLE, PAGE_URL)
    assert [file.url for file in again.files] == [
        f"https://index.example/{file.url.removeprefix('../../')}" for file in ours.files
    ]
    assert again.serial == page.serial
    assert again.status_reason == page.status_reason
    assert (again.tracks, again.alternate_locations) == (page.tracks, page.alternate_locations)


@pytest.mark.parametrize("field", ["tracks", "alternate_locations"])
def test_each_other_location_of_a_project_has_a_tag_of_its_own(field: str) -> None:
    urls = ("https://b.example/simple/sample/", 'https://c.example/?"><script>')
    html = render_project_html(make_page(**{field: urls}), "sha256").decode()
    tags = re.findall(r'<meta name="pypi:([\w-]+)" content="(https:[^"]*)">', html)
    assert tags == [(field.replace("_", "-"), escape(url)) for url in urls]


def test_a_page_that_upstream_tells_no_other_locations_of_has_neither_key_nor_tag() -> None:
    page = make_page()
    value = json_of(page)
    assert "tracks" not in value["meta"]
    assert "alternate-locations" not in value
    assert b"pypi:tracks" not in render_project_html(page, "sha256")
    assert b"pypi:alternate" not in render_project_html(page, "sha256")


@unhurried
@given(project_pages())
def test_no_text_of_upstream_becomes_markup(page: ProjectPage) -> None:
    tags = html_of(page).tags
    assert set(tags) <= {"html", "head", "meta", "title", "body", "h1", "a", "br"}
    assert tags.count("a") == len(page.files)


@unhurried
@given(st.lists(st.tuples(st.from_regex(r"[a-z0-9]{1,9}", fullmatch=True), st.text(), serials), max_size=5), serials)
def test_the_root_index_is_read_back(rows: list[tuple[str, str, int]], serial: int) -> None:
    projects = [IndexedProject(named(name), display_name, number) for name, display_name, number in rows]
    value = json.loads(b"".join(render_root_json(projects, serial)))
    assert value["meta"] == {"_last-serial": serial, "api-version": "1.4"}
    assert [(each["name"], each["_last-serial"]) for each in value["projects"]] == [row[1:] for row in rows]
    reader = PageReader(b"".join(render_root_html(projects)))
    assert [attributes["href"] for _, attributes in reader.links] == [f"{name}/" for name, _, _ in rows]
    assert [text for text, _ in reader.links] == [display_name for _, display_name, _ in rows]


@pytest.mark.parametrize("digest", ['"><script>alert(1)</script>', "0&amp;", "'\n<"])
def test_a_digest_that_is_none_becomes_no_markup(digest: str) -> None:
    file = make_file(hashes={"sha256": SHA256, "md5": digest})
    html = render_project_html(published(make_page(file), digest_name="md5"), "md5")
    assert b"<script>" not in html
    ((_, attributes),) = PageReader(html).links
    assert attributes["href"] == f"{OUR_URL}#md5={digest}"


# Each field


def test_a_page_of_an_unknown_serial_tells_none() -> None:
    page = make_page(serial=None)
    assert "_last-serial" not in json_of(page)["meta"]
    assert b"SERIAL" not in render_project_html(page, "sha256")


def test_serial_zero_is_a_serial() -> None:
    page = make_page(serial=0)
    assert json_of(page)["meta"]["_last-serial"] == 0
    assert html_of(page).comments == ["SERIAL 0"]


def test_the_serial_is_the_end_of_the_html_where_clients_and_mirrors_look_for_it() -> None:
    assert render_project_html(make_page(serial=9), "sha256").endswith(b"</html>\n<!--SERIAL 9-->")


def test_a_yank_without_a_reason_is_shown() -> None:
    file = make_file(yanked=True)
    assert only_file(file)["yanked"] is True
    assert only_link(file)["data-yanked"] == ""


def test_a_yank_with_a_reason_shows_it() -> None:
    file = make_file(yanked='broken, see "x" & <y>')
    assert only_file(file)["yanked"] == 'broken, see "x" & <y>'
    assert only_link(file)["data-yanked"] == 'broken, see "x" & <y>'


def test_a_file_that_is_not_yanked_says_so() -> None:
    assert only_file(make_file())["yanked"] is False
    assert "data-yanked" not in only_link(make_file())


def test_core_metadata_is_advertised_under_both_names() -> None:
    file = make_file(core_metadata_sha256=SHA256)
    assert only_file(file)["core-metadata"] == {"sha256": SHA256}
    assert only_file(file)["data-dist-info-metadata"] == {"sha256": SHA256}
    assert only_link(file)["data-core-metadata"] == f"sha256={SHA256}"
    assert only_link(file)["data-dist-info-metadata"] == f"sha256={SHA256}"


def test_core_metadata_that_is_not_kept_is_not_advertised() -> None:
    file = make_file(core_metadata_sha256=SHA256)
    assert only_file(file, core_metadata=False)["core-metadata"] is False
    assert only_file(file, core_metadata=False)["data-dist-info-metadata"] is False
    assert set(only_link(file, core_metadata=False)) == {"href"}


def test_an_upload_time_that_upstream_does_not_tell_is_left_out() -> None:
    assert "upload-time" not in only_file(make_file(upload_time=None))


def test_a_page_that_was_published_keeps_the_text_of_the_upload_time() -> None:
    assert only_file(make_file(upload_time="2009-05-01T00:00:00Z"))["upload-time"] == "2009-05-01T00:00:00Z"


# Configuration


def test_links_are_relative_by_default() -> None:
    assert only_file(make_file())["url"] == OUR_URL
    assert only_link(make_file())["href"] == f"{OUR_URL}#sha256={SHA256}"


def test_links_stay_relative_in_the_same_way_with_hash_index() -> None:
    assert only_file(make_file(), hash_index=True)["url"] == OUR_URL


@pytest.mark.parametrize("root_uri", ["https://cdn.example/x", "/x"])
@pytest.mark.parametrize("release_files", [True, False])
def test_root_uri_stands_before_the_path(root_uri: str, release_files: bool) -> None:
    config = {"root_uri": root_uri, "release_files": release_files}
    url = f"{root_uri}/packages/{FOLDER}/{WHEEL}"
    assert only_file(make_file(), **config)["url"] == url
    assert only_link(make_file(), **config)["href"] == f"{url}#sha256={SHA256}"


def test_without_files_the_links_are_upstreams() -> None:
    file = make_file()
    assert only_file(file, release_files=False)["url"] == file.url
    assert only_link(file, release_files=False)["href"] == f"{file.url}#sha256={SHA256}"


def test_digest_name_is_the_digest_of_the_links_beside_sha256() -> None:
    file = make_file(hashes={"sha256": SHA256, "md5": "0" * 32, "blake2b_256": "1" * 64})
    assert only_file(file, digest_name="md5")["hashes"] == {"sha256": SHA256, "md5": "0" * 32}
    assert only_link(file, digest_name="md5")["href"] == f"{OUR_URL}#md5={'0' * 32}"


@given(sha256s)
def test_a_digest_that_upstream_does_not_tell_is_the_computed_one(digest: str) -> None:
    page = published_page(make_page(make_file()), PagesConfig(digest_name="blake2b_256"), {WHEEL: digest})
    assert page.files[0].hashes == {"sha256": SHA256, "blake2b_256": digest}


def test_other_digests_of_upstream_are_left_out() -> None:
    file = make_file(hashes={"sha256": SHA256, "md5": "0" * 32})
    assert only_file(file)["hashes"] == {"sha256": SHA256}


@pytest.mark.parametrize(
    ("simple_format", "names"),
    [
        (SimpleFormat.ALL, ["index.html", "index.v1_html", "index.v1_json"]),
        (SimpleFormat.HTML, ["index.html", "index.v1_html"]),
        (SimpleFormat.JSON, ["index.v1_json"]),
    ],
)
def test_each_format_has_its_pages(simple_format: SimpleFormat, names: list[str]) -> None:
    config = PagesConfig(simple_format=simple_format)
    assert list(page_names(config)) == names
    assert list(render_project(make_page(), config)) == names


def test_the_pages_are_what_their_names_say() -> None:
    page = published(make_page(make_file()))
    pages = render_project(page, PagesConfig())
    assert pages["index.html"] == pages["index.v1_html"] == render_project_html(page, "sha256")
    assert pages["index.v1_json"] == render_project_json(page)


def test_the_same_page_is_always_the_same_bytes() -> None:
    hashes: Iterable[dict[str, str]] = ({"sha256": "a", "md5": "b"}, {"md5": "b", "sha256": "a"})
    assert len({render_project_json(make_page(make_file(hashes=each))) for each in hashes}) == 1


def test_a_root_index_of_very_many_projects_names_each_once() -> None:
    projects = [IndexedProject(named(f"p{number}"), f"P{number}", number) for number in range(10_001)]
    value = json.loads(b"".join(render_root_json(iter(projects), 9)))
    assert [(each["name"], each["_last-serial"]) for each in value["projects"]] == [
        (project.display_name, project.serial) for project in projects
    ]
    links = PageReader(b"".join(render_root_html(iter(projects)))).links
    assert [text for text, _ in links] == [project.display_name for project in projects]


def test_an_empty_root_index_is_valid() -> None:
    assert json.loads(b"".join(render_root_json([], 0)))["projects"] == []
    assert PageReader(b"".join(render_root_html([]))).links == []


def test_html_tells_its_character_set_before_anything_that_needs_it() -> None:
    root = b"".join(render_root_html([]))
    for page in (render_project_html(published(make_page(make_file("sample-日本.zip"))), "sha256"), root):
        head = page.partition(b"<head>\n")[2]
        assert head.startswith(b'    <meta charset="utf-8">\n')
        assert as_written_before(page) == page.replace(b'    <meta charset="utf-8">\n', b"")
