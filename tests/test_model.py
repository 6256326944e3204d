"""Pages of upstream become values, or an error that names the wrong field."""

import copy
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bandersnatch.errors import MalformedResponseError
from bandersnatch.model import (
    MAX_FILENAME_BYTES,
    DistributionFile,
    ListedProject,
    ProjectPage,
    belongs_to,
    filename_problem,
    parse_legacy_serial,
    parse_project_name,
    parse_project_page,
    parse_root_index,
)
from tests.builders import (
    FOLDER,
    PAGE_URL,
    SAMPLE,
    SHA256,
    WHEEL,
    encoded,
    json_values,
    make_file,
    make_page,
    named,
    unhurried,
    wire_file,
    wire_page,
)

RECORDED = Path(__file__).parent / "data" / "recorded"
RECORDED_PAGES = sorted((RECORDED / "06-final").glob("simple-*.json.body"))
RECORDED_PROJECT_PAGES = [path for path in RECORDED_PAGES if "index" not in path.name]

MISSING = object()


def parse(value: object) -> ProjectPage:
    return parse_project_page(encoded(value), SAMPLE, PAGE_URL)


def parse_one_file(**fields: object) -> DistributionFile:
    return parse(wire_page(wire_file(**fields))).files[0]  # type: ignore[arg-type]  # wrong types are the point


def changed(value: dict[str, Any], key: str, new: object) -> dict[str, Any]:
    """Return a copy with one key replaced, or taken away."""
    value = copy.deepcopy(value)
    if new is MISSING:
        del value[key]
    else:
        value[key] = new
    return value


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
    value = wire_page(wire_file(gpg_sig=True, future={"a": [1]}), alternate_locations=["x"], future=1)
    assert parse(value) == parse(wire_page(wire_file()))


def test_the_name_of_a_page_may_be_spelled_in_any_way() -> None:
    assert parse(wire_page(name="SAMPLE")).name == SAMPLE


@pytest.mark.parametrize(("serial", "expected"), [(0, 0), (7, 7), ("105", 105), (None, None)])
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
    ],
)
def test_core_metadata_counts_only_with_a_digest_and_under_either_name(
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
    ],
)
def test_links_are_made_absolute(link: str, expected: str) -> None:
    assert parse_one_file(url=link).url == expected


def test_the_fragment_of_a_link_is_no_part_of_the_url() -> None:
    page = parse(wire_page(wire_file(url=f"../../packages/{FOLDER}/{WHEEL}#egg=sample")))
    assert page.files[0].url.endswith(f"/packages/{FOLDER}/{WHEEL}")


def test_a_file_of_another_project_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    page = parse(wire_page(wire_file("other-1.0.tar.gz"), wire_file(), wire_file("samples-1.0-py3-none-any.whl")))
    assert [file.filename for file in page.files] == [WHEEL]
    assert caplog.messages == [
        f"{PAGE_URL}: the file 'other-1.0.tar.gz' is of another project; it is left out",
        f"{PAGE_URL}: the file 'samples-1.0-py3-none-any.whl' is of another project; it is left out",
    ]


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


# Pages that are wrong


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
        ("project-status", {"status": None}, "status"),
        ("project-status", {"status": ""}, "project-status"),
        ("project-status", {"status": "a b"}, "project-status"),
        ("project-status", {"status": '"><script>'}, "project-status"),
        ("project-status", {"status": "active\n"}, "project-status"),
        ("project-status", {"status": "active", "reason": 1}, "reason"),
        ("versions", None, "$.versions"),
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
        ("filename", "", "is no plain file name"),
        ("filename", ".", "is no plain file name"),
        ("filename", "..", "is no plain file name"),
        ("filename", ".hidden", "is no plain file name"),
        ("filename", "a/b.whl", "is no plain file name"),
        ("filename", "..\\b.whl", "is no plain file name"),
        ("filename", "a\0.whl", "has control characters"),
        ("filename", "a\n.whl", "has control characters"),
        ("filename", "a\x1b[2J.whl", "has control characters"),
        ("filename", "a\u202e.whl", "has control characters"),
        ("filename", f"{WHEEL}.metadata", "looks like a file that the mirror makes itself"),
        ("filename", f"{WHEEL}.part", "looks like a file that the mirror makes itself"),
        ("filename", "a" * (MAX_FILENAME_BYTES + 1), f"is longer than {MAX_FILENAME_BYTES} bytes"),
        ("filename", "ü" * (MAX_FILENAME_BYTES // 2 + 1), f"is longer than {MAX_FILENAME_BYTES} bytes"),
        ("url", MISSING, "url"),
        ("url", None, "url"),
        ("url", "ftp://files.example/packages/a/b", "links to 'ftp://"),
        ("url", "file:///etc/passwd", "links to 'file:///"),
        ("url", "javascript:alert(1)", "links to 'javascript:"),
        ("url", "http:///packages/a/b", "links to 'http:///"),
        ("url", "https://user:secret@files.example/packages/a/b", "links to "),
        ("url", "https://[/packages/a/b", "links to 'https://["),
        ("hashes", MISSING, "hashes"),
        ("hashes", None, "hashes"),
        ("hashes", {}, "SHA-256"),
        ("hashes", {"md5": "0" * 32}, "SHA-256"),
        ("hashes", {"sha256": "0" * 63}, "SHA-256"),
        ("hashes", {"sha256": "0" * 65}, "SHA-256"),
        ("hashes", {"sha256": "0" * 63 + "\n"}, "SHA-256"),
        ("hashes", {"sha256": "0" * 63 + "g"}, "SHA-256"),
        ("hashes", {"sha256": None}, "hashes"),
        ("size", MISSING, "size"),
        ("size", None, "size"),
        ("size", "7", "size"),
        ("size", 7.5, "size"),
        ("size", True, "size"),
        ("size", -1, "has size -1"),
        ("size", 10**18, "has size 1000000000000000000"),
        ("requires-python", 3, "requires-python"),
        ("upload-time", 5, "upload-time"),
        ("upload-time", "yesterday", "has upload-time 'yesterday'"),
        ("upload-time", "", "has upload-time ''"),
        ("upload-time", "2024-13-01T00:00:00Z", "has upload-time"),
        ("yanked", None, "yanked"),
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


def test_the_message_names_the_file_of_the_wrong_field() -> None:
    with pytest.raises(MalformedResponseError, match=r"'sample-1\.0\.tar\.gz' has size -1"):
        parse(wire_page(wire_file(), wire_file("sample-1.0.tar.gz", size=-1)))


def test_a_page_may_name_a_file_only_once() -> None:
    with pytest.raises(MalformedResponseError, match=f"the file '{WHEEL}' stands there twice"):
        parse(wire_page(wire_file(), wire_file("sample-1.0.tar.gz"), wire_file()))


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
        assert len(file.sha256) == 64


@unhurried
@given(st.dictionaries(st.sampled_from(sorted(wire_page())), json_values, max_size=3))
def test_a_page_with_any_values_is_malformed_or_a_page_of_that_project(changes: dict[str, Any]) -> None:
    try:
        page = parse(wire_page(wire_file()) | changes)
    except MalformedResponseError:
        return
    assert page.name == SAMPLE
    assert page.serial is None or page.serial >= 0


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
        assert name.isprintable()
        assert "/" not in name


# The root index and the legacy JSON


def test_the_root_index_of_pypi_is_read() -> None:
    body = (RECORDED / "06-final" / "simple-index.json.body").read_bytes()
    serial, projects = parse_root_index(body, PAGE_URL)
    value = json.loads(body)
    assert serial == value["meta"]["_last-serial"]
    assert projects == {
        named(entry["name"]): ListedProject(entry["name"], entry["_last-serial"]) for entry in value["projects"]
    }


def test_the_root_index_of_another_bandersnatch_has_names_only() -> None:
    body = encoded({"meta": {"_last-serial": 9, "api-version": "1.1"}, "projects": [{"name": "foo"}]})
    assert parse_root_index(body, PAGE_URL) == (9, {named("foo"): ListedProject("foo", 0)})


def test_a_name_that_can_not_be_is_left_out_of_the_root_index() -> None:
    body = encoded({"projects": [{"name": "../evil"}, {"name": "Fine", "_last-serial": 3}]})
    assert parse_root_index(body, PAGE_URL) == (None, {named("fine"): ListedProject("Fine", 3)})


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"projects": 1}', b'{"projects": [{}]}'])
def test_what_is_no_root_index_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedResponseError, match="no PEP 691 root index"):
        parse_root_index(body, PAGE_URL)


@unhurried
@given(st.binary() | json_values.map(encoded) | json_values.map(lambda value: encoded({"projects": [{"name": value}]})))
def test_any_bytes_are_a_root_index_or_malformed(body: bytes) -> None:
    try:
        _, projects = parse_root_index(body, PAGE_URL)
    except MalformedResponseError:
        return
    assert all(parse_project_name(project.display_name) == name for name, project in projects.items())


def test_the_legacy_json_of_pypi_tells_its_serial() -> None:
    body = (RECORDED / "06-final" / "pypi-yanky.json.body").read_bytes()
    assert parse_legacy_serial(body, named("yanky"), PAGE_URL) == json.loads(body)["last_serial"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "Not Found"}', "no JSON of a project"),
        (b"<html>", "no JSON of a project"),
        (b'{"info": {"name": "other"}, "last_serial": 1}', "the JSON is of project 'other'"),
        (b'{"info": {"name": "sample"}}', "last_serial"),
        (b'{"info": {"name": "sample"}, "last_serial": null}', "last_serial"),
        (b'{"info": {}, "last_serial": 1}', "name"),
    ],
)
def test_what_is_no_legacy_json_of_the_project_is_malformed(body: bytes, words: str) -> None:
    with pytest.raises(MalformedResponseError, match=words):
        parse_legacy_serial(body, SAMPLE, PAGE_URL)


@unhurried
@given(st.binary() | json_values.map(encoded))
def test_any_bytes_are_legacy_json_or_malformed(body: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        parse_legacy_serial(body, SAMPLE, PAGE_URL)
