"""Transfer: a second answer that comes late is not taken for the answer to the next request."""

from contextlib import closing

import pytest

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


def test_a_host_that_answers_twice_is_not_trusted_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    numbers = []

    def serve(line: Line, asked: Asked) -> None:
        numbers.append(asked.number)
        line.send(GONE if asked.number else answer(DATA))

    with scripted(serve) as url, closing(make_transfer()) as transfer:
        assert [get(transfer, f"{url}/x") for _ in range(5)] == [DATA] * 5
    assert numbers == [0, 1, 0, 0, 0, 0]
    assert caplog.text.count("sends answers that nobody asked for") == 1
