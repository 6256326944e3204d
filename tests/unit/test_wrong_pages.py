"""A page that is wrong becomes an error that names the wrong field."""

import copy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bandersnatch.errors import MalformedResponseError
from bandersnatch.json_documents import parse_project_page
from bandersnatch.names import MAX_FILENAME_BYTES, filename_problem
from bandersnatch.wire import DIGEST_CHARACTERS
from tests.support.builders import PAGE_URL, SAMPLE, WHEEL, encoded, json_values, unhurried, wire_file, wire_page
from tests.support.parsed_pages import parse

MISSING = object()


def changed(value: dict[str, Any], key: str, new: object) -> dict[str, Any]:
    """Return a copy with one key replaced, or taken away."""
    value = copy.deepcopy(value)
    if new is MISSING:
        del value[key]
    else:
        value[key] = new
    return value


@pytest.mark.parametrize(
    ("key", "new", "words"),
    [
        ("name", MISSING, "missing required field `name`"),
        ("name", 1, "$.name"),
        ("name", "other", "the page is of project 'other'"),
        ("files", MISSING, "missing required field `files`"),
        ("files", None, "$.files"),
        ("files", {}, "$.files"),
        ("files", [1], "$.files[0]"),
        ("meta", [], "$.meta"),
        ("meta", {"_last-serial": 1.5}, "_last-serial"),
        ("meta", {"_last-serial": []}, "_last-serial"),
        ("meta", {"_last-serial": True}, "_last-serial"),
        ("meta", {"_last-serial": -1}, "_last-serial"),
        ("meta", {"_last-serial": "x"}, "_last-serial"),
        ("meta", {"_last-serial": ""}, "_last-serial"),
        ("meta", {"_last-serial": "-1"}, "_last-serial"),
        ("meta", {"_last-serial": "\u0661"}, "_last-serial"),
        ("meta", {"_last-serial": "9" * 20}, "_last-serial"),
        ("meta", {"_last-serial": 2**63}, "_last-serial"),
        ("meta", {"_last-serial": str(2**63)}, "_last-serial"),
        ("project-status", "active", "$.project-status"),
        ("project-status", {"status": 1}, "status"),
        ("project-status", {"status": ""}, "project-status"),
        ("project-status", {"status": "a b"}, "project-status"),
        ("project-status", {"status": '"><script>'}, "project-status"),
        ("project-status", {"status": "active\n"}, "project-status"),
        ("project-status", {"status": "active", "reason": 1}, "reason"),
        ("versions", "1.0", "$.versions"),
        ("versions", [1], "$.versions[0]"),
    ],
)
def test_a_wrong_field_of_a_page_is_named(key: str, new: object, words: str) -> None:
    with pytest.raises(MalformedResponseError) as caught:
        parse(changed(wire_page(), key, new))
    assert str(caught.value).startswith(f"{PAGE_URL}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("key", "new", "words"),
    [
        ("filename", MISSING, "filename"),
        ("filename", 1, "filename"),
        ("url", MISSING, "url"),
        ("url", None, "url"),
        ("hashes", [], "hashes"),
        ("hashes", {"md5": "0" * 31}, "MD5"),
        ("hashes", {"sha1": "0" * 39 + "g", "md5": "0" * 32}, "SHA-1"),
        ("hashes", {"sha256": "0" * 63, "sha512": "0" * 128}, "SHA-256"),
        ("hashes", {"sha256": "0" * 63}, "SHA-256"),
        ("hashes", {"sha256": "0" * 65}, "SHA-256"),
        ("hashes", {"sha256": "0" * 63 + "\n"}, "SHA-256"),
        ("hashes", {"sha256": "0" * 63 + "g"}, "SHA-256"),
        ("size", "7 bytes", "has size '7 bytes'"),
        ("size", "", "has size ''"),
        ("size", "9" * 30, "has size '9999"),
        ("size", 7.5, "size"),
        ("size", True, "size"),
        ("size", -1, "has size -1"),
        ("size", 10**18, "has size 1000000000000000000"),
        ("requires-python", 3, "requires-python"),
        ("upload-time", 5, "upload-time"),
        ("upload-time", "yesterday", "has upload-time 'yesterday'"),
        ("upload-time", "2024-13-01T00:00:00Z", "has upload-time"),
        ("yanked", 1, "yanked"),
        ("core-metadata", 1, "core-metadata"),
        ("core-metadata", {"sha256": 1}, "core-metadata"),
        ("core-metadata", {"sha256": "no digest"}, "core-metadata digest"),
        ("data-dist-info-metadata", "sha256", "data-dist-info-metadata"),
        ("provenance", 1, "provenance"),
    ],
)
def test_a_wrong_field_of_a_file_is_named(key: str, new: object, words: str) -> None:
    with pytest.raises(MalformedResponseError) as caught:
        parse(wire_page(changed(wire_file(), key, new)))
    assert str(caught.value).startswith(f"{PAGE_URL}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("key", "new", "words"),
    [
        ("filename", "", "is not a plain file name"),
        ("filename", ".", "is not a plain file name"),
        ("filename", "..", "is not a plain file name"),
        ("filename", ".hidden", "is not a plain file name"),
        ("filename", "a/b.whl", "is not a plain file name"),
        ("filename", "..\\b.whl", "is not a plain file name"),
        ("filename", "a\0.whl", "has control characters"),
        ("filename", "a\n.whl", "has control characters"),
        ("filename", "a\x1b[2J.whl", "has control characters"),
        ("filename", "a\u202e.whl", "has control characters"),
        ("filename", f"{WHEEL}.metadata", "looks like the core metadata of another file"),
        ("filename", "a" * (MAX_FILENAME_BYTES + 1), f"is longer than {MAX_FILENAME_BYTES} bytes"),
        ("filename", "ü" * (MAX_FILENAME_BYTES // 2 + 1), f"is longer than {MAX_FILENAME_BYTES} bytes"),
        ("url", "ftp://files.example/packages/a/b", "has the link 'ftp://"),
        ("url", "file:///etc/passwd", "has the link 'file:///"),
        ("url", "javascript:alert(1)", "has the link 'javascript:"),
        ("url", "http:///packages/a/b", "has the link 'http:///"),
        ("url", "https://user:secret@files.example/packages/a/b", "has the link "),
        ("url", "https://[/packages/a/b", "has the link 'https://["),
        ("url", "https://[zz]/packages/a/b", "has the link 'https://["),
        ("url", "https://files.example:99999/packages/a/b", "has the link 'https://files.example:99999"),
        ("url", "https://files.example:0/packages/a/b", "has the link 'https://files.example:0"),
        ("url", "https://files.example:x/packages/a/b", "has the link 'https://files.example:x"),
        ("url", "https://files example/packages/a/b", "has the link 'https://files example"),
        ("url", "https://files%20.example/packages/a/b", "has the link 'https://files%20"),
        ("url", "https://*/packages/a/b", "has the link 'https://*"),
        ("url", "https://.example/packages/a/b", "has the link 'https://.example"),
        ("url", "https://files..example/packages/a/b", "has the link 'https://files..example"),
        ("url", f"https://{'a' * 64}.example/packages/a/b", "has the link 'https://aaa"),
        ("url", f"https://{'é' * 64}.example/packages/a/b", "has the link 'https://"),
        ("url", "https://☃.example/packages/a/b", "has the link 'https://☃"),
    ],
)
def test_a_file_whose_name_or_link_is_of_no_use_is_left_out_alone(
    key: str, new: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    strange = changed(wire_file("sample-1.1.tar.gz"), key, new)
    page = parse(wire_page(wire_file(), strange))
    assert [file.filename for file in page.files] == [WHEEL]
    assert page.left_out == (strange["filename"],)
    (message,) = caplog.messages
    assert message.startswith(f"{PAGE_URL}: the file '")
    assert words in message
    assert message.endswith("; it is left out")
    assert message.isprintable()
    assert len(message) < 500


def test_the_message_names_the_file_of_the_wrong_field() -> None:
    with pytest.raises(MalformedResponseError, match=r"'sample-1\.0\.tar\.gz' has size -1"):
        parse(wire_page(wire_file(), wire_file("sample-1.0.tar.gz", size=-1)))


def test_a_page_may_name_a_file_only_once() -> None:
    with pytest.raises(MalformedResponseError, match=f"the file '{WHEEL}' is there twice"):
        parse(wire_page(wire_file(), wire_file("sample-1.0.tar.gz"), wire_file(size=8)))


def test_a_message_stays_short_and_on_one_line_whatever_upstream_wrote() -> None:
    with pytest.raises(MalformedResponseError) as caught:
        parse(wire_page(name="evil\r\nname\x1b" * 1000))
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"<html>", b"null", b"[]", b'"text"', b"{", b'{"name": "sample", "files": []', b"\xef\xbb\xbf{}"],
)
def test_what_is_no_json_object_is_no_page(body: bytes) -> None:
    with pytest.raises(MalformedResponseError, match="no PEP 691 page"):
        parse_project_page(body, SAMPLE, PAGE_URL)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_json_that_is_nested_very_deeply_is_refused(opening: bytes, closing: bytes) -> None:
    deep = opening * 50_000 + b"1" + closing * 50_000
    with pytest.raises(MalformedResponseError):
        parse_project_page(b'{"name": "sample", "files": ' + deep + b"}", SAMPLE, PAGE_URL)


@unhurried
@given(st.binary() | json_values.map(encoded))
def test_any_bytes_are_a_page_or_malformed(body: bytes) -> None:
    try:
        page = parse_project_page(body, SAMPLE, PAGE_URL)
    except MalformedResponseError as error:
        message = str(error)
    else:
        message = page.name
    assert message.isprintable()


@unhurried
@given(st.dictionaries(st.sampled_from(sorted(wire_file())), json_values, max_size=3))
@example({"upload-time": "0001-01-01T00:00:00+23:59"})
@example({"upload-time": "9999-12-31T23:59:59-23:59"})
def test_a_file_with_any_values_is_malformed_or_can_be_worked_with(changes: dict[str, Any]) -> None:
    try:
        page = parse(wire_page(wire_file() | changes))
    except MalformedResponseError:
        return
    for file in page.files:
        assert filename_problem(file.filename) is None
        assert file.mtime is None or isinstance(file.mtime, float)
        assert file.checksum is None or len(file.checksum.digest) in DIGEST_CHARACTERS.values()


@unhurried
@given(st.dictionaries(st.sampled_from(sorted(wire_page())), json_values, max_size=3))
def test_a_page_with_any_values_is_malformed_or_a_page_of_that_project(changes: dict[str, Any]) -> None:
    try:
        page = parse(wire_page(wire_file()) | changes)
    except MalformedResponseError:
        return
    assert page.name == SAMPLE
    assert page.serial is None or page.serial >= 0
