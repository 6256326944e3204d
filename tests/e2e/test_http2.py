"""Documents come by HTTP/2 where TLS offers it: many at a time over one connection, with the same rules."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bandersnatch.errors import IntegrityError, NotFoundError
from bandersnatch.http.request import Request
from bandersnatch.http.transfer import Transfer
from bandersnatch.project.file_receiver import Resume
from tests.e2e.nginx import running
from tests.support.builders import make_transfer
from tests.support.transferring import Pieces, ask, fetch, get, read

CERTIFICATE = Path(__file__).parents[1] / "data" / "loopback.pem"
SITE = """
log_format http2 '$server_protocol $connection $status';
server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    root {web};
    access_log {log} http2;
    keepalive_requests 50;
    gzip on;
    gzip_types application/json;
    types {{ application/json json; }}
}}
"""
WORKERS = 5

pytestmark = pytest.mark.e2e


class Served:
    """What nginx serves; ``url`` is its base, and ``log`` has protocol, connection and status of each answer."""

    def __init__(self, web: Path, log: Path) -> None:
        self.web, self.log, self.url = web, log, ""

    def add(self, name: str, content: bytes) -> str:
        (self.web / name).write_bytes(content)
        return f"{self.url}/{name}"

    def site(self, port: int) -> str:
        self.url = f"https://127.0.0.1:{port}"
        return SITE.format(port=port, certificate=CERTIFICATE, web=self.web, log=self.log)

    def answers(self) -> list[list[str]]:
        return [line.split() for line in self.log.read_text().splitlines()]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    (tmp_path / "web").mkdir()
    served = Served(tmp_path / "web", tmp_path / "http2.log")
    with running(tmp_path / "nginx", served.site):
        yield served


@pytest.fixture
def transfer() -> Iterator[Transfer]:
    with closing(make_transfer(attempts=3, workers=WORKERS)) as transfer:
        yield transfer


def test_many_documents_come_over_few_connections(served: Served, transfer: Transfer) -> None:
    urls = {served.add(f"{number}", bytes([number]) * 10_000): bytes([number]) * 10_000 for number in range(200)}
    receivers = {url: Pieces() for url in urls}
    errors: list[Exception | None] = []
    for url, receiver in receivers.items():
        transfer.start(Request(url, receiver), lambda _, error: errors.append(error))
    while transfer.pending():
        transfer.advance(10)
    assert errors == [None] * 200
    assert {url: receiver.body for url, receiver in receivers.items()} == urls
    assert {protocol for protocol, _, _ in served.answers()} == {"HTTP/2.0"}
    assert len({connection for _, connection, _ in served.answers()}) <= WORKERS + 200 // 50 + 1


def test_what_is_not_there_is_not_found(served: Served, transfer: Transfer) -> None:
    get(transfer, served.add("x", b"x"))
    for _ in range(3):
        with pytest.raises(NotFoundError):
            get(transfer, f"{served.url}/y")
    assert [status for _, _, status in served.answers()] == ["200", "404", "404", "404"]


def test_conditions_compression_and_ranges_are_as_elsewhere(served: Served, transfer: Transfer) -> None:
    data = b"".join(b"%d," % number for number in range(100_000))
    page = ask(transfer, served.add("x.json", data))
    assert page.body == data
    assert page.headers["content-encoding"] == "gzip"
    assert ask(transfer, page.url, {"If-None-Match": page.headers["ETag"]}).status == 304
    url = served.add("file", data)
    etag = ask(transfer, url).headers["ETag"]
    receiver = Pieces(Resume(1000, etag, len(data)))
    assert fetch(transfer, Request(url, receiver)) == data[1000:]
    assert [head.status for head in receiver.heads] == [206]
    assert read(transfer, url) == data


def test_a_receiver_that_refuses_ends_its_own_answer_only(served: Served, transfer: Transfer) -> None:
    class Refusing(Pieces):
        def write(self, piece: bytes) -> None:
            raise IntegrityError("x", "size", 1, 2)

    url = served.add("x", bytes(3_000_000))
    results: list[bytes | Exception | None] = []
    for receiver in (Pieces(), Refusing(), Pieces()):
        transfer.start(Request(url, receiver), lambda value, error: results.append(error or value))
    while transfer.pending():
        transfer.advance(10)
    assert sorted(type(result).__name__ for result in results) == ["IntegrityError", "bytes", "bytes"]
