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


ODD_NAMES = [
    " foo 1.0.zip", "-rf.zip", "--help", "~", "#1.zip", ";1.zip", "*.zip", "[a].zip", "$HOME.zip", "`id`.zip",
    "a'b\".zip", "100%25.zip", "a|b&c.zip", "日本-0.3.1.tar.gz", "e\u0301.zip", "no\u00a0break.zip",
]  # fmt: skip
"""What a shell, rsync or tar could take for something else than the name of a file."""


def tree(web: Path) -> dict[Path, str | bytes]:
    """Return the content of each file below a folder, and where each link leads."""
    return {
        path.relative_to(web): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in web.rglob("*")
        if not path.is_dir()
    }


@pytest.mark.parametrize("option", [{}, {"keep_index_versions": "1"}, {"hash-index": "true"}], ids=str)
@pytest.mark.parametrize("tool", ["rsync", "tar"])
def test_a_copy_by_the_lists_is_the_mirror(
    rig: Rig, pypi: FakePyPI, tmp_path: Path, tool: str, option: dict[str, str]
) -> None:
    assert shutil.which(tool), f"{tool} is needed: apt-get install {tool}"
    rig.options |= option
    copy, lists = tmp_path / "copy", tmp_path / "lists"
    copy.mkdir()
    script = recipes()[tool].replace("/var/lib/bandersnatch", str(lists)).replace("/mnt/copy", str(copy))

    def mirror_and_copy() -> None:
        assert rig.run(diff_file=str(lists / "changes"), max_removals="100%").failures == []
        subprocess.run(["bash", "-euo", "pipefail", "-c", script], check=True, cwd=tmp_path)
        copied = copy / rig.web.relative_to("/")
        assert tree(copied) == tree(rig.web)

    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    for number, name in enumerate(ODD_NAMES):
        pypi.add_file("odd", f"{number}.0", kind="sdist", filename=name)
    mirror_and_copy()
    for name in ODD_NAMES[1:]:
        pypi.remove_file("odd", name)
    pypi.remove_project("foo")
    pypi.add_file("bar", "1.1")
    pypi.remove_release("bar", "1.0")
    mirror_and_copy()
    mirror_and_copy()
