"""The tree of another program becomes one of several indexes: all of it is taken over at once, each project by its owner."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.fakepypi import FakePyPI
from tests.support.old_trees import (
    Left,
    as_bandersnatch_2,
    as_bandersnatch_5,
    as_shadowmire,
    tell_story,
)
from tests.support.rig import Rig
from tests.support.static_index import HTML, Form, StaticIndex, static_index

Writes = Callable[[Path, FakePyPI], Left]
TREES: list[Writes] = [as_bandersnatch_2, as_bandersnatch_5, as_shadowmire]
OWN_INDEX = "[upstream internal]\nmaster = {url}\nallow-non-https = true\nprojects = zeta-tools, inside*\n"
SERIAL = re.compile(rb'"_last-serial":\d+,|<!--SERIAL \d+-->')


@pytest.fixture
def index(rig: Rig, pypi: FakePyPI) -> Iterator[StaticIndex]:
    """An index that owns a project, of which the old tree has PyPI's files, and another one."""
    tell_story(pypi)
    assert rig.call("mirror").returncode == 0
    rig.options["json"] = "true"
    with static_index(Form(root=HTML, pages=HTML)) as index:
        index.add("zeta-tools", "zeta_tools-9.0.tar.gz")
        index.add("inside", "inside-1.0.tar.gz")
        yield index


def fresh(rig: Rig, folder: Path) -> Rig:
    """Return a new mirror with the same configuration, after its first run."""
    folder.mkdir()
    other = Rig(rig.pypi, folder)
    other.options |= rig.options
    other.filters = rig.filters
    assert other.call("mirror").returncode == 0
    return other


def published(rig: Rig) -> dict[str, bytes]:
    """Return all pages and files, without the serials that count what has happened here."""
    of_both = ("simple/index.", "simple/inside/", "simple/zeta-tools/")
    found = {path: data for path, data in rig.tree().items() if path.startswith(("simple/", "packages/"))}
    return {path: SERIAL.sub(b"", data) if path.startswith(of_both) else data for path, data in found.items()}


@pytest.mark.parametrize("write", TREES)
def test_it_becomes_what_a_fresh_mirror_of_both_is(
    rig: Rig, pypi: FakePyPI, index: StaticIndex, write: Writes, tmp_path: Path
) -> None:
    write(rig.directory, pypi)
    rig.filters = OWN_INDEX.format(url=index.url)
    pypi.clear_requests()
    before = rig.stamps()
    planned = rig.call("mirror", "--dry-run", "--json", "--full", "--upstream", "internal", max_removals="10%")
    told = json.loads(planned.stdout)
    rig.assert_same_tree(before)
    result = rig.call_again("mirror")
    assert {each["project"]: each["remove"]["files"] for each in told["update"]} == {"inside": 0, "zeta-tools": 1}
    assert f"serial {told['serial']}" in result.stderr
    assert result.returncode == 5
    assert "from others 1 of 2 files" in result.stderr
    assert result.stderr.count("it is taken over") == 1
    assert "taken over: 4 projects, whose pages list 6 files" in result.stderr
    result = rig.call_again("mirror", "--allow-removals")
    assert result.returncode == 0
    assert pypi.file_requests() == pypi.metadata_requests() == []
    assert not any("zeta" in request.path for request in pypi.requests)
    assert published(rig) == published(fresh(rig, tmp_path / "fresh"))
    root = json.loads((rig.web / "simple/index.v1_json").read_bytes())
    assert [project["name"] for project in root["projects"]] == ["Foo.Bar", "inside", "old-timer", "z", "zeta-tools"]
    result = rig.call_again("mirror")
    assert (result.returncode, "WARNING" in result.stderr) == (0, False)
    assert rig.call_again("verify", "--delete").returncode == 0
