"""Transfer: retries, limits, and every error of libcurl becomes one of ours."""

import gzip
import socket
from collections.abc import Mapping
from contextlib import closing

import pytest

from bandersnatch.errors import (
    BrokenBodyError,
    MalformedResponseError,
    NotFoundError,
    StorageError,
    UpstreamError,
    UpstreamUnavailableError,
)
from bandersnatch.http.request import Request
from bandersnatch.http.transfer import Transfer
from tests.support.builders import make_transfer
from tests.support.fakepypi import FakePyPI, Fault, Reset, ShortBody, Stall, Status
from tests.support.fetching import CLOSED_PORT, DATA, ok
from tests.support.transferring import Pieces, Way, ask, every_way, get, read


@pytest.fixture
def url(pypi: FakePyPI) -> str:
    """Return the URL of a document that only faults answer."""
    return f"{pypi.url}/x"


@every_way
@pytest.mark.parametrize("status", [404, 410])
def test_what_is_not_there_is_not_found(pypi: FakePyPI, transfer: Transfer, url: str, fetch: Way, status: int) -> None:
    pypi.fault("/x", Status(status), times=None)
    with pytest.raises(NotFoundError, match=f"^{url}: not found$"):
        fetch(transfer, url)
    assert len(pypi.requests) == 1


@every_way
@pytest.mark.parametrize(("status", "reason"), [(400, "Bad Request"), (403, "Forbidden")])
def test_an_error_that_stays_is_not_tried_again(
    pypi: FakePyPI, transfer: Transfer, url: str, fetch: Way, status: int, reason: str
) -> None:
    pypi.fault("/x", Status(status), times=None)
    with pytest.raises(UpstreamUnavailableError, match=f"^{url}: upstream answered {status} {reason}$"):
        fetch(transfer, url)
    assert len(pypi.requests) == 1


@every_way
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_error_that_may_pass_is_tried_again(
    pypi: FakePyPI, transfer: Transfer, url: str, fetch: Way, status: int
) -> None:
    pypi.fault("/x", Status(status), Status(status), ok())
    assert fetch(transfer, url) == DATA
    assert len(pypi.requests) == 3


@every_way
def test_an_error_that_does_not_pass_ends_the_attempts(
    pypi: FakePyPI, transfer: Transfer, url: str, fetch: Way
) -> None:
    pypi.fault("/x", Status(503), times=None)
    with pytest.raises(UpstreamUnavailableError, match=f"^{url}: upstream answered 503"):
        fetch(transfer, url)
    assert len(pypi.requests) == 3


@every_way
@pytest.mark.parametrize("retry_after", ["0", "100000", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", "-1", ""])
def test_any_retry_after_is_borne(pypi: FakePyPI, transfer: Transfer, url: str, fetch: Way, retry_after: str) -> None:
    pypi.fault("/x", Status(503, {"Retry-After": retry_after}), ok())
    try:
        body = fetch(transfer, url)
    except UpstreamUnavailableError:
        return  # a header that is none may end the attempts
    assert body == DATA


@every_way
def test_a_connection_that_is_reset_is_tried_again(pypi: FakePyPI, transfer: Transfer, url: str, fetch: Way) -> None:
    pypi.fault("/x", Reset(), ok())
    assert fetch(transfer, url) == DATA


@every_way
def test_a_connection_that_is_always_reset_is_told(pypi: FakePyPI, transfer: Transfer, url: str, fetch: Way) -> None:
    pypi.fault("/x", Reset(), times=None)
    with pytest.raises(UpstreamUnavailableError, match=f"^{url}: "):
        fetch(transfer, url)
    assert len(pypi.requests) == 3


@every_way
def test_a_port_where_nobody_listens_is_told(transfer: Transfer, fetch: Way) -> None:
    with pytest.raises(UpstreamUnavailableError, match=f"^{CLOSED_PORT}/x: Connection refused$"):
        fetch(transfer, f"{CLOSED_PORT}/x")


@every_way
def test_an_upstream_that_answers_nothing_is_told(fetch: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with (
            closing(make_transfer(timeout_seconds=0.1)) as transfer,
            pytest.raises(UpstreamUnavailableError, match=f"^{url}: no answer for 0.1 s$"),
        ):
            fetch(transfer, url)


def test_an_upstream_that_falls_silent_is_told(pypi: FakePyPI) -> None:
    pypi.create_project("sample")
    pypi.fault("/simple/sample/", Stall(after_bytes=10))
    with (
        closing(make_transfer(timeout_seconds=0.1)) as transfer,
        pytest.raises(BrokenBodyError, match=r"no answer for 0\.1 s$"),
    ):
        get(transfer, f"{pypi.url}/simple/sample/")


@pytest.mark.parametrize("fault", [ShortBody(10), ShortBody(0), Reset(after_bytes=10)])
def test_a_whole_document_that_broke_off_is_asked_for_again(pypi: FakePyPI, transfer: Transfer, fault: Fault) -> None:
    pypi.create_project("sample")
    whole = get(transfer, f"{pypi.url}/simple/sample/")
    pypi.fault("/simple/sample/", fault, fault)
    assert get(transfer, f"{pypi.url}/simple/sample/") == whole


@pytest.mark.parametrize("fault", [ShortBody(10), ShortBody(0), Reset(after_bytes=10)])
@pytest.mark.parametrize("fetch", [get, read])
def test_a_document_that_always_breaks_off_is_told(
    pypi: FakePyPI, transfer: Transfer, fault: Fault, fetch: Way
) -> None:
    pypi.create_project("sample")
    pypi.fault("/simple/sample/", fault, times=None)
    with pytest.raises(BrokenBodyError, match=f"^{pypi.url}/simple/sample/: "):
        fetch(transfer, f"{pypi.url}/simple/sample/")


def test_a_short_body_is_told_as_what_it_is(pypi: FakePyPI) -> None:
    pypi.create_project("sample")
    pypi.fault("/simple/sample/", ShortBody(10))
    with closing(make_transfer()) as transfer, pytest.raises(BrokenBodyError, match=r": the body broke off$"):
        get(transfer, f"{pypi.url}/simple/sample/")


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(DATA, mtime=0)[:10] + b"garbage"])
def test_a_compressed_body_that_is_broken_is_told(pypi: FakePyPI, transfer: Transfer, url: str, body: bytes) -> None:
    pypi.fault("/x", ok(body, Content_Encoding="gzip"), times=None)
    with pytest.raises(BrokenBodyError, match=f"^{url}: "):
        get(transfer, url)


def test_a_document_larger_than_allowed_is_refused(pypi: FakePyPI, transfer: Transfer, url: str) -> None:
    pypi.fault("/x", ok(b"x" * 101))
    with pytest.raises(MalformedResponseError, match=f"^{url}: the answer is larger than 100 bytes$"):
        ask(transfer, url, {}, 100)


def test_a_document_of_the_size_allowed_is_taken(pypi: FakePyPI, transfer: Transfer, url: str) -> None:
    pypi.fault("/x", ok(b"x" * 100))
    assert len(ask(transfer, url, {}, 100).body) == 100


def test_the_size_counts_when_it_is_unpacked(pypi: FakePyPI, transfer: Transfer, url: str) -> None:
    pypi.fault("/x", ok(gzip.compress(b"\0" * 50_000_000), Content_Encoding="gzip"))
    with pytest.raises(MalformedResponseError, match="larger than 100000 bytes"):
        ask(transfer, url, {}, 100_000)


@every_way
def test_a_redirect_without_end_is_told(pypi: FakePyPI, transfer: Transfer, url: str, fetch: Way) -> None:
    pypi.fault("/x", Status(302, {"Location": "/x"}), times=None)
    with pytest.raises(UpstreamUnavailableError, match=f"^{url}: "):
        fetch(transfer, url)


@every_way
@pytest.mark.parametrize(
    "location",
    [
        "http://[",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:port/",
        "http://a..example/",
        f"http://{'a' * 70}.example/",
        "http:///",
        "http://",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "javascript:x",
        "http://\\",
        "http://%00/",
        "//",
        CLOSED_PORT,
    ],
)
def test_a_redirect_to_nowhere_is_an_error_of_upstream(
    pypi: FakePyPI, transfer: Transfer, url: str, fetch: Way, location: str
) -> None:
    pypi.fault("/x", Status(302, {"Location": location}), times=None)
    with pytest.raises(UpstreamError):
        fetch(transfer, url)


@every_way
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999/x",
        "http://a..example/x",
        f"http://{'a' * 70}.example/x",
        "http://.example/x",
        "http://*/x",
        "http://[v1.a]/x",
        "http://%zz/x",
    ],
)
def test_a_url_that_leads_nowhere_is_an_error_of_upstream(transfer: Transfer, fetch: Way, url: str) -> None:
    with pytest.raises(UpstreamError):
        fetch(transfer, url)


def test_a_url_that_leads_nowhere_is_an_error_of_upstream_with_a_proxy_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "elsewhere.example")
    with closing(make_transfer(proxy=CLOSED_PORT)) as transfer, pytest.raises(UpstreamError):
        get(transfer, "http://127.0.0.1:99999/x")


def test_a_header_that_can_not_be_sent_is_an_error_of_upstream(transfer: Transfer, url: str) -> None:
    with pytest.raises(UpstreamError):
        ask(transfer, url, {"If-None-Match": '"a\nb"'})


class Full(Pieces):
    """Has no room for what it is to ask for."""

    def headers(self) -> Mapping[str, str]:
        raise StorageError("file", "write", "the disk is full")


def test_an_error_of_a_receiver_before_its_request_is_that_of_the_request_alone(
    pypi: FakePyPI, transfer: Transfer
) -> None:
    path = pypi.add_file("foo", "1.0", kind="sdist").url_path
    full = Full()
    with pytest.raises(StorageError, match="the disk is full"):
        transfer.fetch(Request(f"{pypi.url}{path}", full))
    assert full.errors == []  # no attempt has begun
    assert read(transfer, f"{pypi.url}{path}") == pypi.files("foo")[0].content


def test_a_receiver_learns_that_it_is_not_asked_for_after_a_redirect(pypi: FakePyPI, transfer: Transfer) -> None:
    pypi.fault("/moved", Status(302, {"Location": "ftp://127.0.0.1/file"}))
    pieces = Pieces()
    with pytest.raises(UpstreamUnavailableError) as raised:
        transfer.fetch(Request(f"{pypi.url}/moved", pieces))
    assert pieces.errors == [raised.value]
