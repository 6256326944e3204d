"""Document: one large document at a time is in memory, and none is larger than it may be."""

import gzip
from collections.abc import Callable
from contextlib import closing
from threading import Barrier, Event

import pytest

from bandersnatch.errors import BrokenBodyError, MalformedResponseError
from bandersnatch.http.curl_handle import LARGE_BYTES
from bandersnatch.http.document import Answer, Document, whole
from bandersnatch.http.request import Request
from tests.support.builders import make_transfer
from tests.support.fakepypi import FakePyPI, ShortBody, Status
from tests.support.fetching import ok
from tests.support.scripted import Asked, Line, answer, scripted
from tests.support.transferring import ask, fetch, get

LARGE = bytes(3 * LARGE_BYTES)
PIECE_BYTES = 256 * 1024


class Watched(Document[Answer]):
    """Keeps an account of how much several documents hold at a time."""

    def __init__(self, all_documents: list["Watched"], second_largest: list[int]) -> None:
        super().__init__(lambda answer: answer)
        self._all, self._second_largest = all_documents, second_largest
        all_documents.append(self)

    def write(self, piece: bytes) -> None:
        super().write(piece)
        kept = sorted(document.kept_bytes for document in self._all)
        self._second_largest[0] = max(self._second_largest[0], kept[-2])

    def end(self) -> Answer:
        answer = super().end()
        self.kept_bytes = 0
        return answer


def taker(answers: list[bytes | Exception]) -> Callable[[Answer | None, Exception | None], None]:
    """Return what puts the body of an answer, or an error, into a list."""

    def take(value: Answer | None, error: Exception | None) -> None:
        answers.append(error or (value.body if value else b""))

    return take


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_only_one_large_document_is_in_memory(compressed: bool) -> None:
    sent = answer(gzip.compress(LARGE, 1), "Content-Encoding: gzip") if compressed else answer(LARGE)
    documents: list[Watched] = []
    second_largest = [0]
    answers: list[bytes | Exception] = []
    with scripted(lambda line, _: line.send(sent)) as url, closing(make_transfer()) as transfer:
        for _ in range(4):
            request = Request(f"{url}/x", Watched(documents, second_largest))
            transfer.start(request, taker(answers))
        while transfer.pending():
            transfer.advance(10)
    assert answers == [LARGE] * 4
    most_of_piece = 1024 * (16 * 1024) if compressed else PIECE_BYTES
    assert second_largest[0] <= LARGE_BYTES + most_of_piece


def test_a_large_document_that_breaks_off_makes_room_for_the_others(pypi: FakePyPI) -> None:
    def serve(line: Line, asked: Asked) -> None:
        whole = answer(LARGE)
        if asked.target == "/broken":
            line.send(whole[:-1])
            line.pause(0.01)
            raise ConnectionAbortedError
        line.send(whole)

    answers: list[bytes | Exception] = []
    with scripted(serve) as url, closing(make_transfer(attempts=2)) as transfer:
        for name in ("broken", "a", "b"):
            transfer.start(Request(f"{url}/{name}", whole()), taker(answers))
        while transfer.pending():
            transfer.advance(10)
    assert len(answers) == 3
    assert answers.count(LARGE) == 2


def test_a_paused_document_is_not_taken_for_a_silent_one() -> None:
    """The first document takes longer than the time-out, while the second one waits for it."""

    sent = answer(LARGE)

    def serve(line: Line, asked: Asked) -> None:
        if asked.target == "/slow":
            line.send(sent[: 2 * LARGE_BYTES])
            line.drip(sent[at : at + LARGE_BYTES // 64] for at in range(2 * LARGE_BYTES, len(sent), LARGE_BYTES // 64))
        line.send(sent)

    answers: list[bytes | Exception] = []
    with scripted(serve) as url, closing(make_transfer(timeout_seconds=0.5)) as transfer:
        for name in ("slow", "fast"):
            transfer.start(Request(f"{url}/{name}", whole()), taker(answers))
        while transfer.pending():
            transfer.advance(10)
    assert answers == [LARGE] * 2


GZIPPED = gzip.compress(LARGE, 0)  # as large as what is in it
PAUSED = {
    "it is taken": (answer(LARGE), None),
    "compressed": (answer(GZIPPED, "Content-Encoding: gzip"), None),
    "it breaks off": (answer(LARGE)[:-5], BrokenBodyError),
    "no gzip": (answer(GZIPPED[:-LARGE_BYTES] + bytes(LARGE_BYTES), "Content-Encoding: gzip"), BrokenBodyError),
    "it is too large": (answer(LARGE), MalformedResponseError),
}


@pytest.mark.parametrize(("sent", "error"), PAUSED.values(), ids=PAUSED)
def test_each_document_that_was_paused_has_its_own_end(sent: bytes, error: type[Exception] | None) -> None:
    """Two wait for the memory of a first one; whatever becomes of one when it goes on, the other goes on, too."""
    may_end, are_sent = Event(), Barrier(3)

    def serve(line: Line, asked: Asked) -> None:
        if asked.target == "/first":
            line.send(answer(LARGE)[: 2 * LARGE_BYTES])
            assert may_end.wait(30)
            line.send(LARGE[2 * LARGE_BYTES - len(answer(LARGE)) :])
            return
        line.send(sent[: LARGE_BYTES + PIECE_BYTES])
        are_sent.wait(30)
        line.send(sent[LARGE_BYTES + PIECE_BYTES :])
        if error is BrokenBodyError:
            raise ConnectionAbortedError

    limit_bytes = LARGE_BYTES + 2 * PIECE_BYTES if error is MalformedResponseError else len(LARGE)
    answers: list[bytes | Exception] = []
    with scripted(serve) as url, closing(make_transfer()) as transfer:
        first = whole()
        transfer.start(Request(f"{url}/first", first), taker(answers))
        while first.kept_bytes <= LARGE_BYTES:
            transfer.advance(10)
        documents = [whole(limit_bytes), whole(limit_bytes)]
        for document in documents:
            transfer.start(Request(f"{url}/x", document), taker(answers))
        while are_sent.n_waiting < 2 or min(document.kept_bytes for document in documents) <= LARGE_BYTES:
            transfer.advance(0.01)
        are_sent.wait(30)
        may_end.set()
        while transfer.pending():
            transfer.advance(10)
    assert answers[0] == LARGE
    if error is None:
        assert answers[1:] == [LARGE] * 2
    else:
        assert [type(answer) for answer in answers[1:]] == [error] * 2


def test_a_document_that_is_read_wrongly_is_an_error_of_whoever_reads_it(pypi: FakePyPI) -> None:
    def read(answer: Answer) -> int:
        raise MalformedResponseError(answer.url, "not what it must be")

    pypi.fault("/x", ok(), times=None)
    with closing(make_transfer(attempts=3)) as transfer:
        with pytest.raises(MalformedResponseError, match="not what it must be"):
            fetch(transfer, Request(f"{pypi.url}/x", Document(read)))
        assert len(pypi.requests) == 1
        with pytest.raises(
            MalformedResponseError
        ):  # it may be the answer to another request, and is requested once more
            fetch(transfer, Request(f"{pypi.url}/x", Document(read)))
        assert len(pypi.requests) == 3


def test_what_a_broken_attempt_has_left_is_no_part_of_the_document(pypi: FakePyPI) -> None:
    pypi.create_project("sample")
    pypi.fault("/simple/sample/", ShortBody(10), Status(503))
    with closing(make_transfer(attempts=3)) as transfer:
        body = get(transfer, f"{pypi.url}/simple/sample/")
        assert body == ask(transfer, f"{pypi.url}/simple/sample/").body
