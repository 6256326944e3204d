"""A run ends, however its index drips."""

from collections.abc import Callable, Iterable
from itertools import chain, repeat

import pytest

from bandersnatch.operations.tuning import Tuning
from tests.support.rig import HURRIED, IN_PROCESSES, Rig
from tests.support.scripted import Asked, Line, Relay, scripted

Pieces = Callable[[], Iterable[bytes]]
TIMEOUT = 1.5
"""Of a busy machine the other answers come within that, too."""


def head() -> Iterable[bytes]:
    """Return a head that never ends."""
    return chain((bytes([each]) for each in b"HTTP/1.1 200 "), repeat(b"x"))


def body() -> Iterable[bytes]:
    """Return a head as a whole, and a body that hardly ever ends."""
    return chain([b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"], repeat(b"x"))


@pytest.mark.parametrize("tuning", [HURRIED, IN_PROCESSES], ids=["in one thread", "in processes"])
@pytest.mark.parametrize("pieces", [head, body], ids=["heads", "bodies"])
@pytest.mark.parametrize(
    ("what", "failed"), [("/pypi", set()), ("/simple/foo/", {"foo"}), ("/packages/", {"foo", "bar"})]
)
def test_a_run_ends_whatever_drips(rig: Rig, what: str, failed: set[str], pieces: Pieces, tuning: Tuning) -> None:
    for name in ("foo", "bar"):
        rig.pypi.add_file(name, "1.0")
    relay = Relay(rig.pypi.url)

    def serve(line: Line, asked: Asked) -> None:
        if asked.target.startswith(what):
            line.drip(pieces())
        line.send(relay.answer(asked))

    with scripted(serve) as relay.url:
        report = rig.run(master=relay.url, timeout=str(TIMEOUT), tuning=tuning)
    assert {failure.project for failure in report.failures} == failed
