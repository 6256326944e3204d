"""Every status that the site answers, with its headers, over a connection that is kept."""

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bandersnatch.serving.negotiation import V1_JSON
from bandersnatch.serving.site import Site
from bandersnatch.storage.layout import Layout
from tests.support.serving import LAST_MODIFIED, WHEEL, WHEEL_BYTES, Client, make_web, needs_waitress, server_of

pytestmark = needs_waitress

WHEEL_PATH = f"/{WHEEL}"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_web(tmp_path_factory.mktemp("site") / "web")


@pytest.fixture(scope="module")
def port(web: Path) -> Iterator[int]:
    with server_of(Site(web, Layout())) as port:
        yield port


@pytest.fixture
def client(port: int) -> Iterator[Client]:
    with closing(Client(port)) as client:
        yield client


def test_200_of_a_page(client: Client) -> None:
    answer = client.ask("/simple/foo-bar/", Accept=V1_JSON)
    assert (answer.status, answer.body) == (200, b'{"files":[]}')
    assert answer.headers["Content-Type"] == V1_JSON
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert answer.headers["Vary"] == "Accept"
    assert answer.headers["Cache-Control"] == "max-age=600, public"
    assert answer.headers["Server"] == "bandersnatch"


def test_200_of_a_file(client: Client) -> None:
    answer = client.ask(WHEEL_PATH)
    assert (answer.status, answer.body) == (200, WHEEL_BYTES)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Cache-Control"] == "max-age=31536000, immutable, public"
    assert answer.headers["Last-Modified"] == LAST_MODIFIED
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Vary"] is None


def test_200_of_an_empty_file(client: Client) -> None:
    answer = client.ask("/packages/aa/bb/empty-1.0.tar.gz")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")


def test_200_of_the_top_which_lists_nothing(client: Client) -> None:
    answer = client.ask("/")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.body.count(b"<a ") == answer.body.count(b'<a href="simple/">') == 1


def test_query_is_ignored(client: Client) -> None:
    assert client.ask(f"{WHEEL_PATH}?a=../b#c").body == WHEEL_BYTES


@pytest.mark.parametrize("path", ["/simple/foo-bar/", WHEEL_PATH, "/", "/simple/Foo_Bar", "/nothing", "/json/nothing"])
def test_head_is_get_without_a_body(client: Client, path: str) -> None:
    get, head = client.ask(path), client.ask(path, "HEAD")
    assert head.status == get.status
    assert head.body == b""
    changing = ("Date",)
    assert [each for each in head.headers.items() if each[0] not in changing] == [
        each for each in get.headers.items() if each[0] not in changing
    ]


@pytest.mark.parametrize(
    ("asked", "content_range", "part"),
    [
        ("bytes=0-9", "bytes 0-9/10240", slice(0, 10)),
        ("bytes=10000-", "bytes 10000-10239/10240", slice(10000, None)),
        ("bytes=-7", "bytes 10233-10239/10240", slice(-7, None)),
    ],
)
def test_206_of_a_part(client: Client, asked: str, content_range: str, part: slice) -> None:
    answer = client.ask(WHEEL_PATH, Range=asked)
    assert (answer.status, answer.body) == (206, WHEEL_BYTES[part])
    assert answer.headers["Content-Range"] == content_range
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert answer.headers["ETag"] == client.ask(WHEEL_PATH).headers["ETag"]


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "bytes=5-2", "lines=0-1"])
def test_other_ranges_get_the_whole(client: Client, asked: str) -> None:
    answer = client.ask(WHEEL_PATH, Range=asked)
    assert (answer.status, answer.body) == (200, WHEEL_BYTES)


def test_range_is_of_the_same_state_or_the_whole(client: Client) -> None:
    etag = client.ask(WHEEL_PATH).headers["ETag"]
    for known, status in ((etag, 206), (LAST_MODIFIED, 206), ('"another"', 200)):
        assert client.ask(WHEEL_PATH, Range="bytes=0-9", If_Range=known).status == status


def test_416_tells_the_size(client: Client) -> None:
    answer = client.ask(WHEEL_PATH, Range="bytes=10240-")
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */10240")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("path", ["/simple/", "/simple/foo-bar/", WHEEL_PATH])
def test_304_keeps_the_connection(client: Client, path: str) -> None:
    first = client.ask(path)
    connection = client.connection.sock
    for headers in ({"If_None_Match": first.headers["ETag"]}, {"If_Modified_Since": LAST_MODIFIED}):
        answer = client.ask(path, **headers)
        assert (answer.status, answer.body) == (304, b"")
        for name in ("ETag", "Cache-Control", "Vary", "Last-Modified"):
            assert answer.headers[name] == first.headers[name]
        assert answer.headers["Connection"] is None
    assert client.ask(path).status == 200
    assert client.connection.sock is connection


def test_forms_of_a_page_have_tags_of_their_own(client: Client) -> None:
    tags = {client.ask("/simple/foo-bar/", Accept=accept).headers["ETag"] for accept in
            ("text/html", "application/vnd.pypi.simple.v1+html", V1_JSON)}  # fmt: skip
    assert len(tags) == 3


def test_page_that_changed_has_another_tag(client: Client, web: Path) -> None:
    etag = client.ask("/simple/f/").headers["ETag"]
    new = web.parent / "new"
    new.write_bytes(b"<!DOCTYPE htmm>")
    new.rename(web / "simple/f/index.html")
    answer = client.ask("/simple/f/", If_None_Match=etag)
    assert (answer.status, answer.body) == (200, b"<!DOCTYPE htmm>")


def test_412_if_a_condition_is_not_met(client: Client) -> None:
    assert client.ask(WHEEL_PATH, If_Match='"another"').status == 412


@pytest.mark.parametrize("path", ["/simple/Foo_Bar/", "/simple/Foo_Bar", "/simple/foo-bar"])
def test_301_leads_to_the_page_in_one_step(client: Client, path: str) -> None:
    answer = client.ask(path)
    assert (answer.status, answer.headers["Location"]) == (301, "/simple/foo-bar/")
    assert client.ask(answer.headers["Location"]).status == 200


def test_400_for_a_path_that_is_not_utf_8(client: Client) -> None:
    assert client.ask("/simple/%ff/").status == 400


@pytest.mark.parametrize("path", ["/simple/nothing/", "/packages/", "/%2e%2e/state", "/..%2fstate", "/a%00b"])
def test_404(client: Client, path: str) -> None:
    answer = client.ask(path)
    assert (answer.status, answer.body) == (404, b"404 Not Found\n")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("path", ["/pypi/nothing/json", "/json/nothing"])
def test_404_of_json_is_json_as_at_pypi(client: Client, path: str) -> None:
    answer = client.ask(path)
    assert (answer.status, answer.body) == (404, b'{"message": "Not Found"}')
    assert answer.headers["Content-Type"] == "application/json"


def test_legacy_json_has_the_serial_of_its_page(tmp_path: Path) -> None:
    web = make_web(tmp_path / "web")
    page = web / "simple" / "foo-bar" / "index.v1_json"
    page.write_bytes(b'{"files":[],"meta":{"_last-serial":1234,"api-version":"1.4"},"name":"foo-bar"}')
    with server_of(Site(web, Layout())) as port, closing(Client(port)) as client:
        for path in ("/pypi/foo-bar/json", "/json/foo-bar"):
            assert client.ask(path, "HEAD").headers["X-PyPI-Last-Serial"] == "1234"
        page.write_bytes(b'{"meta":{"api-version":"1.4"},"name":"{_last-serial: 5,"}')
        assert "X-PyPI-Last-Serial" not in client.ask("/pypi/foo-bar/json").headers
        page.unlink()
        assert "X-PyPI-Last-Serial" not in client.ask("/pypi/foo-bar/json").headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_405_names_what_is_allowed(client: Client, method: str) -> None:
    answer = client.ask("/simple/", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/pypi", "/pypi/", "/RPC2"])
def test_405_of_xmlrpc_says_what_to_do_instead(client: Client, path: str) -> None:
    answer = client.ask(path, "POST", b"<methodCall/>", Content_Type="text/xml")
    assert answer.status == 405
    assert b"static journal, /changes/index.json" in answer.body
    assert b"api-method = simple" in answer.body


def test_500_if_the_disk_refuses(
    client: Client, web: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: int) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.fstat", refuse)
    answer = client.ask(WHEEL_PATH)
    monkeypatch.undo()
    assert answer.status == 500
    assert str(web).encode() not in answer.body
    assert "Permission denied" in caplog.text


def test_each_request_is_a_line_of_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "bandersnatch"):
        client.ask("/simple/foo-bar/", User_Agent="pip/26.0")
        client.ask("/nothing%0aforged", User_Agent="x")
    assert [record.getMessage() for record in caplog.records] == [
        "127.0.0.1 GET /simple/foo-bar/: 200, 15 bytes (pip/26.0)",
        "127.0.0.1 GET /nothing\\nforged: 404, 14 bytes (x)",
    ]
