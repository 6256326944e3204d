"""The fake index itself: its story, its faults, its log; and the check of a mirror's tree."""

import http.client
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import xmlrpc.client
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import pytest

from tests.fakepypi import (
    Body,
    Call,
    Edit,
    ExtraBytes,
    FakePyPI,
    Fault,
    RateLimited,
    Reset,
    SerialHeader,
    ShortBody,
    Stall,
    Status,
    WrongBytes,
    XmlFault,
)
from tests.fakepypi.pages import render_json, render_project_html, render_root_html
from tests.mirror_check import assert_mirror_matches

JSON = "application/vnd.pypi.simple.v1+json"
V1_HTML = "application/vnd.pypi.simple.v1+html"
HTML = "text/html; charset=UTF-8"


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


@pytest.fixture
def pypi() -> Iterator[FakePyPI]:
    with FakePyPI() as fake:
        yield fake


def request(pypi: FakePyPI, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection(pypi.url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, body, named)
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()


def page(pypi: FakePyPI, name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(request(pypi, f"/simple/{name}/", Accept=JSON).body)
    return value


def call(pypi: FakePyPI, method: str, *arguments: int) -> Any:
    xml = xmlrpc.client.dumps(arguments, method)
    (value,), _ = xmlrpc.client.loads(request(pypi, "/pypi", "POST", xml, Content_Type="text/xml").body)
    return value


def actions(pypi: FakePyPI, since: int = 0) -> list[tuple[str, str]]:
    return [(row[0], row[3]) for row in call(pypi, "changelog_since_serial", since)]


# The story


def test_each_event_writes_the_rows_of_pypi(pypi: FakePyPI) -> None:
    pypi.add_file("Foo.Bar", "1.0")
    pypi.add_file("Foo.Bar", "1.0", kind="sdist")
    pypi.remove_file("foo-bar", "foo_bar-1.0.tar.gz")

    assert [action for _, action in actions(pypi)] == [
        "create",
        "add Owner alice",
        "new release",
        "add py3 file foo_bar-1.0-py3-none-any.whl",
        "add source file foo_bar-1.0.tar.gz",
        "remove file foo_bar-1.0.tar.gz",
    ]
    assert pypi.serial == pypi.project_serial("foo-bar") == 6


def test_another_spelling_in_an_upload_becomes_the_display_name(pypi: FakePyPI) -> None:
    pypi.add_file("Foo.Bar", "1.0")
    before = pypi.serial
    pypi.add_file("foo_bar", "1.1")

    assert pypi.display_name("FOO-BAR") == "foo_bar"
    assert actions(pypi, before) == [
        ("foo_bar", "new release"),
        ("foo_bar", "add py3 file foo_bar-1.1-py3-none-any.whl"),
    ]


def test_rename_writes_no_row_but_later_rows_carry_the_name(pypi: FakePyPI) -> None:
    pypi.create_project("foo")
    pypi.rename_project("foo", "Foo")
    pypi.add_role("foo")
    pypi.invite_role("foo")
    pypi.remove_role("foo")

    assert actions(pypi, 2) == [
        ("Foo", "add Maintainer bob"),
        ("Foo", "invite Maintainer carol"),
        ("Foo", "remove Maintainer bob"),
    ]


def test_skipped_serials_leave_a_gap(pypi: FakePyPI) -> None:
    pypi.create_project("foo")
    pypi.skip_serials(10)

    assert pypi.serial == 2
    assert pypi.write_journal("user:mallory", None, "nuke user", timestamp=7) == 13
    assert call(pypi, "changelog_since_serial", 2) == [["user:mallory", None, 7, "nuke user", 13]]


def test_a_row_moves_the_serial_only_of_the_project_spelled_so(pypi: FakePyPI) -> None:
    pypi.create_project("Foo")
    pypi.write_journal("foo", None, "odd")

    assert (pypi.serial, pypi.project_serial("Foo")) == (3, 2)


def test_actions_are_escaped_twice_as_at_pypi(pypi: FakePyPI) -> None:
    pypi.write_journal(None, None, "snow ☃\x01")
    pypi.write_journal("foo", None, None)

    assert [row[3] for row in call(pypi, "changelog_since_serial", 0)] == ["snow &#9731;", None]


def test_archiving_and_provenance_change_the_page_but_not_the_serial(pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    before = pypi.serial
    pypi.archive("foo")
    pypi.add_provenance("foo", file.filename)

    assert page(pypi, "foo")["project-status"] == {"status": "archived"}
    assert page(pypi, "foo")["files"][0]["provenance"].startswith(f"{pypi.url}/integrity/foo/1.0/")
    assert pypi.serial == before
    pypi.unarchive("foo")
    assert page(pypi, "foo")["project-status"] == {"status": "active"}


def test_quarantined_projects_have_empty_pages_and_are_on_one_list_only(pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.quarantine_project("foo")

    assert page(pypi, "foo")["files"] == pypi.files("foo") == []
    assert call(pypi, "list_packages_with_serial") == {"foo": 5}
    assert json.loads(request(pypi, "/simple/", Accept=JSON).body)["projects"] == []
    assert request(pypi, "/pypi/foo/json").status == 404
    pypi.clear_quarantine("foo")
    assert len(page(pypi, "foo")["files"]) == 1


def test_quarantined_releases_vanish_from_the_page(pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("foo", "2.0")
    pypi.quarantine_release("foo", "2.0")

    assert page(pypi, "foo")["versions"] == ["1.0"]
    pypi.clear_release_quarantine("foo", "2.0")
    assert page(pypi, "foo")["versions"] == ["1.0", "2.0"]


def test_removed_projects_are_404_but_their_files_stay(pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    pypi.remove_project("foo")

    assert request(pypi, "/simple/foo/").status == 404
    assert request(pypi, file.url_path).body == file.content
    assert pypi.project_names() == []


def test_a_filename_cannot_be_used_again(pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.remove_project("foo")

    with pytest.raises(ValueError, match="used before"):
        pypi.add_file("foo", "1.0")


def test_uploading_the_same_file_again_changes_nothing(pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")

    assert pypi.add_file("foo", "1.0") is file
    assert pypi.serial == 4


def test_requires_python_belongs_to_the_release(pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0", requires_python=">=3.8")
    pypi.add_file("foo", "1.0", kind="sdist")

    assert [file["requires-python"] for file in page(pypi, "foo")["files"]] == [">=3.8", ">=3.8"]
    with pytest.raises(ValueError, match="already"):
        pypi.add_file("foo", "1.0", python_tag="py2", requires_python=">=2")


def test_changelog_stops_silently_at_its_limit() -> None:
    with FakePyPI(changelog_limit=2) as pypi:
        pypi.add_file("foo", "1.0")
        assert [row[4] for row in call(pypi, "changelog_since_serial", 1)] == [2, 3]


def test_frozen_pages_answer_what_they_said(pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.freeze_page("foo")
    pypi.freeze_page("later")
    pypi.remove_project("foo")
    pypi.create_project("later")

    assert request(pypi, "/simple/foo/").headers["X-PyPI-Last-Serial"] == "4"
    assert request(pypi, "/pypi/foo/json").status == 200
    assert request(pypi, "/simple/later/").status == 404
    pypi.thaw_page("foo")
    assert request(pypi, "/simple/foo/").status == 404


def test_frozen_lists_answer_what_they_said(pypi: FakePyPI) -> None:
    pypi.create_project("foo")
    pypi.freeze_list()
    pypi.create_project("bar")

    assert call(pypi, "list_packages_with_serial") == {"foo": 2}
    assert json.loads(request(pypi, "/simple/", Accept=JSON).body)["meta"]["_last-serial"] == 2
    assert call(pypi, "changelog_last_serial") == 4
    pypi.thaw_list()
    assert call(pypi, "list_packages_with_serial") == {"bar": 4, "foo": 2}


# Files


def test_wheels_are_real_and_the_same_every_time(pypi: FakePyPI) -> None:
    file = pypi.add_file("Foo.Bar", "1.0", requires_python=">=3.8")

    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        assert archive.testzip() is None
        assert archive.read("foo_bar-1.0.dist-info/METADATA") == file.metadata
    assert request(pypi, f"{file.url_path}.metadata").body == file.metadata
    with FakePyPI() as other:
        assert other.add_file("Foo.Bar", "1.0", requires_python=">=3.8").sha256 == file.sha256


def test_metadata_in_the_wheel_can_differ_from_the_advertised(pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", metadata_in_wheel=False)

    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        assert archive.read("foo-1.0.dist-info/METADATA") != file.metadata


def test_without_core_metadata_there_is_no_metadata_file(pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", core_metadata=False)

    assert page(pypi, "foo")["files"][0]["core-metadata"] is False
    assert request(pypi, f"{file.url_path}.metadata").status == 404


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_files_are_padded_to_about_the_size_asked_for(pypi: FakePyPI, kind: Any) -> None:
    assert 100_000 <= pypi.add_file("foo", "1.0", kind=kind, size=100_000).size < 101_000


def test_legacy_paths_are_served_too(pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist", path="packages/source/f/foo/foo-1.0.tar.gz")

    assert page(pypi, "foo")["files"][0]["url"] == f"{pypi.url}/packages/source/f/foo/foo-1.0.tar.gz"
    assert request(pypi, "/packages/source/f/foo/foo-1.0.tar.gz").body == file.content


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_real_files_are_read_from_disk(pypi: FakePyPI, tmp_path: Path, kind: Any) -> None:
    made = pypi.add_file("Foo.Bar", "1.0", kind=kind, requires_python=">=3.8")
    path = tmp_path / made.filename
    path.write_bytes(made.content)

    with FakePyPI() as other:
        local = other.add_local_file(path)
        assert (local.sha256, local.metadata, local.version) == (made.sha256, made.metadata, "1.0")
        assert other.display_name("foo-bar") == "Foo.Bar"
        assert page(other, "foo-bar")["files"][0]["requires-python"] == ">=3.8"
        assert request(other, local.url_path, Range="bytes=10-19").body == made.content[10:20]


@pytest.mark.parametrize(
    ("wanted", "first", "stop"), [("bytes=5-9", 5, 10), ("bytes=100-", 100, None), ("bytes=-7", -7, None)]
)
def test_ranges_give_parts_of_files(pypi: FakePyPI, wanted: str, first: int, stop: int | None) -> None:
    file = pypi.add_file("foo", "1.0")
    reply = request(pypi, file.url_path, Range=wanted)

    assert (reply.status, reply.body) == (206, file.content[first:stop])
    assert reply.headers["Content-Range"].endswith(f"/{file.size}")


def test_a_range_past_the_end_is_416(pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    reply = request(pypi, file.url_path, Range=f"bytes={file.size}-")

    assert (reply.status, reply.headers["Content-Range"]) == (416, f"bytes */{file.size}")


def test_a_range_of_another_file_gives_the_whole(pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    etag = request(pypi, file.url_path, "HEAD").headers["ETag"]

    assert request(pypi, file.url_path, Range="bytes=5-", If_Range='"other"').status == 200
    assert request(pypi, file.url_path, Range="bytes=5-", If_Range=etag).status == 206


# HTTP


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", HTML),
        ("application/json", HTML),
        (f"{V1_HTML};q=0.2, {JSON};q=0.9, text/html;q=0.1", JSON),
        (f"{JSON};q=0.1, {V1_HTML}", V1_HTML),
        (f"{JSON};q=0, text/*", HTML),
        ("application/*", V1_HTML),
    ],
)
def test_the_format_follows_the_accept_header(pypi: FakePyPI, accept: str, content_type: str) -> None:
    pypi.create_project("foo")

    assert request(pypi, "/simple/foo/", Accept=accept).headers["Content-Type"] == content_type


def test_one_connection_serves_many_requests(pypi: FakePyPI) -> None:
    pypi.create_project("foo")
    connection = http.client.HTTPConnection(pypi.url.removeprefix("http://"), timeout=10)
    for method in ("HEAD", "GET", "GET"):
        connection.request(method, "/simple/foo/")
        connection.getresponse().read()
    socket_before = connection.sock
    connection.request("GET", "/simple/")

    assert connection.getresponse().status == 200
    assert connection.sock is socket_before
    connection.close()


def test_the_log_tells_requests_apart(pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    for path in ("/simple/", "/simple/foo/", file.url_path, f"{file.url_path}.metadata", "/simple/none/"):
        request(pypi, path, User_Agent="tester")
    call(pypi, "changelog_last_serial")

    assert [each.status for each in pypi.requests] == [200, 200, 200, 200, 404, 200]
    assert [each.path for each in pypi.page_requests()] == ["/simple/foo/", "/simple/none/"]
    assert [each.path for each in pypi.file_requests()] == [file.url_path]
    assert [each.path for each in pypi.metadata_requests()] == [f"{file.url_path}.metadata"]
    assert pypi.rpc_calls() == ["changelog_last_serial"]
    assert pypi.requests[0].headers["user-agent"] == "tester"
    pypi.clear_requests()
    assert pypi.requests == []


def test_errors_of_the_fake_itself_fail_the_test() -> None:
    def fail() -> None:
        raise LookupError("a mistake in a test's callback")

    def run() -> None:
        with FakePyPI() as pypi:
            pypi.fault("/simple/", Call(fail))
            with pytest.raises(http.client.RemoteDisconnected):
                request(pypi, "/simple/")

    with pytest.raises(AssertionError, match="the fake index failed"):
        run()


# Faults


def test_faults_take_turns_and_end(pypi: FakePyPI) -> None:
    pypi.fault("/simple/*", Status(503, headers={"Retry-After": "1"}, body=b"busy"), Status(500), times=2)

    statuses = [request(pypi, "/simple/").status for _ in range(5)]

    assert statuses == [503, 500, 503, 500, 200]


def test_faults_without_an_end_last_until_cleared(pypi: FakePyPI) -> None:
    pypi.fault("/simple/", Status(503, headers={"Retry-After": "1"}), times=None)

    replies = [request(pypi, "/simple/") for _ in range(3)]

    assert [(reply.status, reply.headers["Retry-After"]) for reply in replies] == [(503, "1")] * 3
    pypi.clear_faults()
    assert request(pypi, "/simple/").status == 200


def test_exact_paths_come_before_prefixes(pypi: FakePyPI) -> None:
    pypi.fault("/simple/*", Status(500))
    pypi.fault("/simple/foo/", Status(503))

    assert [request(pypi, "/simple/foo/").status for _ in range(3)] == [503, 500, 404]


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        (WrongBytes(), lambda content: bytes(byte ^ 0x55 for byte in content)),
        (ExtraBytes(3), lambda content: content + b"xxx"),
        (Body(b"other"), lambda content: b"other"),
    ],
)
def test_bytes_can_be_wrong(pypi: FakePyPI, fault: Fault, change: Callable[[bytes], bytes]) -> None:
    file = pypi.add_file("foo", "1.0")
    pypi.fault(file.url_path, fault)

    assert request(pypi, file.url_path).body == change(file.content)
    assert request(pypi, file.url_path).body == file.content


def test_a_body_in_place_of_the_real_keeps_its_headers(pypi: FakePyPI) -> None:
    pypi.create_project("foo")
    pypi.fault("/simple/foo/", Body(b"<", headers={"X-Extra": "1"}, content_type="text/plain"))
    reply = request(pypi, "/simple/foo/")

    assert (reply.status, reply.body, reply.headers["X-PyPI-Last-Serial"]) == (200, b"<", "2")
    assert (reply.headers["X-Extra"], reply.headers["Content-Type"]) == ("1", "text/plain")


def test_short_bodies_break_off(pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    pypi.fault(file.url_path, ShortBody(10))

    with pytest.raises(http.client.IncompleteRead) as caught:
        request(pypi, file.url_path)
    assert caught.value.partial == file.content[:10]


@pytest.mark.parametrize(("after_bytes", "status"), [(0, None), (10, 200)])
def test_connections_can_be_reset(pypi: FakePyPI, after_bytes: int, status: int | None) -> None:
    file = pypi.add_file("foo", "1.0")
    pypi.fault(file.url_path, Reset(after_bytes))

    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        request(pypi, file.url_path)
    assert [each.status for each in pypi.requests] == [status]


def test_a_stalled_answer_goes_on_when_the_event_is_set(pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    stall = Stall(Event(), after_bytes=10)
    pypi.fault(file.url_path, stall)
    replies: list[Reply] = []
    client = Thread(target=lambda: replies.append(request(pypi, file.url_path)))
    client.start()

    assert stall.started.wait(10)
    assert replies == []
    assert stall.event is not None
    stall.event.set()
    client.join(10)
    assert replies[0].body == file.content


def test_closing_the_fake_ends_a_stall() -> None:
    errors: list[BaseException] = []

    def ask(pypi: FakePyPI) -> None:
        try:
            request(pypi, "/simple/")
        except (http.client.IncompleteRead, ConnectionError) as error:
            errors.append(error)

    with FakePyPI() as pypi:
        stall = Stall()
        pypi.fault("/simple/", stall)
        client = Thread(target=ask, args=(pypi,))
        client.start()
        assert stall.started.wait(10)
    client.join(10)
    assert len(errors) == 1


@pytest.mark.parametrize(("value", "seen"), [(7, "7"), ("junk", "junk"), (None, None)])
def test_the_serial_header_can_be_wrong(pypi: FakePyPI, value: int | str | None, seen: str | None) -> None:
    pypi.create_project("foo")
    pypi.fault("/simple/foo/", SerialHeader(value))

    assert request(pypi, "/simple/foo/").headers["X-PyPI-Last-Serial"] == seen


def test_pages_can_be_edited_in_every_format(pypi: FakePyPI) -> None:
    pypi.create_project("foo")
    pypi.fault("/simple/foo/", Edit(lambda value: {**value, "name": "evil"}), times=2)

    assert page(pypi, "foo")["name"] == "evil"
    assert b"Links for evil" in request(pypi, "/simple/foo/").body
    assert page(pypi, "foo")["name"] == "foo"


def test_a_call_can_change_the_world_before_the_answer(pypi: FakePyPI) -> None:
    pypi.create_project("foo")
    pypi.fault("/simple/foo/", Call(lambda: pypi.add_file("foo", "1.0")), Call(pypi.clear_faults, then=Status(502)))

    assert page(pypi, "foo")["versions"] == ["1.0"]
    assert request(pypi, "/simple/foo/").status == 502


def test_xml_rpc_calls_fail_by_method(pypi: FakePyPI) -> None:
    pypi.fault("rpc:changelog_last_serial", XmlFault(-32500, "application error"))
    pypi.fault("rpc:*", RateLimited(57))

    with pytest.raises(xmlrpc.client.Fault, match="Limit may reset in 57 seconds"):
        call(pypi, "list_packages_with_serial")
    with pytest.raises(xmlrpc.client.Fault, match="application error"):
        call(pypi, "changelog_last_serial")
    assert call(pypi, "changelog_last_serial") is None


def test_it_serves_real_files_from_the_command_line(pypi: FakePyPI, tmp_path: Path) -> None:
    made = pypi.add_file("foo", "1.0")
    (tmp_path / made.filename).write_bytes(made.content)
    command = [sys.executable, "-m", "tests.fakepypi", "--port", "0", str(tmp_path)]
    root = Path(__file__).parent.parent

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip().removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=10)
        connection.request("GET", made.url_path)
        assert connection.getresponse().read() == made.content
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


# The check of a mirror's tree


def write_mirror(pypi: FakePyPI, directory: Path) -> None:
    """Write the tree of a perfect mirror."""
    simple = directory / "web" / "simple"
    simple.mkdir(parents=True)
    rows = [{"_last-serial": pypi.project_serial(n), "name": pypi.display_name(n)} for n in pypi.project_names()]
    write_pages(simple, {"meta": {"_last-serial": pypi.serial, "api-version": "1.4"}, "projects": rows})
    for name in pypi.project_names():
        local = pypi.page(name)
        for entry, file in zip(local["files"], pypi.files(name), strict=True):
            entry["url"] = f"../..{file.url_path}"
            path = directory / "web" / file.url_path.lstrip("/")
            path.parent.mkdir(parents=True)
            path.write_bytes(file.content)
            os.utime(path, (file.upload_time.timestamp(),) * 2)
            if file.metadata is not None:
                path.with_name(f"{path.name}.metadata").write_bytes(file.metadata)
        (simple / name).mkdir()
        write_pages(simple / name, local)
    (directory / "state").write_text(f"{pypi.serial}\n")
    (directory / "web" / "last-modified").write_text(datetime.now(UTC).strftime("%Y%m%dT%H:%M:%S"))
    (directory / ".lock").touch()


def write_pages(folder: Path, value: dict[str, Any]) -> None:
    html = render_root_html(value) if "projects" in value else render_project_html(value)
    (folder / "index.html").write_bytes(html)
    (folder / "index.v1_html").write_bytes(html)
    (folder / "index.v1_json").write_bytes(render_json(value))


@pytest.fixture
def mirrored(pypi: FakePyPI, tmp_path: Path) -> Path:
    pypi.add_file("Foo.Bar", "1.0", requires_python=">=3.8", upload_time=datetime(2009, 5, 1, tzinfo=UTC))
    pypi.add_file("Foo.Bar", "1.10", kind="sdist")
    pypi.yank("foo-bar", "1.10", 'bad "quotes" & <html> ☃')
    pypi.add_provenance("foo-bar", "foo_bar-1.0-py3-none-any.whl")
    pypi.add_file("zope", "1.0")
    pypi.quarantine_project("zope")
    pypi.create_project("empty")
    write_mirror(pypi, tmp_path)
    return tmp_path


def test_a_perfect_mirror_matches(pypi: FakePyPI, mirrored: Path) -> None:
    assert_mirror_matches(pypi, mirrored)


def replace_in(pattern: str, old: str, new: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        (path,) = root.glob(pattern)
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")

    return damage


def damage_file(root: Path) -> None:
    (path,) = root.glob("web/packages/*/*/*/*.whl")
    stamp = path.stat().st_mtime
    path.write_bytes(bytes(reversed(path.read_bytes())))
    os.utime(path, (stamp, stamp))


def touch_file(root: Path) -> None:
    (path,) = root.glob("web/packages/*/*/*/*.whl")
    os.utime(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "todo").touch(), "todo: there is still work"),
        (lambda root: (root / "state").write_text("1"), "state: the mirror has '1'"),
        (lambda root: (root / "web/last-modified").write_text("2026-01-01"), "last-modified: '2026-01-01'"),
        (lambda root: shutil.rmtree(root / "web/simple/empty"), r"web/simple: \['empty'\] missing"),
        (lambda root: (root / "web/simple/other").mkdir(), r"web/simple: \['other'\] should not be there"),
        (lambda root: (root / "web/simple/empty/index.v1_html").unlink(), r"empty: \['index.v1_html'\] missing"),
        (lambda root: (root / "web/packages/ff/ee").mkdir(parents=True), "empty folder"),
        (lambda root: (root / "web/packages/extra.whl").touch(), "extra.whl: no page of upstream lists"),
        (lambda root: (root / "web/.hidden").touch(), "hidden file"),
        (lambda root: (root / "web/simple-new.tmp").touch(), "temporary file"),
        (lambda root: next(root.glob("web/packages/*/*/*/*.metadata")).unlink(), ".metadata: no such file"),
        (lambda root: next(root.glob("web/packages/*/*/*/*.metadata")).write_text(""), ".metadata: sha256"),
        (lambda root: next(root.glob("web/packages/*/*/*/*.tar.gz")).write_text(""), "size: the mirror has 0"),
        (damage_file, "none-any.whl: sha256"),
        (touch_file, "time of upload"),
        (replace_in("web/simple/foo-bar/index.v1_json", "☃", ""), "yanked: the mirror"),
        (replace_in("web/simple/foo-bar/index.v1_json", "1.10", "1.9"), "index.v1_json: .*filename"),
        (replace_in("web/simple/foo-bar/index.v1_json", "../../", "/"), "not relative"),
        (replace_in("web/simple/foo-bar/index.v1_json", '"api-version":"1.4"', '"api-version":"1.0"'), "meta"),
        (replace_in("web/simple/foo-bar/index.html", "☃", ""), "index.html: .*data-yanked"),
        (replace_in("web/simple/foo-bar/index.html", "data-core-metadata", "data-core"), "data-core"),
        (replace_in("web/simple/foo-bar/index.html", "data-provenance", "data-p"), "data-p"),
        (replace_in("web/simple/foo-bar/index.html", "&gt;=3.8", "&gt;=3.9"), "data-requires-python"),
        (replace_in("web/simple/foo-bar/index.html", "#sha256=", "#sha256=0"), "index.html: .*href"),
        (replace_in("web/simple/foo-bar/index.v1_html", "../../packages/", "../../packages/x"), "href"),
        (replace_in("web/simple/foo-bar/index.v1_html", "SERIAL ", "SERIAL 1"), "comments"),
        (replace_in("web/simple/zope/index.html", "quarantined", "active"), "project-status"),
        (replace_in("web/simple/index.html", ">Foo.Bar<", ">foo-bar<"), r"index.html: projects: \['Foo.Bar'\] missing"),
        (replace_in("web/simple/index.v1_json", '"_last-serial":7', '"_last-serial":6'), "index.v1_json"),
    ],
)
def test_each_difference_is_found(
    pypi: FakePyPI, mirrored: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(mirrored)

    with pytest.raises(AssertionError, match=message):
        assert_mirror_matches(pypi, mirrored)


def test_a_mirror_that_is_behind_does_not_match(pypi: FakePyPI, mirrored: Path) -> None:
    pypi.unyank("foo-bar", "1.10")
    (mirrored / "state").write_text(str(pypi.serial))

    with pytest.raises(AssertionError, match=r"foo-bar/index.html: .*SERIAL"):
        assert_mirror_matches(pypi, mirrored)
