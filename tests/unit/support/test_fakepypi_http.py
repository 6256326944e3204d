"""The files that the fake index serves, and how it speaks HTTP."""

import http.client
import io
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.fakepypi import Call, FakePyPI
from tests.support.plain_client import HTML, JSON, V1_HTML, call, page, request

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
    connection = http.client.HTTPConnection(pypi.url.removeprefix("http://"), timeout=30)
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


def test_it_serves_real_files_from_the_command_line(pypi: FakePyPI, tmp_path: Path) -> None:
    made = pypi.add_file("foo", "1.0")
    (tmp_path / made.filename).write_bytes(made.content)
    command = [sys.executable, "-m", "tests.support.fakepypi", "--port", "0", str(tmp_path)]
    root = Path(__file__).parents[3]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip().removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=30)
        connection.request("GET", made.url_path)
        assert connection.getresponse().read() == made.content
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
