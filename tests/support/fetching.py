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


def read(fetcher: Fetcher, url: str) -> bytes:
    with fetcher.stream(url) as body:
        return b"".join(body.chunks())


def post(fetcher: Fetcher, url: str) -> bytes:
    return fetcher.post(url, {}, b"body", 10**6).body


def free_turns(fetcher: Fetcher) -> int:
    number = 0
    while fetcher.limiter.take_free():
        number += 1
    for _ in range(number):
        fetcher.limiter.give_back()
    return number


every_way = pytest.mark.parametrize("fetch", [get, read, post])
Way = Callable[[Fetcher, str], bytes]
