"""A mirror that another bandersnatch has written is taken over, with the configuration file that wrote it."""

from pathlib import Path

import pytest

from tests.e2e.old_clients import VERSIONS, OldClient
from tests.fakepypi import FakePyPI

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("version", VERSIONS)
def test_old_client_writes_a_mirror_of_the_fake_index(
    pypi: FakePyPI, tmp_path: Path, old_clients: dict[str, OldClient], version: str
) -> None:
    file = pypi.add_file("Foo.Bar", "1.0")
    directory = old_clients[version].mirror(tmp_path, pypi.url)
    assert (directory / "status").read_text() == str(pypi.serial)
    assert (directory / "web" / file.url_path.lstrip("/")).is_file()
    assert (directory / "web" / "simple" / "foo-bar" / "index.v1_json").is_file()
