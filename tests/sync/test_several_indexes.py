"""A mirror of several indexes: whose each project is, and that none touches what is of another."""

from collections.abc import Iterator

import pytest

from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig
from tests.support.static_index import HTML, Form, StaticIndex, static_index

TORCH = "torch-2.7.0+cu126-cp311-cp311-linux_x86_64.whl"


@pytest.fixture
def index(rig: Rig) -> Iterator[StaticIndex]:
    """An index like PyTorch's, beside the fake PyPI."""
    with static_index(Form(root=HTML, pages=HTML)) as index:
        yield index


def section(index: StaticIndex, *lines: str, name: str = "torch") -> str:
    return "\n".join([f"[upstream {name}]", f"master = {index.url}", "allow-non-https = true", *lines, ""])


def test_a_project_is_explained_by_the_index_that_owns_it(rig: Rig, pypi: FakePyPI, index: StaticIndex) -> None:
    pypi.add_file("torch", "2.7.0")
    pypi.add_file("numpy", "1.0")
    index.add("torch", TORCH)
    index.add("numpy", "numpy-9.tar.gz")
    rig.filters = section(index, "projects = torch*")
    told = rig.call("config", "explain", "torch").stdout
    assert f"torch: of [upstream torch], {index.url}\n" in told
    assert f"    refused if it comes from [mirror], {pypi.url}\n" in told
    assert "torch==2.7.0+cu126: kept" in told
    assert "torch==2.7.0:" not in told
    told = rig.call_again("config", "explain", "numpy").stdout
    assert f"numpy: of [mirror], {pypi.url}\n" in told
    assert "numpy==1.0: kept" in told
    assert "numpy==9" not in told


@pytest.mark.parametrize("command", [["mirror"], ["mirror", "--dry-run"], ["sync", "a"], ["verify"], ["delete", "a"]])
def test_no_command_follows_the_first_of_several_indexes_alone(
    rig: Rig, index: StaticIndex, command: list[str]
) -> None:
    rig.filters = section(index, "projects = torch*")
    result = rig.call(*command)
    assert result.returncode == 2
    assert "[upstream torch]: this command can't follow several indexes yet" in result.stderr
    assert not rig.pypi.requests
    assert not index.requests
    assert not (rig.directory / "web").exists()
