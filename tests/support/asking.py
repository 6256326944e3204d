"""The ways in which upstream is asked: what is promised of all of them is tested once, over this table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.http.conversation import Conversation
from bandersnatch.http.document import MAX_BODY_BYTES, Answer, whole
from bandersnatch.http.request import Request
from bandersnatch.http.retry_policy import RetryPolicy
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.http.transfer import Transfer
from tests.support.builders import make_conversation, make_transfer
from tests.support.transferring import Pieces, fetch
from tests.support.transferring import ask as ask_transfer

Client = Any
"""A Conversation or a Transfer."""


@dataclass(frozen=True)
class Way:
    """How a client is made, and asked for a document."""

    name: str
    kind: type[Conversation] | type[Transfer]
    make: Callable[..., Client]
    _ask: Callable[[Client, str, Mapping[str, str], int], Answer]

    def ask(
        self, client: Client, url: str, headers: Mapping[str, str] | None = None, limit_bytes: int = MAX_BODY_BYTES
    ) -> Answer:
        """Ask for a document; what takes files knows no limit."""
        return self._ask(client, url, headers or {}, limit_bytes)

    def with_patience(self, **policy: Any) -> Client:
        """Return a client with so much patience, which does not wait before it tries again."""
        return self.kind(HttpConfig("", allow_non_https=True), RunLimits(RetryPolicy(backoff_seconds=0, **policy)))

    def fetch(self, client: Client, url: str) -> bytes:
        """Return what a document holds."""
        return self.ask(client, url).body


def _post(client: Client, url: str, headers: Mapping[str, str], limit_bytes: int) -> Answer:
    answer: Answer = client.post(url, headers, b"body", whole(limit_bytes))
    return answer


def _get(client: Client, url: str, headers: Mapping[str, str], limit_bytes: int) -> Answer:
    answer: Answer = client.get(url, headers, limit_bytes)
    return answer


def _ask_for_file(client: Client, url: str, headers: Mapping[str, str], _limit_bytes: int) -> Answer:
    pieces = Pieces()
    body = fetch(client, Request(url, pieces, headers))
    head = pieces.heads[-1]
    return Answer(head.url, head.status, head.headers, body)


GET = Way("conversation, GET", Conversation, make_conversation, _get)
POST = Way("conversation, POST", Conversation, make_conversation, _post)
DOCUMENT = Way("transfer, document", Transfer, make_transfer, ask_transfer)
FILE = Way("transfer, file", Transfer, make_transfer, _ask_for_file)
EVERY_WAY = (GET, POST, DOCUMENT, FILE)


def _only(*ways: Way) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("way", ways, ids=[way.name for way in ways])


for_documents = _only(GET, POST, DOCUMENT)
for_gets = _only(GET, DOCUMENT, FILE)
"""For documents of the fake PyPI, which nobody can post to."""
for_got_documents = _only(GET, DOCUMENT)
one_way_quick = pytest.mark.parametrize(
    "way",
    [
        pytest.param(way, id=way.name, marks=() if way is DOCUMENT else (pytest.mark.slow, pytest.mark.measured))
        for way in EVERY_WAY
    ],
)
"""For what must wait for a time limit, or for many bytes."""
