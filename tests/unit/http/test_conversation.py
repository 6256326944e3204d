"""Conversation: what is not the same for documents; the rest is in test_answers_alike and test_access_alike."""

from contextlib import closing
from threading import Thread

from bandersnatch.http.conversation import Conversation
from bandersnatch.http.document import whole
from tests.support.builders import make_conversation
from tests.support.fakepypi import FakePyPI
from tests.support.fetching import DATA, get, ok
from tests.support.scripted import Asked, Line, answer, scripted


def test_a_post_has_its_body_and_headers(pypi: FakePyPI, conversation: Conversation, url: str) -> None:
    pypi.fault("/x", ok())
    conversation.post(url, {"Content-Type": "text/xml"}, b"<x/>", whole())
    (request,) = pypi.requests
    assert (request.method, request.headers["Content-Type"]) == ("POST", "text/xml")


def test_each_request_has_a_connection_of_its_own() -> None:
    numbers: list[int] = []

    def serve(line: Line, asked: Asked) -> None:
        numbers.append(asked.number)
        line.send(answer(DATA))

    with scripted(serve) as url, closing(make_conversation()) as conversation:
        assert [get(conversation, f"{url}/x") for _ in range(3)] == [DATA] * 3
    assert numbers == [0, 0, 0]


def test_several_threads_may_fetch_at_once(pypi: FakePyPI, conversation: Conversation, url: str) -> None:
    pypi.fault("/x", ok(), times=40)
    bodies: list[bytes] = []
    threads = [Thread(target=lambda: bodies.extend(get(conversation, url) for _ in range(10))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bodies == [DATA] * 40
