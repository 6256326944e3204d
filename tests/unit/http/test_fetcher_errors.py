"""HTTP: retries, limits, and every error of the libraries below becomes one of ours."""

import gzip
import socket
from contextlib import closing

import pytest

from bandersnatch.errors import (
    BrokenBodyError,
    MalformedResponseError,
    NotFoundError,
    UpstreamError,
    UpstreamUnavailableError,
)
from bandersnatch.http.fetcher import Fetcher
from tests.support.builders import make_fetcher
from tests.support.fakepypi import FakePyPI, Fault, Reset, ShortBody, Stall, Status
from tests.support.fetching import CLOSED_PORT, DATA, Way, every_way, get, ok


@pytest.fixture
def url(pypi: FakePyPI) -> str:
    """Return the URL of a document that only faults answer."""
    return f"{pypi.url}/x"


@every_way
@pytest.mark.parametrize("status", [404, 410])
def test_what_is_not_there_is_not_found(pypi: FakePyPI, fetcher: Fetcher, url: str, fetch: Way, status: int) -> None:
    pypi.fault("/x", Status(status), times=None)
    with pytest.raises(NotFoundError, match=f"^{url}: not found$"):
        fetch(fetcher, url)
    assert len(pypi.requests) == 1


@every_way
@pytest.mark.parametrize(("status", "reason"), [(400, "Bad Request"), (403, "Forbidden")])
def test_an_error_that_stays_is_not_tried_again(
    pypi: FakePyPI, fetcher: Fetcher, url: str, fetch: Way, status: int, reason: str
) -> None:
    pypi.fault("/x", Status(status), times=None)
    with pytest.raises(UpstreamUnavailableError, match=f"^{url}: upstream answered {status} {reason}$"):
        fetch(fetcher, url)
    assert len(pypi.requests) == 1


@every_way
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_error_that_may_pass_is_tried_again(
    pypi: FakePyPI, fetcher: Fetcher, url: str, fetch: Way, status: int
) -> None:
    pypi.fault("/x", Status(status), Status(status), ok())
    assert fetch(fetcher, url) == DATA
    assert len(pypi.requests) == 3


@every_way
def test_an_error_that_does_not_pass_ends_the_attempts(pypi: FakePyPI, fetcher: Fetcher, url: str, fetch: Way) -> None:
    pypi.fault("/x", Status(503), times=None)
    with pytest.raises(UpstreamUnavailableError, match=f"^{url}: upstream answered 503"):
        fetch(fetcher, url)
    assert len(pypi.requests) == 3


@every_way
@pytest.mark.parametrize("retry_after", ["0", "100000", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", "-1", ""])
def test_any_retry_after_is_borne(pypi: FakePyPI, fetcher: Fetcher, url: str, fetch: Way, retry_after: str) -> None:
    pypi.fault("/x", Status(503, {"Retry-After": retry_after}), ok())
    try:
        body = fetch(fetcher, url)
    except UpstreamUnavailableError:
        return  # a header that is none may end the attempts
    assert body == DATA


@every_way
def test_a_connection_that_is_reset_is_tried_again(pypi: FakePyPI, fetcher: Fetcher, url: str, fetch: Way) -> None:
    pypi.fault("/x", Reset(), ok())
    assert fetch(fetcher, url) == DATA


@every_way
def test_a_connection_that_is_always_reset_is_told(pypi: FakePyPI, fetcher: Fetcher, url: str, fetch: Way) -> None:
    pypi.fault("/x", Reset(), times=None)
    with pytest.raises(UpstreamUnavailableError, match=f"^{url}: "):
        fetch(fetcher, url)
    assert len(pypi.requests) == 3


@every_way
def test_a_port_where_nobody_listens_is_told(fetcher: Fetcher, fetch: Way) -> None:
    with pytest.raises(UpstreamUnavailableError, match=f"^{CLOSED_PORT}/x: Connection refused$"):
        fetch(fetcher, f"{CLOSED_PORT}/x")


@every_way
def test_an_upstream_that_answers_nothing_is_told(fetch: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with (
            closing(make_fetcher(timeout_seconds=0.1)) as fetcher,
            pytest.raises(UpstreamUnavailableError, match=f"^{url}: no answer for 0.1 s$"),
        ):
            fetch(fetcher, url)


def test_an_upstream_that_falls_silent_is_told(pypi: FakePyPI) -> None:
    pypi.create_project("sample")
    pypi.fault("/simple/sample/", Stall(after_bytes=10))
    with (
        closing(make_fetcher(timeout_seconds=0.1)) as fetcher,
        pytest.raises(BrokenBodyError, match=r"no answer for 0\.1 s$"),
    ):
        get(fetcher, f"{pypi.url}/simple/sample/")


@pytest.mark.parametrize("fault", [ShortBody(10), ShortBody(0), Reset(after_bytes=10)])
def test_a_whole_document_that_broke_off_is_asked_for_again(pypi: FakePyPI, fetcher: Fetcher, fault: Fault) -> None:
    pypi.create_project("sample")
    whole = get(fetcher, f"{pypi.url}/simple/sample/")
    pypi.fault("/simple/sample/", fault, fault)
    assert get(fetcher, f"{pypi.url}/simple/sample/") == whole


@pytest.mark.parametrize("fault", [ShortBody(10), ShortBody(0), Reset(after_bytes=10)])
@pytest.mark.parametrize("fetch", [get])
def test_a_document_that_always_breaks_off_is_told(pypi: FakePyPI, fetcher: Fetcher, fault: Fault, fetch: Way) -> None:
    pypi.create_project("sample")
    pypi.fault("/simple/sample/", fault, times=None)
    with pytest.raises(BrokenBodyError, match=f"^{pypi.url}/simple/sample/: "):
        fetch(fetcher, f"{pypi.url}/simple/sample/")


def test_a_short_body_is_told_as_what_it_is(pypi: FakePyPI) -> None:
    pypi.create_project("sample")
    pypi.fault("/simple/sample/", ShortBody(10))
    with closing(make_fetcher()) as fetcher, pytest.raises(BrokenBodyError, match=r": the body broke off$"):
        get(fetcher, f"{pypi.url}/simple/sample/")


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(DATA, mtime=0)[:10] + b"garbage"])
def test_a_compressed_body_that_is_broken_is_told(pypi: FakePyPI, fetcher: Fetcher, url: str, body: bytes) -> None:
    pypi.fault("/x", ok(body, Content_Encoding="gzip"), times=None)
    with pytest.raises(BrokenBodyError, match=f"^{url}: "):
        get(fetcher, url)


def test_a_document_larger_than_allowed_is_refused(pypi: FakePyPI, fetcher: Fetcher, url: str) -> None:
    pypi.fault("/x", ok(b"x" * 101))
    with pytest.raises(MalformedResponseError, match=f"^{url}: the answer is larger than 100 bytes$"):
        fetcher.get(url, {}, 100)


def test_an_answer_to_a_post_larger_than_allowed_is_refused(pypi: FakePyPI, fetcher: Fetcher, url: str) -> None:
    pypi.fault("/x", ok(b"x" * 101))
    with pytest.raises(MalformedResponseError, match=f"^{url}: the answer is larger than 100 bytes$"):
        fetcher.post(url, {}, b"", 100)


def test_a_document_of_the_size_allowed_is_taken(pypi: FakePyPI, fetcher: Fetcher, url: str) -> None:
    pypi.fault("/x", ok(b"x" * 100))
    assert len(fetcher.get(url, {}, 100).body) == 100


def test_the_size_counts_when_it_is_unpacked(pypi: FakePyPI, fetcher: Fetcher, url: str) -> None:
    pypi.fault("/x", ok(gzip.compress(b"\0" * 50_000_000), Content_Encoding="gzip"))
    with pytest.raises(MalformedResponseError, match="larger than 100000 bytes"):
        fetcher.get(url, {}, 100_000)


@every_way
def test_a_redirect_without_end_is_told(pypi: FakePyPI, fetcher: Fetcher, url: str, fetch: Way) -> None:
    pypi.fault("/x", Status(302, {"Location": "/x"}), times=None)
    with pytest.raises(UpstreamUnavailableError, match=f"^{url}: "):
        fetch(fetcher, url)


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
    pypi: FakePyPI, fetcher: Fetcher, url: str, fetch: Way, location: str
) -> None:
    pypi.fault("/x", Status(302, {"Location": location}), times=None)
    with pytest.raises(UpstreamError):
        fetch(fetcher, url)


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
def test_a_url_that_leads_nowhere_is_an_error_of_upstream(fetcher: Fetcher, fetch: Way, url: str) -> None:
    with pytest.raises(UpstreamError):
        fetch(fetcher, url)


def test_a_url_that_leads_nowhere_is_an_error_of_upstream_with_a_proxy_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "elsewhere.example")
    with closing(make_fetcher(proxy=CLOSED_PORT)) as fetcher, pytest.raises(UpstreamError):
        get(fetcher, "http://127.0.0.1:99999/x")


def test_a_header_that_can_not_be_sent_is_an_error_of_upstream(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(UpstreamError):
        fetcher.get(url, {"If-None-Match": '"a\nb"'})
