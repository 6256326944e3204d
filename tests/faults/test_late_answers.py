"""A second answer that comes late is not taken for the answer to the next question: a doubt never costs a project."""

import threading
from contextlib import closing

import pytest

from bandersnatch.operations.tuning import Tuning
from tests.support.builders import make_conversation
from tests.support.fetching import DATA, get
from tests.support.rig import HURRIED, IN_PROCESSES, Rig
from tests.support.scripted import Asked, Line, Relay, answer, scripted

GONE = answer(b"not here", status="404 Not Found")
LATE = {
    "404": GONE,
    "403": answer(b"", status="403 Forbidden"),
    "304": answer(b"", status="304 Not Modified"),
    "503": answer(b"", status="503 Service Unavailable"),
    "an empty document": answer(b"", "Content-Type: application/vnd.pypi.simple.v1+json"),
    "another document": answer(b"<p>Welcome", "Content-Type: text/html"),
    "410": answer(b"", status="410 Gone"),
    "416": answer(b"", status="416 Range Not Satisfiable"),
    "429": answer(b"", "Retry-After: 1", status="429 Too Many Requests"),
    "a redirect": answer(b"", "Location: /simple/p0/", status="302 Found"),
    "a redirect to nowhere": answer(b"", "Location: http://127.0.0.1:9/", status="301 Moved Permanently"),
    "the beginning of an answer": b"HTTP/1.1 20",
    "the same answer again": b"",
    "no HTTP": b"nonsense\r\n\r\n",
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
}
NAMES = [f"p{number}" for number in range(12)]


@pytest.mark.parametrize("tuning", [HURRIED, IN_PROCESSES], ids=["in one thread", "in processes"])
@pytest.mark.parametrize("pause", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_no_project_fails_by_answers_to_other_questions(rig: Rig, late: bytes, pause: float, tuning: Tuning) -> None:
    for name in NAMES:
        rig.pypi.add_file(name, "1.0", core_metadata=True, metadata_in_wheel=False)
        rig.pypi.add_file(name, "2.0", kind="sdist")
    relay = Relay(rig.pypi.url)

    def serve(line: Line, asked: Asked) -> None:
        whole = relay.answer(asked)
        line.send(whole)
        line.pause(pause)
        line.send(late or whole)

    with scripted(serve) as relay.url:
        report = rig.run(master=relay.url, tuning=tuning)
    assert report.failures == []
    rig.assert_matches()


@pytest.mark.parametrize("tuning", [HURRIED, IN_PROCESSES], ids=["in one thread", "in processes"])
@pytest.mark.parametrize("tag", [[], ['ETag: "of another page"']], ids=["without a tag", "with another's tag"])
def test_a_304_to_another_question_is_asked_again_as_it_was(rig: Rig, tag: list[str], tuning: Tuning) -> None:
    relay, is_late, unconditional = Relay(rig.pypi.url), threading.Event(), []

    def serve(line: Line, asked: Asked) -> None:
        is_page = asked.target.startswith("/simple/p")
        if is_late.is_set() and is_page and b"if-none-match" not in asked.request.lower():
            unconditional.append(asked.target)
        line.send(relay.answer(asked))
        if is_late.is_set() and is_page:
            line.pause()
            line.send(answer(b"", *tag, status="304 Not Modified"))

    with scripted(serve) as relay.url:
        for version in ("1.0", "2.0"):
            for name in NAMES:
                rig.pypi.add_file(name, version, kind="sdist")
            assert rig.run(master=relay.url, tuning=tuning).failures == []
            is_late.set()
    rig.assert_matches()
    assert unconditional == []


def test_a_connection_on_which_something_has_come_is_not_used_again() -> None:
    def serve(line: Line, _: Asked) -> None:
        line.send(answer(DATA) + GONE)

    with scripted(serve) as url, closing(make_conversation()) as conversation:
        assert [get(conversation, f"{url}/x") for _ in range(5)] == [DATA] * 5


def test_what_is_gone_is_so_after_it_was_asked_on_a_new_connection(rig: Rig) -> None:
    rig.pypi.add_file("foo", "1.0")
    rig.run()
    rig.pypi.remove_project("foo")
    assert rig.run().failures == []
    rig.assert_matches()
