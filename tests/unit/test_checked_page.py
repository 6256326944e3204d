"""Pages of upstream become values."""

import json
from datetime import datetime
from pathlib import Path
from urllib.parse import urljoin

import pytest

from bandersnatch.errors import MalformedResponseError
from bandersnatch.json_documents import parse_project_page
from tests.support.builders import PAGE_URL, SAMPLE, SHA256, WHEEL, make_file, make_page, named, wire_file, wire_page
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
    meta = {"api-version": "1.4", "tracks": [link, "https://b.example/sample/"]}
    page = parse(wire_page(meta=meta, alternate_locations=[link]))
    assert (page.tracks, page.alternate_locations) == (("https://b.example/sample/",), ())
    assert [link in record.getMessage() for record in caplog.records] == [True, True]


def test_locations_that_are_no_list_fail_the_page() -> None:
    with pytest.raises(MalformedResponseError):
        parse(wire_page(alternate_locations="https://b.example/sample/"))


def test_the_name_of_a_page_may_be_spelled_in_any_way() -> None:
    assert parse(wire_page(name="SAMPLE")).name == SAMPLE


@pytest.mark.parametrize(("yanked", "expected"), [(False, False), (True, True), ("", True), ("why", "why")])
def test_a_yank_keeps_its_reason_and_without_one_is_a_yank_all_the_same(yanked: object, expected: object) -> None:
    assert parse_one_file(yanked=yanked).yanked == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"core_metadata": {"sha256": SHA256}, "data_dist_info_metadata": False}, SHA256),
        ({"core_metadata": None, "data_dist_info_metadata": {"sha256": SHA256}}, SHA256),
        ({"core_metadata": False, "data_dist_info_metadata": {"sha256": SHA256}}, None),
        ({"core_metadata": True, "data_dist_info_metadata": {"sha256": SHA256}}, None),
        ({"core_metadata": None, "data_dist_info_metadata": None, "dist_info_metadata": {"sha256": SHA256}}, SHA256),
        ({"core_metadata": None, "data_dist_info_metadata": False, "dist_info_metadata": {"sha256": SHA256}}, None),
    ],
)
def test_core_metadata_has_a_digest_under_each_of_its_names(fields: dict[str, object], expected: str | None) -> None:
    assert parse_one_file(**fields).core_metadata_sha256 == expected


@pytest.mark.parametrize(
    ("metadata", "is_promised"),
    [
        (True, True),
        ({}, True),
        ({"md5": "0" * 32}, True),
        ({"sha256": ""}, True),
        ({"sha256": SHA256}, False),
        (False, False),
        (None, False),
    ],
)
def test_core_metadata_may_be_promised_without_a_digest(metadata: object, *, is_promised: bool) -> None:
    file = parse_one_file(core_metadata=metadata, data_dist_info_metadata=None)
    assert file.has_unhashed_metadata is is_promised
    sdist = parse_one_file(core_metadata=metadata, data_dist_info_metadata=None, filename="sample-1.0.tar.gz")
    assert not sdist.has_unhashed_metadata  # it has none inside that is sure to be the same


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
