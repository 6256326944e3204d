"""Pages of upstream, and names, become values."""

import json
from datetime import datetime
from pathlib import Path
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.errors import MalformedResponseError
from bandersnatch.model import (
    belongs_to,
    filename_problem,
    has_unsafe_characters,
    parse_project_name,
    parse_project_page,
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
    unhurried,
    wire_file,
    wire_page,
)
from tests.support.parsed_pages import parse, parse_one_file
from tests.support.recorded import RECORDED

RECORDED_PAGES = sorted((RECORDED / "06-final").glob("simple-*.json.body"))
RECORDED_PROJECT_PAGES = [path for path in RECORDED_PAGES if "index" not in path.name]


# Pages as they should be


@pytest.mark.parametrize("path", RECORDED_PROJECT_PAGES, ids=lambda path: path.name)
def test_a_page_of_pypi_is_read_field_by_field(path: Path) -> None:
    value = json.loads(path.read_bytes())
    page = parse_project_page(path.read_bytes(), named(value["name"]), PAGE_URL)
    assert page.name == value["name"]
    assert page.serial == value["meta"]["_last-serial"]
    assert page.status == value["project-status"]["status"]
    assert page.status_reason is None
    assert list(page.versions) == value["versions"]
    assert len(page.files) == len(value["files"])
    for file, wire in zip(page.files, value["files"], strict=True):
        assert file.filename == wire["filename"]
        assert file.url == wire["url"]
        assert file.hashes == wire["hashes"]
        assert file.sha256 == wire["hashes"]["sha256"]
        assert file.size == wire["size"]
        assert file.requires_python == wire["requires-python"]
        assert file.upload_time == wire["upload-time"]
        assert file.yanked == wire["yanked"]
        assert file.core_metadata_sha256 == (wire["core-metadata"] or {}).get("sha256")
        assert file.provenance == wire["provenance"]
        assert file.mtime == datetime.fromisoformat(wire["upload-time"]).timestamp()


def test_the_recorded_pages_are_there() -> None:
    assert len(RECORDED_PROJECT_PAGES) > 5


def test_a_quarantined_page_of_pypi_has_no_files() -> None:
    body = (RECORDED / "06-final" / "simple-quarantined-proj.json.body").read_bytes()
    page = parse_project_page(body, named("quarantined-proj"), PAGE_URL)
    assert page.is_quarantined
    assert page.files == ()


def test_an_active_page_is_not_quarantined() -> None:
    assert not parse(wire_page()).is_quarantined


def test_what_a_page_need_not_have_gets_the_default_of_its_pep() -> None:
    file = {"filename": WHEEL, "url": f"https://h/packages/x/{WHEEL}", "hashes": {"sha256": SHA256}, "size": 7}
    page = parse({"name": "sample", "files": [file]})
    only = make_file(url=f"https://h/packages/x/{WHEEL}", upload_time=None)
    assert page == make_page(only, serial=None, versions=())


def test_unknown_keys_are_ignored() -> None:
    value = wire_page(wire_file(gpg_sig=True, future={"a": [1]}), future=1)
    assert parse(value) == parse(wire_page(wire_file()))


def test_where_else_a_project_is_stays_in_upstreams_order_and_becomes_absolute() -> None:
    meta = {"tracks": ["https://b.example/simple/sample/", "/simple/sample/"]}
    page = parse(wire_page(meta=meta, alternate_locations=["https://c.example/sample/#x", "../sample/"]))
    assert page.tracks == ("https://b.example/simple/sample/", urljoin(PAGE_URL, "/simple/sample/"))
    assert page.alternate_locations == ("https://c.example/sample/", urljoin(PAGE_URL, "../sample/"))


@pytest.mark.parametrize("told", [None, []])
def test_where_else_a_project_is_may_not_be_told(told: object) -> None:
    page = parse(wire_page(meta={"tracks": told}, alternate_locations=told))
    assert (page.tracks, page.alternate_locations) == ((), ())


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "ftp://a.example/x/", "https://user@a.example/x/", "https://["]
)
def test_a_location_that_is_no_url_is_left_out_and_told(link: str, caplog: pytest.LogCaptureFixture) -> None:
    page = parse(wire_page(meta={"tracks": [link, "https://b.example/sample/"]}, alternate_locations=[link]))
    assert (page.tracks, page.alternate_locations) == (("https://b.example/sample/",), ())
    assert [link in record.getMessage() for record in caplog.records] == [True, True]


def test_locations_that_are_no_list_fail_the_page() -> None:
    with pytest.raises(MalformedResponseError):
        parse(wire_page(alternate_locations="https://b.example/sample/"))


def test_the_name_of_a_page_may_be_spelled_in_any_way() -> None:
    assert parse(wire_page(name="SAMPLE")).name == SAMPLE


@pytest.mark.parametrize(("serial", "expected"), [(0, 0), (7, 7), (7.0, 7), ("105", 105), (None, None)])
def test_the_serial_may_be_a_number_or_the_text_that_bandersnatch_writes(serial: object, expected: int | None) -> None:
    assert parse(wire_page(meta={"_last-serial": serial})).serial == expected


@pytest.mark.parametrize(("yanked", "expected"), [(False, False), (True, True), ("", True), ("why", "why")])
def test_a_yank_keeps_its_reason_and_without_one_is_a_yank_all_the_same(yanked: object, expected: object) -> None:
    assert parse_one_file(yanked=yanked).yanked == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"core_metadata": {"sha256": SHA256}, "data_dist_info_metadata": False}, SHA256),
        ({"core_metadata": None, "data_dist_info_metadata": {"sha256": SHA256}}, SHA256),
        ({"core_metadata": False, "data_dist_info_metadata": {"sha256": SHA256}}, None),
        ({"core_metadata": True}, None),
        ({"core_metadata": {"md5": "0" * 32}}, None),
        ({"core_metadata": {}}, None),
        ({"core_metadata": {"sha256": ""}}, None),
        ({"core_metadata": None, "data_dist_info_metadata": None, "dist_info_metadata": {"sha256": SHA256}}, SHA256),
        ({"core_metadata": None, "data_dist_info_metadata": False, "dist_info_metadata": {"sha256": SHA256}}, None),
    ],
)
def test_core_metadata_counts_only_with_a_digest_and_under_each_of_its_names(
    fields: dict[str, object], expected: str | None
) -> None:
    assert parse_one_file(**fields).core_metadata_sha256 == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-01T00:00:01", 1.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("1970-01-01T00:00:00.250000Z", 0.25),
    ],
)
def test_an_upload_time_is_in_utc_and_its_text_is_kept(text: str, seconds: float) -> None:
    file = parse_one_file(upload_time=text)
    assert (file.mtime, file.upload_time) == (seconds, text)


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("../../packages/x/y.whl", "https://index.example/packages/x/y.whl"),
        ("/packages/x/y.whl", "https://index.example/packages/x/y.whl"),
        ("//files.example/packages/x/y.whl", "https://files.example/packages/x/y.whl"),
        ("http://files.example:8080/packages/x/y.whl", "http://files.example:8080/packages/x/y.whl"),
        *(
            (link, link)
            for link in (f"http://{host}/packages/y.whl" for host in ("[::1]:80", "my_host", "h.", "é.example"))
        ),
    ],
)
def test_links_are_made_absolute(link: str, expected: str) -> None:
    assert parse_one_file(url=link).url == expected


def test_the_fragment_of_a_link_is_no_part_of_the_url() -> None:
    page = parse(wire_page(wire_file(url=f"../../packages/{FOLDER}/{WHEEL}#egg=sample")))
    assert page.files[0].url.endswith(f"/packages/{FOLDER}/{WHEEL}")


@pytest.mark.parametrize(
    "filename",
    [
        "other-1.0.tar.gz",
        "samples-1.0-py3-none-any.whl",
        "python-sample_0.0_all.deb",
        "sample 1.0.zip",
        "sample2.0.tar.gz",
        "日本-0.3.1.tar.gz",
        "café_übung-1.5rc1.tar.gz",
        "no\u00a0break-1.0.zip",
        "sample\u30001.0.zip",
        "100%25 #?&;<>\"'.zip",
        "sample-1.0.part",
        "-",
    ],
)
def test_a_file_may_have_any_name_that_can_be_a_path(filename: str) -> None:
    assert [file.filename for file in parse(wire_page(wire_file(filename))).files] == [filename]


@pytest.mark.parametrize(
    ("filename", "project"),
    [
        ("sample-1.0.tar.gz", "sample"),
        ("Sample-1.0.zip", "sample"),
        ("sample-1.0.win32-py2.7.exe", "sample"),
        ("foo_bar-1.0-py3-none-any.whl", "foo-bar"),
        ("Foo.Bar-1.0-py2.py3-none-any.whl", "foo-bar"),
        ("foo-bar-1.0.tar.gz", "foo-bar"),
        ("foo-bar-1.0.tar.gz", "foo"),
    ],
)
def test_a_file_belongs_to_the_project_with_whose_name_it_begins(filename: str, project: str) -> None:
    assert belongs_to(filename, named(project))


@pytest.mark.parametrize(
    ("filename", "project"),
    [
        ("sample.whl", "other"),
        ("sample-1.0.tar.gz", "sam"),
        ("sample-1.0.tar.gz", "sample-2"),
        ("foo_bar-1.0-py3-none-any.whl", "foo"),
        ("1.0-sample.tar.gz", "sample"),
    ],
)
def test_a_file_with_another_name_belongs_to_another_project(filename: str, project: str) -> None:
    assert not belongs_to(filename, named(project))


# Names


@pytest.mark.parametrize(
    ("name", "normalized"),
    [
        ("a", "a"),
        ("0", "0"),
        ("Flask", "flask"),
        ("Under_Score.Dots-x", "under-score-dots-x"),
        ("a" * 240, "a" * 240),
    ],
)
def test_a_project_name_is_normalized(name: str, normalized: str) -> None:
    assert parse_project_name(name) == normalized


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "-a", "a-", "a b", "a/b", "../a", "a\n", "\na", "a\0", "ü", "user:alice", "a" * 241, "\u0661"],
)
def test_what_pypi_would_not_take_as_a_name_is_none(name: str) -> None:
    assert parse_project_name(name) is None


@unhurried
@given(st.text() | st.text("aZ0._-/"))
def test_a_normalized_name_is_always_one_plain_segment_of_a_path(name: str) -> None:
    normalized = parse_project_name(name)
    if normalized is not None:
        assert normalized.replace("-", "").isalnum()
        assert normalized.isascii()
        assert not normalized.startswith("-")
        assert parse_project_name(normalized) == normalized


@unhurried
@given(st.text())
def test_a_filename_without_a_problem_fits_beside_its_metadata_and_its_temporary_name(name: str) -> None:
    if filename_problem(name) is None:
        assert 0 < len(f".{name}.metadata.part".encode()) <= 255
        assert not has_unsafe_characters(name)
        assert "/" not in name
