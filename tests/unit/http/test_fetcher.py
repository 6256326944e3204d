"""HTTP: answers of every kind, and several of them at a time."""

import gzip
from contextlib import closing
from threading import Thread

import pytest

from bandersnatch import __version__
from bandersnatch.config.config import HttpConfig
from bandersnatch.errors import NotFoundError, UpstreamError, UpstreamUnavailableError
from bandersnatch.http.fetcher import Fetcher
from tests.support.builders import make_fetcher
from tests.support.fakepypi import FakePyPI, Status
from tests.support.fetching import DATA, Way, every_way, get, ok
from tests.support.scripted import answer, scripted


@pytest.fixture
def url(pypi: FakePyPI) -> str:
    """Return the URL of a document that only faults answer."""
    return f"{pypi.url}/x"


# Answers


@every_way
def test_a_document_is_fetched(pypi: FakePyPI, fetcher: Fetcher, url: str, fetch: Way) -> None:
    pypi.fault("/x", ok())
    assert fetch(fetcher, url) == DATA


@every_way
def test_an_empty_document_is_a_document(pypi: FakePyPI, fetcher: Fetcher, url: str, fetch: Way) -> None:
    pypi.fault("/x", ok(b""))
    assert fetch(fetcher, url) == b""


@every_way
@pytest.mark.parametrize("number", [1, 5])
@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints", "199 Other"])
def test_interim_answers_are_passed_over(status: str, number: int, fetch: Way) -> None:
    interim = f"HTTP/1.1 {status}\r\nLink: </style.css>; rel=preload\r\n\r\n".encode()
    with (
        scripted(lambda line, _: line.send(interim * number + answer(DATA))) as url,
        closing(make_fetcher()) as fetcher,
    ):
        assert [fetch(fetcher, f"{url}/x") for _ in range(2)] == [DATA] * 2


@every_way
def test_a_change_of_protocol_is_no_answer(fetch: Way) -> None:
    changed = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"
    with (
        scripted(lambda line, _: line.send(changed + answer(DATA))) as url,
        closing(make_fetcher()) as fetcher,
        pytest.raises(UpstreamUnavailableError, match="upstream answered 101 Switching Protocols"),
    ):
        fetch(fetcher, f"{url}/x")


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


def test_a_redirect_is_followed(pypi: FakePyPI, fetcher: Fetcher, url: str) -> None:
    pypi.fault("/x", Status(301, {"Location": "/y"}))
    pypi.fault("/y", ok())
    assert get(fetcher, url) == DATA


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


# Schemes, passwords, proxies


def test_a_fetcher_that_was_closed_can_be_closed_again(pypi: FakePyPI, fetcher: Fetcher, url: str) -> None:
    pypi.fault("/x", ok())
    get(fetcher, url)
    fetcher.close()
    fetcher.close()


def test_a_request_that_fails_makes_way_for_the_next(pypi: FakePyPI, url: str) -> None:
    pypi.fault("/x", Status(404), Status(200, {}, DATA))
    with closing(Fetcher(HttpConfig(pypi.url, allow_non_https=True, workers=1))) as fetcher:
        with pytest.raises(NotFoundError):
            get(fetcher, url)
        assert get(fetcher, url) == DATA
