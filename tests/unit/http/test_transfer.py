"""Transfer: answers of every kind, and several of them at a time."""

import gzip
import ssl
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

from bandersnatch import __version__
from bandersnatch.config.config import HttpConfig
from bandersnatch.errors import IntegrityError, NotFoundError, UpstreamError, UpstreamUnavailableError
from bandersnatch.http.body import Answer
from bandersnatch.http.decompression import ACCEPTED_ENCODINGS
from bandersnatch.http.document import whole
from bandersnatch.http.request import Request
from bandersnatch.http.transfer import Transfer
from bandersnatch.project.files import Resume
from tests.support.builders import make_transfer
from tests.support.fakepypi import FakePyPI, Status
from tests.support.fetching import DATA, ok
from tests.support.scripted import Asked, Line, answer, scripted
from tests.support.transferring import Pieces, Way, ask, every_way, get, read


@pytest.fixture
def url(pypi: FakePyPI) -> str:
    """Return the URL of a document that only faults answer."""
    return f"{pypi.url}/x"


# Answers


@every_way
def test_a_document_is_fetched(pypi: FakePyPI, transfer: Transfer, url: str, fetch: Way) -> None:
    pypi.fault("/x", ok())
    assert fetch(transfer, url) == DATA


@every_way
def test_an_empty_document_is_a_document(pypi: FakePyPI, transfer: Transfer, url: str, fetch: Way) -> None:
    pypi.fault("/x", ok(b""))
    assert fetch(transfer, url) == b""


@every_way
@pytest.mark.parametrize("number", [1, 5])
@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints", "199 Other"])
def test_interim_answers_are_passed_over(status: str, number: int, fetch: Way) -> None:
    interim = f"HTTP/1.1 {status}\r\nLink: </style.css>; rel=preload\r\n\r\n".encode()
    with (
        scripted(lambda line, _: line.send(interim * number + answer(DATA))) as url,
        closing(make_transfer()) as transfer,
    ):
        assert [fetch(transfer, f"{url}/x") for _ in range(2)] == [DATA] * 2


@every_way
def test_a_change_of_protocol_is_no_answer(fetch: Way) -> None:
    changed = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"
    with (
        scripted(lambda line, _: line.send(changed + answer(DATA))) as url,
        closing(make_transfer()) as transfer,
        pytest.raises(UpstreamUnavailableError, match="upstream answered 101 Switching Protocols"),
    ):
        fetch(transfer, f"{url}/x")


def test_an_answer_has_status_headers_and_url(pypi: FakePyPI, transfer: Transfer, url: str) -> None:
    pypi.fault("/x", ok(X_Test="yes"))
    answer = ask(transfer, url, {})
    assert (answer.url, answer.status, answer.headers["x-test"]) == (url, 200, "yes")


@every_way
def test_each_request_names_the_tool_its_version_and_a_contact(
    pypi: FakePyPI, transfer: Transfer, url: str, fetch: Way
) -> None:
    pypi.fault("/x", ok())
    fetch(transfer, url)
    (request,) = pypi.requests
    assert request.headers["User-Agent"].startswith(f"bandersnatch/{__version__} (+https://")


def test_our_headers_are_sent(pypi: FakePyPI, transfer: Transfer, url: str) -> None:
    pypi.fault("/x", ok())
    ask(transfer, url, {"Accept": "application/json"})
    assert pypi.requests[0].headers["Accept"] == "application/json"


def test_a_conditional_request_is_answered_with_304(pypi: FakePyPI, transfer: Transfer) -> None:
    pypi.create_project("sample")
    headers = {"Accept": "application/vnd.pypi.simple.v1+json"}
    first = ask(transfer, f"{pypi.url}/simple/sample/", headers)
    second = ask(transfer, f"{pypi.url}/simple/sample/", {**headers, "If-None-Match": first.headers["ETag"]})
    assert (second.status, second.body) == (304, b"")


def test_whole_documents_may_come_compressed(pypi: FakePyPI, transfer: Transfer, url: str) -> None:
    pypi.fault("/x", ok(gzip.compress(DATA), Content_Encoding="gzip"))
    assert get(transfer, url) == DATA
    assert pypi.requests[0].headers["Accept-Encoding"] == ACCEPTED_ENCODINGS


def test_files_are_asked_for_as_they_are(pypi: FakePyPI, transfer: Transfer, url: str) -> None:
    pypi.fault("/x", ok(gzip.compress(DATA), Content_Encoding="gzip"))
    assert read(transfer, url) == gzip.compress(DATA)
    assert pypi.requests[0].headers["Accept-Encoding"] == "identity"


def test_a_redirect_is_followed(pypi: FakePyPI, transfer: Transfer, url: str) -> None:
    pypi.fault("/x", Status(301, {"Location": "/y"}))
    pypi.fault("/y", ok())
    assert get(transfer, url) == DATA


@every_way
def test_a_part_that_nobody_asked_for_is_an_error(pypi: FakePyPI, transfer: Transfer, url: str, fetch: Way) -> None:
    pypi.fault("/x", Status(206, {"Content-Range": "bytes 0-9999/10000"}, DATA))
    with pytest.raises(UpstreamError, match="upstream answered 206"):
        fetch(transfer, url)


def test_a_transfer_that_was_closed_can_be_closed_again(pypi: FakePyPI, transfer: Transfer, url: str) -> None:
    pypi.fault("/x", ok())
    get(transfer, url)
    transfer.close()
    transfer.close()


def test_a_request_that_fails_makes_way_for_the_next(pypi: FakePyPI, url: str) -> None:
    pypi.fault("/x", Status(404), Status(200, {}, DATA))
    with closing(Transfer(HttpConfig(pypi.url, allow_non_https=True, workers=1))) as transfer:
        with pytest.raises(NotFoundError):
            get(transfer, url)
        assert get(transfer, url) == DATA


def test_many_documents_come_at_a_time(pypi: FakePyPI) -> None:
    pypi.fault("/x", ok(), times=40)
    answers: list[tuple[Answer | None, Exception | None]] = []
    with closing(make_transfer(workers=4)) as transfer:
        for _ in range(40):
            transfer.start(Request(f"{pypi.url}/x", whole()), lambda value, error: answers.append((value, error)))
        assert transfer.pending() == 40
        while transfer.pending():
            transfer.advance(10)
    assert [value.body if value else error for value, error in answers] == [DATA] * 40


# Ranges


def part(transfer: Transfer, url: str, resume: Resume) -> tuple[list[int], bytes]:
    """Return the statuses of the answers, and the last body."""
    receiver = Pieces(resume)
    body = transfer.fetch(Request(url, receiver))
    return [head.status for head in receiver.heads], body


def test_a_download_goes_on_where_it_broke_off(pypi: FakePyPI, transfer: Transfer) -> None:
    file = pypi.add_file("sample", "1.0", kind="sdist", content=DATA)
    url = f"{pypi.url}{file.url_path}"
    etag = ask(transfer, url).headers["ETag"]
    assert part(transfer, url, Resume(4000, etag, len(DATA))) == ([206], DATA[4000:])
    assert pypi.requests[-1].headers["Range"] == "bytes=4000-"


def test_a_document_that_is_another_by_now_comes_whole(pypi: FakePyPI, transfer: Transfer) -> None:
    file = pypi.add_file("sample", "1.0", kind="sdist", content=DATA)
    assert part(transfer, f"{pypi.url}{file.url_path}", Resume(4000, '"another"', len(DATA))) == ([200], DATA)


def test_a_rest_behind_the_end_begins_anew(pypi: FakePyPI, transfer: Transfer) -> None:
    file = pypi.add_file("sample", "1.0", kind="sdist", content=DATA)
    etag = ask(transfer, f"{pypi.url}{file.url_path}").headers["ETag"]
    assert part(transfer, f"{pypi.url}{file.url_path}", Resume(len(DATA), etag, len(DATA))) == ([200], DATA)
    assert [request.status for request in pypi.requests] == [200, 416, 200]


WRONG_PARTS = [
    {},
    {"Content-Range": "bytes 0-9999/10000"},
    {"Content-Range": "nonsense"},
    {"Content-Range": "bytes 4000-9999/10000", "ETag": '"another"'},
]


@pytest.mark.parametrize("headers", WRONG_PARTS)
def test_a_rest_that_is_not_the_one_asked_for_begins_anew(
    pypi: FakePyPI, transfer: Transfer, url: str, headers: dict[str, str]
) -> None:
    pypi.fault("/x", Status(206, headers, DATA[4000:]), ok())
    assert part(transfer, url, Resume(4000, '"etag"', len(DATA))) == ([206, 200], DATA)


def test_a_document_that_is_refused_by_its_receiver_twice_is_an_error(
    pypi: FakePyPI, transfer: Transfer, url: str
) -> None:
    class Doubtful(Pieces):
        def end(self) -> bytes:
            raise IntegrityError(url, "SHA-256", "a", "b")

    pypi.fault("/x", ok(), times=None)
    with pytest.raises(IntegrityError):
        transfer.fetch(Request(url, Doubtful()))
    assert len(pypi.requests) == 2


# At the same time


@pytest.mark.parametrize("tls", [None, [], ["http/1.1"]], ids=["plain", "without ALPN", "HTTP/1.1"])
def test_requests_do_not_wait_for_each_other(tls: list[str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer is sent when all requests are there."""
    certificate = str(Path(__file__).parents[2] / "data" / "loopback.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
    context = None
    if tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        context.set_alpn_protocols(tls)
    all_there = Barrier(4)

    def serve(line: Line, asked: Asked) -> None:
        all_there.wait(10)
        line.send(answer(DATA))

    answers: list[bytes | Exception] = []
    with scripted(serve, context) as url, closing(make_transfer()) as transfer:
        for _ in range(8):
            transfer.start(Request(f"{url}/x", Pieces()), lambda value, error: answers.append(error or value or b""))
        while transfer.pending():
            transfer.advance(10)
    assert answers == [DATA] * 8
