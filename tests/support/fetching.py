"""The ways to fetch a document, for tests that hold for each of them."""

from collections.abc import Callable

import pytest

from bandersnatch.http.fetcher import Fetcher
from tests.support.fakepypi import Status

DATA = b"0123456789" * 1000
CLOSED_PORT = "http://127.0.0.1:9"


def ok(body: bytes = DATA, **headers: str) -> Status:
    return Status(200, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def get(fetcher: Fetcher, url: str) -> bytes:
    return fetcher.get(url, {}).body


def post(fetcher: Fetcher, url: str) -> bytes:
    return fetcher.post(url, {}, b"body", 10**6).body


every_way = pytest.mark.parametrize("fetch", [get, post])
Way = Callable[[Fetcher, str], bytes]
