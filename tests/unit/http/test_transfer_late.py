"""Transfer: a second answer that comes late is not taken for the answer to the next request."""

from contextlib import closing

import pytest

from bandersnatch.errors import NotFoundError
from tests.support.builders import make_transfer
from tests.support.fetching import DATA
from tests.support.scripted import Asked, Line, answer, scripted
from tests.support.transferring import get

GONE = answer(b"not here", status="404 Not Found")


def test_a_connection_on_which_something_has_come_is_not_used_again() -> None:
    def serve(line: Line, _: Asked) -> None:
        line.send(answer(DATA) + GONE)

    with scripted(serve) as url, closing(make_transfer()) as transfer:
        assert [get(transfer, f"{url}/x") for _ in range(5)] == [DATA] * 5


OF_ANOTHER_REQUEST = {
    "404": GONE,
    "416": answer(b"", status="416 Range Not Satisfiable"),
    "two answers in one": b"HTTP/1.1 20" + answer(DATA),
    "a redirect to nothing": answer(b"", "Location: /gone", status="302 Found"),
    "a redirect that is refused": answer(b"", "Location: ftp://index.example/", status="302 Found"),
}


@pytest.mark.parametrize("late", OF_ANOTHER_REQUEST.values(), ids=OF_ANOTHER_REQUEST)
def test_a_host_that_answers_twice_is_not_trusted_for_a_while(late: bytes, caplog: pytest.LogCaptureFixture) -> None:
    numbers = []

    def serve(line: Line, asked: Asked) -> None:
        if asked.target == "/gone":
            line.send(GONE)
            return
        numbers.append(asked.number)
        line.send(late if asked.number else answer(DATA))

    with scripted(serve) as url, closing(make_transfer(attempts=1)) as transfer:
        assert [get(transfer, f"{url}/x") for _ in range(5)] == [DATA] * 5
    assert numbers == [0, 1, 0, 0, 0, 0]
    assert caplog.text.count("sends answers that nobody asked for") == 1


def test_a_host_that_redirects_each_request_is_trusted_and_asked_once(caplog: pytest.LogCaptureFixture) -> None:
    asked_for = []

    def serve(line: Line, asked: Asked) -> None:
        asked_for.append((asked.target, asked.number > 0))
        line.send(answer(b"", "Location: /there", status="302 Found") if asked.target == "/x" else answer(DATA))

    with scripted(serve) as url, closing(make_transfer(attempts=1)) as transfer:
        assert [get(transfer, f"{url}/x") for _ in range(3)] == [DATA] * 3
    assert asked_for == [("/x", False), *[("/there", True), ("/x", True)] * 2, ("/there", True)]
    assert "nobody asked for" not in caplog.text


def test_what_a_redirect_leads_to_is_missing_once_it_was_asked_for_on_a_new_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def serve(line: Line, asked: Asked) -> None:
        line.send(
            {"/x": answer(b"", "Location: /gone", status="302 Found"), "/gone": GONE}.get(asked.target, answer(DATA))
        )

    with scripted(serve) as url, closing(make_transfer(attempts=1)) as transfer:
        for _ in range(2):
            assert get(transfer, f"{url}/y") == DATA
            with pytest.raises(NotFoundError):
                get(transfer, f"{url}/x")
    assert "nobody asked for" not in caplog.text
