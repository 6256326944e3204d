"""What is promised of answers and errors holds for conversations, over requests, and for documents, over libcurl."""

import gzip
import socket
from contextlib import closing

import pytest

from bandersnatch import __version__
from bandersnatch.errors import (
    BrokenBodyError,
    HostDownError,
    MalformedResponseError,
    NotFoundError,
    TimeLimitError,
    UpstreamError,
    UpstreamUnavailableError,
)
from bandersnatch.http.decompression import ACCEPTED_ENCODINGS
from tests.support.asking import Client, Way, for_documents, for_gets, for_got_documents
from tests.support.fakepypi import Drip, FakePyPI, Fault, Reset, ShortBody, Stall, Status
from tests.support.fetching import CLOSED_PORT, DATA, ok
from tests.support.scripted import answer, scripted


def test_a_document_is_fetched(pypi: FakePyPI, url: str, way: Way, client: Client) -> None:
    pypi.fault("/x", ok())
    assert way.fetch(client, url) == DATA


def test_an_empty_document_is_a_document(pypi: FakePyPI, url: str, way: Way, client: Client) -> None:
    pypi.fault("/x", ok(b""))
    assert way.fetch(client, url) == b""


@pytest.mark.parametrize("number", [1, 5])
@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints", "199 Other"])
def test_interim_answers_are_passed_over(status: str, number: int, way: Way) -> None:
    interim = f"HTTP/1.1 {status}\r\nLink: </style.css>; rel=preload\r\n\r\n".encode()
    with (
        scripted(lambda line, _: line.send(interim * number + answer(DATA))) as url,
        closing(way.make()) as client,
    ):
        assert [way.fetch(client, f"{url}/x") for _ in range(2)] == [DATA] * 2


def test_a_change_of_protocol_is_no_answer(way: Way) -> None:
    changed = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"
    with (
        scripted(lambda line, _: line.send(changed + answer(DATA))) as url,
        closing(way.make()) as client,
        pytest.raises(UpstreamUnavailableError, match="upstream answered 101 Switching Protocols"),
    ):
        way.fetch(client, f"{url}/x")


def test_an_answer_has_status_headers_and_url(pypi: FakePyPI, url: str, way: Way, client: Client) -> None:
    pypi.fault("/x", ok(X_Test="yes"))
    answer = way.ask(client, url, {})
    assert (answer.url, answer.status, answer.headers["x-test"]) == (url, 200, "yes")


def test_each_request_names_the_tool_its_version_and_a_contact(
    pypi: FakePyPI, url: str, way: Way, client: Client
) -> None:
    pypi.fault("/x", ok())
    way.fetch(client, url)
    (request,) = pypi.requests
    assert request.headers["User-Agent"].startswith(f"bandersnatch/{__version__} (+https://")


def test_our_headers_are_sent(pypi: FakePyPI, url: str, way: Way, client: Client) -> None:
    pypi.fault("/x", ok())
    way.ask(client, url, {"Accept": "application/json"})
    assert pypi.requests[0].headers["Accept"] == "application/json"


@for_gets
def test_a_conditional_request_is_answered_with_304(pypi: FakePyPI, way: Way, client: Client) -> None:
    pypi.create_project("sample")
    headers = {"Accept": "application/vnd.pypi.simple.v1+json"}
    first = way.ask(client, f"{pypi.url}/simple/sample/", headers)
    second = way.ask(client, f"{pypi.url}/simple/sample/", {**headers, "If-None-Match": first.headers["ETag"]})
    assert (second.status, second.body) == (304, b"")


@for_documents
def test_whole_documents_may_come_compressed(pypi: FakePyPI, url: str, way: Way, client: Client) -> None:
    pypi.fault("/x", ok(gzip.compress(DATA), Content_Encoding="gzip"))
    assert way.fetch(client, url) == DATA
    assert pypi.requests[0].headers["Accept-Encoding"] == ACCEPTED_ENCODINGS


def test_a_redirect_is_followed(pypi: FakePyPI, url: str, way: Way, client: Client) -> None:
    pypi.fault("/x", Status(301, {"Location": "/y"}))
    pypi.fault("/y", ok())
    assert way.fetch(client, url) == DATA


def test_a_part_that_nobody_asked_for_is_an_error(pypi: FakePyPI, url: str, way: Way, client: Client) -> None:
    pypi.fault("/x", Status(206, {"Content-Range": "bytes 0-9999/10000"}, DATA))
    with pytest.raises(UpstreamError, match="upstream answered 206"):
        way.fetch(client, url)


def test_a_client_that_was_closed_can_be_closed_again(pypi: FakePyPI, url: str, way: Way, client: Client) -> None:
    pypi.fault("/x", ok())
    way.fetch(client, url)
    client.close()
    client.close()


def test_a_request_that_fails_makes_way_for_the_next(pypi: FakePyPI, url: str, way: Way) -> None:
    pypi.fault("/x", Status(404), Status(200, {}, DATA))
    with closing(way.make(workers=1)) as client:
        with pytest.raises(NotFoundError):
            way.fetch(client, url)
        assert way.fetch(client, url) == DATA


def test_a_head_that_is_too_large_is_told_as_such(pypi: FakePyPI, url: str, way: Way, client: Client) -> None:
    pypi.fault("/x", Status(200, {"X": "a" * 400_000}, DATA), times=None)
    with pytest.raises(UpstreamUnavailableError, match=r"head of the answer is too large|when reading header line"):
        way.fetch(client, url)


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_not_there_is_not_found(pypi: FakePyPI, url: str, status: int, way: Way, client: Client) -> None:
    pypi.fault("/x", Status(status), times=None)
    with pytest.raises(NotFoundError, match=f"^{url}: not found$"):
        way.fetch(client, url)
    assert len(pypi.requests) == 1


@pytest.mark.parametrize(("status", "reason"), [(400, "Bad Request"), (403, "Forbidden")])
def test_an_error_that_stays_is_not_tried_again(
    pypi: FakePyPI, url: str, status: int, reason: str, way: Way, client: Client
) -> None:
    pypi.fault("/x", Status(status), times=None)
    with pytest.raises(UpstreamUnavailableError, match=f"^{url}: upstream answered {status} {reason}$"):
        way.fetch(client, url)
    assert len(pypi.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_error_that_may_pass_is_tried_again(pypi: FakePyPI, url: str, status: int, way: Way, client: Client) -> None:
    pypi.fault("/x", Status(status), Status(status), ok())
    assert way.fetch(client, url) == DATA
    assert len(pypi.requests) == 3


def test_an_error_that_does_not_pass_ends_the_attempts(pypi: FakePyPI, url: str, way: Way, client: Client) -> None:
    pypi.fault("/x", Status(503), times=None)
    with pytest.raises(UpstreamUnavailableError, match=f"^{url}: upstream answered 503"):
        way.fetch(client, url)
    assert len(pypi.requests) == 3


@pytest.mark.parametrize("retry_after", ["0", "100000", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", "-1", ""])
def test_any_retry_after_is_borne(pypi: FakePyPI, url: str, retry_after: str, way: Way, client: Client) -> None:
    pypi.fault("/x", Status(503, {"Retry-After": retry_after}), ok())
    try:
        body = way.fetch(client, url)
    except UpstreamUnavailableError:
        return  # a header that is none may end the attempts
    assert body == DATA


def test_a_connection_that_is_reset_is_tried_again(pypi: FakePyPI, url: str, way: Way, client: Client) -> None:
    pypi.fault("/x", Reset(), ok())
    assert way.fetch(client, url) == DATA


def test_a_connection_that_is_always_reset_is_told(pypi: FakePyPI, url: str, way: Way, client: Client) -> None:
    pypi.fault("/x", Reset(), times=None)
    with pytest.raises(UpstreamUnavailableError, match=f"^{url}: "):
        way.fetch(client, url)
    assert len(pypi.requests) == 3


def test_a_port_where_nobody_listens_is_told(way: Way, client: Client) -> None:
    with pytest.raises(UpstreamUnavailableError, match=f"^{CLOSED_PORT}/x: Connection refused$"):
        way.fetch(client, f"{CLOSED_PORT}/x")


def test_an_upstream_that_answers_nothing_is_told(way: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with (
            closing(way.make(timeout_seconds=0.1)) as client,
            pytest.raises(UpstreamUnavailableError, match=f"^{url}: no answer for 0.1 s$"),
        ):
            way.fetch(client, url)


@for_gets
def test_an_upstream_that_falls_silent_is_told(pypi: FakePyPI, way: Way) -> None:
    pypi.create_project("sample")
    pypi.fault("/simple/sample/", Stall(after_bytes=10))
    with (
        closing(way.make(timeout_seconds=0.5)) as client,  # in which the head must have come
        pytest.raises(BrokenBodyError, match=r"no answer for 0\.5 s$"),
    ):
        way.fetch(client, f"{pypi.url}/simple/sample/")


@for_got_documents
@pytest.mark.parametrize("fault", [ShortBody(10), ShortBody(0), Reset(after_bytes=10)])
def test_a_whole_document_that_broke_off_is_asked_for_again(
    pypi: FakePyPI, fault: Fault, way: Way, client: Client
) -> None:
    pypi.create_project("sample")
    whole = way.fetch(client, f"{pypi.url}/simple/sample/")
    pypi.fault("/simple/sample/", fault, fault)
    assert way.fetch(client, f"{pypi.url}/simple/sample/") == whole


@pytest.mark.parametrize("fault", [ShortBody(10), ShortBody(0), Reset(after_bytes=10)])
@for_gets
def test_a_document_that_always_breaks_off_is_told(pypi: FakePyPI, fault: Fault, way: Way, client: Client) -> None:
    pypi.create_project("sample")
    pypi.fault("/simple/sample/", fault, times=None)
    with pytest.raises(BrokenBodyError, match=f"^{pypi.url}/simple/sample/: "):
        way.fetch(client, f"{pypi.url}/simple/sample/")


@for_gets
def test_a_short_body_is_told_as_what_it_is(pypi: FakePyPI, way: Way) -> None:
    pypi.create_project("sample")
    pypi.fault("/simple/sample/", ShortBody(10))
    with closing(way.make()) as client, pytest.raises(BrokenBodyError, match=r": the body broke off$"):
        way.fetch(client, f"{pypi.url}/simple/sample/")


@for_documents
@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(DATA, mtime=0)[:10] + b"garbage"])
def test_a_compressed_body_that_is_broken_is_told(
    pypi: FakePyPI, url: str, body: bytes, way: Way, client: Client
) -> None:
    pypi.fault("/x", ok(body, Content_Encoding="gzip"), times=None)
    with pytest.raises(BrokenBodyError, match=f"^{url}: "):
        way.fetch(client, url)


@for_documents
def test_a_document_larger_than_allowed_is_refused(pypi: FakePyPI, url: str, way: Way, client: Client) -> None:
    pypi.fault("/x", ok(b"x" * 101))
    with pytest.raises(MalformedResponseError, match=f"^{url}: the answer is larger than 100 bytes$"):
        way.ask(client, url, {}, 100)


@for_documents
def test_a_document_of_the_size_allowed_is_taken(pypi: FakePyPI, url: str, way: Way, client: Client) -> None:
    pypi.fault("/x", ok(b"x" * 100))
    assert len(way.ask(client, url, {}, 100).body) == 100


@for_documents
def test_the_size_counts_when_it_is_unpacked(pypi: FakePyPI, url: str, way: Way, client: Client) -> None:
    pypi.fault("/x", ok(gzip.compress(b"\0" * 50_000_000), Content_Encoding="gzip"))
    with pytest.raises(MalformedResponseError, match="larger than 100000 bytes"):
        way.ask(client, url, {}, 100_000)


def test_a_redirect_without_end_is_told(pypi: FakePyPI, url: str, way: Way, client: Client) -> None:
    pypi.fault("/x", Status(302, {"Location": "/x"}), times=None)
    with pytest.raises(UpstreamUnavailableError, match=f"^{url}: "):
        way.fetch(client, url)


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
    pypi: FakePyPI, url: str, location: str, way: Way, client: Client
) -> None:
    pypi.fault("/x", Status(302, {"Location": location}), times=None)
    with pytest.raises(UpstreamError):
        way.fetch(client, url)


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
def test_a_url_that_leads_nowhere_is_an_error_of_upstream(url: str, way: Way, client: Client) -> None:
    with pytest.raises(UpstreamError):
        way.fetch(client, url)


def test_a_url_that_leads_nowhere_is_an_error_of_upstream_with_a_proxy_too(
    monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    monkeypatch.setenv("NO_PROXY", "elsewhere.example")
    with closing(way.make(proxy=CLOSED_PORT)) as client, pytest.raises(UpstreamError):
        way.fetch(client, "http://127.0.0.1:99999/x")


def test_a_header_that_can_not_be_sent_is_an_error_of_upstream(url: str, way: Way, client: Client) -> None:
    with pytest.raises(UpstreamError):
        way.ask(client, url, {"If-None-Match": '"a\nb"'})


# Patience


@pytest.mark.parametrize("fault", [Status(503), Reset(), ShortBody(3)])
def test_a_host_that_is_down_is_not_asked_any_more(pypi: FakePyPI, way: Way, fault: Fault) -> None:
    pypi.fault("/simple/", fault, times=None)
    with closing(way.with_patience(attempts=1, failures_until_down=2)) as client:
        for _ in range(2):
            with pytest.raises(UpstreamUnavailableError):
                way.fetch(client, f"{pypi.url}/simple/")
        with pytest.raises(HostDownError, match="gave no usable answer to 2 requests in a row"):
            way.fetch(client, f"{pypi.url}/simple/")
    assert len(pypi.requests) == 2


@pytest.mark.parametrize("status", [404, 410])
def test_an_answer_that_says_no_is_an_answer(pypi: FakePyPI, way: Way, status: int) -> None:
    pypi.fault("/x", Status(status), times=None)
    with closing(way.with_patience(attempts=1, failures_until_down=2)) as client:
        for _ in range(5):
            with pytest.raises(NotFoundError):
                way.fetch(client, f"{pypi.url}/x")


def test_when_the_budget_is_spent_errors_are_final(pypi: FakePyPI, way: Way) -> None:
    pypi.fault("/x", Status(503), times=None)
    with closing(way.with_patience(attempts=3, retries_per_run=3)) as client:
        for _ in range(3):
            with pytest.raises(UpstreamUnavailableError, match=f"^{pypi.url}/x: "):
                way.fetch(client, f"{pypi.url}/x")
    assert len(pypi.requests) == 3 + 2 + 1


def test_what_needs_no_retry_takes_none_of_the_budget(pypi: FakePyPI, way: Way) -> None:
    pypi.fault("/x", *[ok()] * 5, Reset(), ok())
    with closing(way.with_patience(attempts=2, retries_per_run=1)) as client:
        assert [way.fetch(client, f"{pypi.url}/x") for _ in range(6)] == [DATA] * 6


@for_got_documents
def test_the_time_limit_is_final(pypi: FakePyPI, way: Way) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist", size=100_000)
    pypi.fault(file.url_path, Drip(1000), times=None)
    with closing(way.make(attempts=4, global_timeout_seconds=0.2)) as client, pytest.raises(TimeLimitError):
        way.fetch(client, f"{pypi.url}{file.url_path}")
    assert len(pypi.requests) == 1


@for_got_documents
def test_a_retry_after_is_waited_for(pypi: FakePyPI, way: Way) -> None:
    pypi.fault("/x", Status(429, {"Retry-After": "1"}), ok())
    with closing(way.with_patience(attempts=2)) as client:
        assert way.fetch(client, f"{pypi.url}/x") == DATA
    first, second = pypi.requests
    assert second.at - first.at >= 1.0  # another one at once would have come much sooner
