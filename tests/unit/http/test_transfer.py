"""Transfer: answers of every kind, and several of them at a time."""

import gzip
import ssl
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

from bandersnatch.errors import IntegrityError, StorageError, UpstreamUnavailableError
from bandersnatch.http.document import Answer, whole
from bandersnatch.http.request import Request
from bandersnatch.http.transfer import Transfer
from bandersnatch.project.file_receiver import Resume
from tests.support.builders import make_transfer
from tests.support.fakepypi import FakePyPI, Status
from tests.support.fetching import DATA, ok
from tests.support.scripted import Asked, Line, answer, scripted
from tests.support.transferring import Pieces, ask, fetch, get, read

# Answers


def test_files_are_asked_for_as_they_are(pypi: FakePyPI, transfer: Transfer, url: str) -> None:
    compressed = gzip.compress(DATA)
    pypi.fault("/x", ok(compressed, Content_Encoding="gzip"))
    assert read(transfer, url) == compressed
    assert pypi.requests[0].headers["Accept-Encoding"] == "identity"


def test_a_transfer_that_was_closed_can_be_closed_again(pypi: FakePyPI, transfer: Transfer, url: str) -> None:
    pypi.fault("/x", ok())
    get(transfer, url)
    transfer.close()
    transfer.close()


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
    body = fetch(transfer, Request(url, receiver))
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
        fetch(transfer, Request(url, Doubtful()))
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
        all_there.wait(30)
        line.send(answer(DATA))

    answers: list[bytes | Exception] = []
    with scripted(serve, context) as url, closing(make_transfer()) as transfer:
        for _ in range(8):
            transfer.start(Request(f"{url}/x", Pieces()), lambda value, error: answers.append(error or value or b""))
        while transfer.pending():
            transfer.advance(10)
    assert answers == [DATA] * 8


# Errors of receivers


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
        fetch(transfer, Request(f"{pypi.url}{path}", full))
    assert full.errors == []  # no attempt has begun
    assert read(transfer, f"{pypi.url}{path}") == pypi.files("foo")[0].content


def test_a_receiver_learns_that_it_is_not_asked_for_after_a_redirect(pypi: FakePyPI, transfer: Transfer) -> None:
    pypi.fault("/moved", Status(302, {"Location": "ftp://127.0.0.1/file"}))
    pieces = Pieces()
    with pytest.raises(UpstreamUnavailableError) as raised:
        fetch(transfer, Request(f"{pypi.url}/moved", pieces))
    assert pieces.errors == [raised.value]
