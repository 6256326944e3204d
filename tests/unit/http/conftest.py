"""Tests that ask for ``way`` or ``client`` are made once for each way to ask upstream."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.asking import EVERY_WAY, Client, Way
from tests.support.fakepypi import FakePyPI


@pytest.fixture(params=EVERY_WAY, ids=[way.name for way in EVERY_WAY])
def way(request: pytest.FixtureRequest) -> Way:
    asked: Way = request.param
    return asked


@pytest.fixture
def client(way: Way) -> Iterator[Client]:
    """Tries three times, without waiting."""
    with closing(way.make(attempts=3)) as client:
        yield client


@pytest.fixture
def url(pypi: FakePyPI) -> str:
    """Return the URL of a document that only faults answer."""
    return f"{pypi.url}/x"
