"""What an index writes in its own way, and means clearly, is read as it is meant; another version of the API is refused."""

from typing import Any

import pytest

from bandersnatch.errors import MalformedResponseError, UnsupportedVersionError
from bandersnatch.model import parse_root_index
from tests.support.builders import PAGE_URL, SHA256, encoded, wire_file, wire_page
from tests.support.parsed_pages import parse, parse_one_file

MISSING = object()


@pytest.mark.parametrize(
    ("field", "told", "name", "read"),
    [
        ("hashes", {"sha256": SHA256.upper()}, "hashes", {"sha256": SHA256}),
        ("hashes", {"SHA256": SHA256}, "hashes", {"sha256": SHA256}),
        ("hashes", {"sha256": SHA256, "md5": None}, "hashes", {"sha256": SHA256}),
        ("hashes", {"sha256": SHA256, "MD5": "AB" * 16}, "hashes", {"sha256": SHA256, "md5": "ab" * 16}),
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
    "fields", [{"versions": None}, {"project_status": None}, {"project_status": {"status": "active", "reason": None}}]
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
