"""The commands that docs/configuration.md gives to copy a mirror by its lists of changes: they end with 0, deletions too."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig

pytestmark = pytest.mark.e2e

_DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"
_RECIPE = re.compile(r"```console\n# copy by (\w+)\n(.*?)```", re.DOTALL)


def recipes() -> dict[str, str]:
    """Return the commands by the tool that they are for."""
    return dict(_RECIPE.findall(_DOCS.read_text()))


@pytest.mark.parametrize("tool", ["rsync", "tar"])
def test_a_copy_by_the_lists_is_the_mirror(rig: Rig, pypi: FakePyPI, tmp_path: Path, tool: str) -> None:
    assert shutil.which(tool), f"{tool} is needed: apt-get install {tool}"
    copy, lists = tmp_path / "copy", tmp_path / "lists"
    copy.mkdir()
    script = recipes()[tool].replace("/var/lib/bandersnatch", str(lists)).replace("/mnt/copy", str(copy))

    def mirror_and_copy() -> None:
        for path in copy.rglob(
            "last-modified"
        ):  # of two that were written in one second, rsync takes the second for the first
            os.utime(path, (0, 0))
        assert rig.run(diff_file=str(lists / "changes")).failures == []
        subprocess.run(["bash", "-euo", "pipefail", "-c", script], check=True, cwd=tmp_path)
        copied = copy / rig.web.relative_to("/")
        files = {path.relative_to(copied): path.read_bytes() for path in copied.rglob("*") if path.is_file()}
        assert files == {path.relative_to(rig.web): path.read_bytes() for path in rig.web.rglob("*") if path.is_file()}

    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    mirror_and_copy()
    pypi.remove_project("foo")
    pypi.add_file("bar", "1.1")
    pypi.remove_release("bar", "1.0")
    mirror_and_copy()
    mirror_and_copy()
