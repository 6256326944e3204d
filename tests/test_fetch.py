"""HTTP: retries, limits, and every error of the libraries below become ours."""

import gzip
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event, Thread

import pytest

from bandersnatch import __version__
from bandersnatch.config import HttpConfig
from bandersnatch.errors import (
    BrokenBodyError,
    MalformedResponseError,
    NotFoundError,
    RangeRefusedError,
    RefusedSchemeError,
    UpstreamError,
    UpstreamUnavailableError,
)
from bandersnatch.fetch import Fetcher, Resume
from bandersnatch.retries import RetryPolicy
from tests.builders import make_fetcher
from tests.fakepypi import FakePyPI, Fault, Reset, ShortBody, Stall, Status

DATA = b"0123456789" * 1000
CLOSED_PORT = "http://127.0.0.1:9"


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    with closing(make_fetcher(attempts=3)) as fetcher:
        yield fetcher


@pytest.fixture
def url(pypi: FakePyPI) -> str:
    """Return the URL of a document that only faults answer."""
    return f"{pypi.url}/x"


def ok(body: bytes = DATA, **headers: str) -> Status:
    return Status(200, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def get(fetcher: Fetcher, url: str) -> bytes:
    return fetcher.get(url, {}).body


def read(fetcher: Fetcher, url: str) -> bytes:
    with fetcher.stream(url) as body:
        return b"".join(body.chunks())


def post(fetcher: Fetcher, url: str) -> bytes:
    return fetcher.post(url, {}, b"body", 10**6).body


every_way = pytest.mark.parametrize("fetch", [get, read, post])
Way = Callable[[Fetcher, str], bytes]


# Answers


@every_way
def test_a_document_is_fetched(pypi: FakePyPI, fetcher: Fetcher, url: str, fetch: Way) -> None:
    pypi.fault("/x", ok())
    assert fetch(fetcher, url) == DATA


@every_way
def test_an_empty_document_is_a_document(pypi: FakePyPI, fetcher: Fetcher, url: str, fetch: Way) -> None:
    pypi.fault("/x", ok(b""))
    assert fetch(fetcher, url) == b""


def test_an_answer_has_status_headers_and_url(pypi: FakePyPI, fetcher: Fetcher, url: str) -> None:
    pypi.fault("/x", ok(X_Test="yes"))
    answer = fetcher.get(url, {})
    assert (answer.url, answer.status, answer.headers["x-test"]) == (url, 200, "yes")


@every_way
def test_each_request_names_the_tool_its_version_and_a_contact(
    pypi: FakePyPI, fetcher: Fetcher, url: str, fetch: Way
) -> None:
    pypi.fault("/x", ok())
    fetch(fetcher, url)
    (request,) = pypi.requests
    assert request.headers["User-Agent"].startswith(f"bandersnatch/{__version__} (+https://")


def test_our_headers_are_sent(pypi: FakePyPI, fetcher: Fetcher, url: str) -> None:
    pypi.fault("/x", ok(), times=2)
    fetcher.get(url, {"Accept": "application/json"})
    fetcher.post(url, {"Content-Type": "text/xml"}, b"<x/>", 10**6)
    assert pypi.requests[0].headers["Accept"] == "application/json"
    assert pypi.requests[1].headers["Content-Type"] == "text/xml"
    assert pypi.requests[1].method == "POST"


def test_a_conditional_request_is_answered_with_304(pypi: FakePyPI, fetcher: Fetcher) -> None:
    pypi.create_project("sample")
    headers = {"Accept": "application/vnd.pypi.simple.v1+json"}
    first = fetcher.get(f"{pypi.url}/simple/sample/", headers)
    second = fetcher.get(f"{pypi.url}/simple/sample/", {**headers, "If-None-Match": first.headers["ETag"]})
    assert (second.status, second.body) == (304, b"")


def test_whole_documents_may_come_compressed(pypi: FakePyPI, fetcher: Fetcher, url: str) -> None:
    pypi.fault("/x", ok(gzip.compress(DATA), Content_Encoding="gzip"))
    assert get(fetcher, url) == DATA
    assert pypi.requests[0].headers["Accept-Encoding"] == "gzip"


def test_files_are_asked_for_as_they_are(pypi: FakePyPI, fetcher: Fetcher, url: str) -> None:
    pypi.fault("/x", ok(gzip.compress(DATA), Content_Encoding="gzip"))
    assert read(fetcher, url) == gzip.compress(DATA)
    assert pypi.requests[0].headers["Accept-Encoding"] == "identity"


def test_a_redirect_is_followed(pypi: FakePyPI, fetcher: Fetcher, url: str) -> None:
    pypi.fault("/x", Status(301, {"Location": "/y"}))
    pypi.fault("/y", ok())
    assert get(fetcher, url) == DATA


def test_a_download_goes_on_where_it_broke_off(pypi: FakePyPI, fetcher: Fetcher) -> None:
    file = pypi.add_file("sample", "1.0", kind="sdist", content=DATA)
    url = f"{pypi.url}{file.url_path}"
    with fetcher.stream(url) as body:
        etag = body.etag
        assert body.offset == 0
    assert etag is not None
    with fetcher.stream(url, Resume(4000, etag, len(DATA))) as body:
        assert body.offset == 4000
        assert b"".join(body.chunks()) == DATA[4000:]
    assert pypi.requests[-1].headers["Range"] == "bytes=4000-"


def test_a_document_that_is_another_by_now_comes_whole(pypi: FakePyPI, fetcher: Fetcher) -> None:
    file = pypi.add_file("sample", "1.0", kind="sdist", content=DATA)
    with fetcher.stream(f"{pypi.url}{file.url_path}", Resume(4000, '"another"', len(DATA))) as body:
        assert body.offset == 0
        assert b"".join(body.chunks()) == DATA


def test_a_rest_behind_the_end_is_refused(pypi: FakePyPI, fetcher: Fetcher) -> None:
    file = pypi.add_file("sample", "1.0", kind="sdist", content=DATA)
    with fetcher.stream(f"{pypi.url}{file.url_path}") as body:
        etag = body.etag or ""
    with (
        pytest.raises(RangeRefusedError),
        fetcher.stream(f"{pypi.url}{file.url_path}", Resume(len(DATA), etag, len(DATA))),
    ):
        pytest.fail("the block was entered")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Range": "bytes 0-9999/10000"},
        {"Content-Range": "bytes 4000-9998/10000"},
        {"Content-Range": "bytes 4000-9999/10001"},
        {"Content-Range": "bytes 4000-9999/*"},
        {"Content-Range": "nonsense"},
        {"Content-Range": "bytes 4000-9999/10000", "ETag": '"another"'},
    ],
)
def test_a_rest_that_is_not_the_one_asked_for_is_refused(
    pypi: FakePyPI, fetcher: Fetcher, url: str, headers: dict[str, str]
) -> None:
    pypi.fault("/x", Status(206, headers, DATA[4000:]))
    with pytest.raises(RangeRefusedError), fetcher.stream(url, Resume(4000, '"etag"', len(DATA))):
        pytest.fail("the block was entered")


@every_way
def test_a_part_that_nobody_asked_for_is_an_error(pypi: FakePyPI, fetcher: Fetcher, url: str, fetch: Way) -> None:
    pypi.fault("/x", Status(206, {"Content-Range": "bytes 0-9999/10000"}, DATA))
    with pytest.raises(UpstreamError, match="upstream answered 206"):
        fetch(fetcher, url)


def test_several_threads_may_fetch_at_once(pypi: FakePyPI, fetcher: Fetcher, url: str) -> None:
    pypi.fault("/x", ok(), times=40)
    bodies: list[bytes] = []
    threads = [Thread(target=lambda: bodies.extend(get(fetcher, url) for _ in range(10))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bodies == [DATA] * 40


# Errors


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
@pytest.mark.parametrize("fetch", [get, read])
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


# Schemes, passwords, proxies


@every_way
def test_http_is_refused_where_it_is_not_allowed(pypi: FakePyPI, url: str, fetch: Way) -> None:
    with (
        closing(make_fetcher(allow_non_https=False)) as fetcher,
        pytest.raises(UpstreamUnavailableError, match=f"^{url}: not https://, and allow-non-https is false$"),
    ):
        fetch(fetcher, url)
    assert pypi.requests == []


@every_way
@pytest.mark.parametrize("fault", [Status(404), Status(403), Status(503), Reset()])
def test_passwords_are_not_told(pypi: FakePyPI, fetcher: Fetcher, fetch: Way, fault: Fault) -> None:
    pypi.fault("/x", fault, times=None)
    host = pypi.url.removeprefix("http://")
    with pytest.raises(UpstreamError, match=f"^http://{host}/x: ") as caught:
        fetch(fetcher, f"http://user:secret@{host}/x")
    assert "secret" not in str(caught.value)


def test_passwords_are_not_told_with_a_broken_or_an_oversize_body(pypi: FakePyPI, fetcher: Fetcher) -> None:
    pypi.create_project("sample")
    url = f"{pypi.url.replace('://', '://user:secret@')}/simple/sample/"
    with pytest.raises(MalformedResponseError) as oversize:
        fetcher.get(url, {}, 10)
    pypi.fault("/simple/sample/", ShortBody(10), times=None)
    with pytest.raises(BrokenBodyError) as broken:
        fetcher.get(url, {})
    assert "secret" not in str(oversize.value) + str(broken.value)


def test_the_password_of_a_proxy_is_not_told(fetcher: Fetcher) -> None:
    with (
        closing(make_fetcher(proxy="http://user:secret@127.0.0.1:9")) as proxied,
        pytest.raises(UpstreamUnavailableError) as caught,
    ):
        get(proxied, "http://index.example/x")
    assert "secret" not in str(caught.value)


def test_passwords_are_sent(pypi: FakePyPI, fetcher: Fetcher) -> None:
    pypi.fault("/x", ok())
    get(fetcher, f"{pypi.url.replace('://', '://user:secret@')}/x")
    assert pypi.requests[0].headers["Authorization"].startswith("Basic ")


def test_requests_go_through_the_proxy(pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    pypi.create_project("sample")
    with closing(make_fetcher(proxy=pypi.url)) as fetcher:
        assert b"sample" in get(fetcher, "http://index.example/simple/")
    assert pypi.requests[0].headers["Host"] == "index.example"


def test_no_proxy_counts_beside_a_configured_proxy(pypi: FakePyPI, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    pypi.fault("/x", ok())
    with closing(make_fetcher(proxy=CLOSED_PORT)) as fetcher:
        assert get(fetcher, url) == DATA


def test_a_proxy_where_nobody_listens_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with (
        closing(make_fetcher(proxy=CLOSED_PORT)) as fetcher,
        pytest.raises(UpstreamUnavailableError, match=r"^http://index\.example/x: the proxy: Connection refused$"),
    ):
        get(fetcher, "http://index.example/x")


def test_a_fetcher_that_was_closed_can_be_closed_again(pypi: FakePyPI, fetcher: Fetcher, url: str) -> None:
    pypi.fault("/x", ok())
    get(fetcher, url)
    fetcher.close()
    fetcher.close()


def test_a_stream_may_be_left_in_the_middle(pypi: FakePyPI, fetcher: Fetcher, url: str) -> None:
    pypi.fault("/x", ok(DATA * 100), ok())
    with fetcher.stream(url) as body:
        first = next(body.chunks())
    assert (DATA * 100).startswith(first)
    assert get(fetcher, url) == DATA


def test_only_so_many_requests_are_under_way(pypi: FakePyPI, url: str) -> None:
    pypi.fault("/x", ok(), times=3)
    config = HttpConfig(pypi.url, allow_non_https=True, workers=1)
    begun = Event()
    with closing(Fetcher(config)) as fetcher, ThreadPoolExecutor(1) as pool:

        def second() -> bytes:
            begun.set()
            return get(fetcher, url)

        with fetcher.stream(url) as body:
            answer = pool.submit(second)
            assert begun.wait(10)
            assert len(pypi.requests) == 1
            assert b"".join(body.chunks()) == DATA  # at its last byte the next request may begin
            assert answer.result(10) == DATA
    assert len(pypi.requests) == 2


def test_a_request_that_fails_makes_way_for_the_next(pypi: FakePyPI, url: str) -> None:
    pypi.fault("/x", Status(404), Status(200, {}, DATA))
    with closing(Fetcher(HttpConfig(pypi.url, allow_non_https=True, workers=1))) as fetcher:
        with pytest.raises(NotFoundError):
            get(fetcher, url)
        assert get(fetcher, url) == DATA


def test_links_that_are_refused_say_nothing_of_their_host(pypi: FakePyPI, url: str) -> None:
    pypi.fault("/x", Status(301, {"Location": "http://other.example/x"}), times=None)
    config = HttpConfig("https://index.example", allow_non_https=False, download_mirror=pypi.url)
    with closing(Fetcher(config, RetryPolicy(failures_until_down=2))) as fetcher:
        for _ in range(5):
            with pytest.raises(RefusedSchemeError, match=r"^http://other\.example/x: not https://"):
                get(fetcher, url)
    assert len(pypi.requests) == 5
