"""An index in place of the fake PyPI, for all who do not make one of their own."""

from collections.abc import Iterator

import pytest

from tests.support.other_index import mirror_it
from tests.support.rig import Rig
from tests.support.static_index import Form, StaticIndex, static_index


@pytest.fixture
def index(rig: Rig, request: pytest.FixtureRequest) -> Iterator[StaticIndex]:
    """An index in place of the fake PyPI."""
    with static_index(getattr(request, "param", Form(has_serials=True))) as index:
        rig.options["master"] = index.url
        yield index


@pytest.fixture
def held(rig: Rig, index: StaticIndex) -> StaticIndex:
    """An index of two projects, which a mirror has."""
    index.add("foo", "foo-1.0.tar.gz")
    index.add("bar", "bar-1.0.tar.gz")
    mirror_it(rig, index)
    return index
