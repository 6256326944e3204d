"""What all tests share: a fake PyPI on loopback, and a mirror of it in a temporary directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakepypi import FakePyPI
from tests.rig import Rig


@pytest.fixture
def pypi() -> Iterator[FakePyPI]:
    with FakePyPI() as fake:
        yield fake


@pytest.fixture
def rig(pypi: FakePyPI, tmp_path: Path) -> Rig:
    return Rig(pypi, tmp_path)
