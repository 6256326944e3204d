"""What an index writes in its own way, and means clearly, is read as it is meant; another version of the API is refused."""

from codecs import BOM_UTF8
from typing import Any
from urllib.parse import urljoin

import pytest

from bandersnatch.errors import MalformedResponseError, UnsupportedVersionError
from bandersnatch.json_documents import parse_project_page, parse_root_index, parse_serial_of_index
from tests.support.builders import PAGE_URL, SAMPLE, SHA256, WHEEL, encoded, wire_file, wire_page
from tests.support.parsed_pages import parse, parse_one_file

MISSING = object()


@pytest.mark.parametrize(
    ("field", "told", "name", "read"),
    [
        ("hashes", {"sha256": SHA256.upper()}, "hashes", {"sha256": SHA256}),
        ("hashes", {"SHA256": SHA256}, "hashes", {"sha256": SHA256}),
        ("hashes", {"sha256": SHA256, "md5": None}, "hashes", {"sha256": SHA256}),
        ("hashes", {"sha256": SHA256, "MD5": "AB" * 16}, "hashes", {"sha256": SHA256, "md5": "ab" * 16}),
        ("hashes", {"sha256": ""}, "hashes", {}),
        ("hashes", None, "hashes", {}),
        ("hashes", MISSING, "hashes", {}),
        ("size", 7.0, "size", 7),
        ("size", None, "size", None),
        ("size", MISSING, "size", None),
        ("size", "7", "size", 7),
        ("yanked", None, "yanked", False),
        ("yanked", MISSING, "yanked", False),
        ("yanked", "", "yanked", True),
        ("yanked", "broken", "yanked", "broken"),
        ("upload_time", "", "upload_time", None),
        ("core_metadata", None, "core_metadata_sha256", None),
        ("core_metadata", {"sha256": SHA256.upper()}, "core_metadata_sha256", SHA256),
        ("core_metadata", {"sha256": None}, "core_metadata_sha256", None),
        ("core_metadata", {}, "core_metadata_sha256", None),
    ],
)
def test_what_is_clear_of_a_file_is_read(field: str, told: object, name: str, read: object) -> None:
    if told is MISSING:
        told_file = wire_file()
        del told_file[field]
        (file,) = parse(wire_page(told_file)).files
    else:
        file = parse_one_file(**{field: told})
    assert getattr(file, name) == read


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ("", None),
        ("../x", urljoin(PAGE_URL, "../x")),
        ("javascript:x", None),
        ("https://a.example/p?x=1", "https://a.example/p?x=1"),
    ],
)
def test_where_the_attestations_of_a_file_are_is_an_absolute_url_or_nothing(told: str, read: str | None) -> None:
    assert parse_one_file(provenance=told).provenance == read


def test_a_page_may_name_a_file_twice_if_it_says_the_same_of_it() -> None:
    elsewhere = wire_file(url=f"https://cdn.example/{WHEEL}", hashes={"SHA256": SHA256.upper(), "md5": "0" * 32})
    (file,) = parse(wire_page(wire_file(), wire_file(), elsewhere)).files
    assert file.url == wire_file()["url"]


@pytest.mark.parametrize("fields", [{"hashes": {}}, {"yanked": True}, {"hashes": {"sha256": "1" * 64}}])
def test_a_page_that_says_two_things_of_a_file_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(MalformedResponseError, match="is there twice"):
        parse(wire_page(wire_file(), wire_file(url=f"https://cdn.example/{WHEEL}", **fields)))


def test_a_mark_of_utf_8_before_the_json_is_ignored() -> None:
    page = BOM_UTF8 + encoded(wire_page(wire_file()))
    assert len(parse_project_page(page, SAMPLE, PAGE_URL).files) == 1
    index = BOM_UTF8 + encoded({"meta": {"_last-serial": 7}, "projects": []})
    assert (parse_root_index(index, PAGE_URL), parse_serial_of_index(index)) == ((7, {}), 7)


def test_a_serial_that_is_none_is_unknown_and_no_reason_to_refuse_the_whole_index() -> None:
    projects = [{"name": "a", "_last-serial": 7.5}, {"name": "b", "_last-serial": 8.0}]
    serial, listed = parse_root_index(encoded({"projects": projects}), PAGE_URL)
    assert (serial, [each.serial for each in listed.values()]) == (8, [0, 8])


@pytest.mark.parametrize(
    "fields",
    [
        {"versions": None},
        {"project_status": None},
        {"project_status": {"status": "active", "reason": None}},
        {"project_status": {"status": None, "reason": None}},
        {"project_status": {}},
    ],
)
def test_null_stands_for_a_key_that_is_missing(fields: dict[str, Any]) -> None:
    page = parse(wire_page(wire_file(), **fields))
    assert (page.status, page.status_reason) == ("active", None)
    assert page.versions == (() if "versions" in fields else ("1.0",))


@pytest.mark.parametrize(
    "meta", [None, {}, {"api-version": None}, *({"api-version": v} for v in ("1.0", "1.99", "1", 1, 1.4))]
)
def test_every_minor_version_of_the_api_is_read(meta: object) -> None:
    assert parse(wire_page(wire_file(), meta=meta)).serial is None
    assert parse_root_index(encoded({"meta": meta, "projects": []}), PAGE_URL) == (None, {})


@pytest.mark.parametrize("version", ["2.0", "0.9", "2", 2, "10.0", "", "one", "1.x", "1.0\n"])
@pytest.mark.parametrize("shape", [{}, {"files": {}, "projects": {}}, {"name": ["sample"]}])
def test_another_major_version_of_the_api_is_refused_whatever_its_shape(version: object, shape: dict[str, Any]) -> None:
    words = r"it is of version '.*' of the simple API; only version 1 is supported$"
    with pytest.raises(UnsupportedVersionError, match=words):
        parse(wire_page(wire_file(), meta={"api-version": version}) | shape)
    with pytest.raises(UnsupportedVersionError, match=words):
        parse_root_index(encoded({"meta": {"api-version": version}, "projects": []} | shape), PAGE_URL)


def test_a_version_that_is_none_at_all_is_malformed() -> None:
    with pytest.raises(MalformedResponseError, match="api-version"):
        parse(wire_page(meta={"api-version": ["1.0"]}))
