"""What tests of HTTP have in common."""

from bandersnatch.http.conversation import Conversation
from tests.support.fakepypi import Status

DATA = b"0123456789" * 1000
CLOSED_PORT = "http://127.0.0.1:9"


def ok(body: bytes = DATA, **headers: str) -> Status:
    return Status(200, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def get(conversation: Conversation, url: str) -> bytes:
    return conversation.get(url, {}).body
