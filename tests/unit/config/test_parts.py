"""One configuration for each index of a mirror."""

from pathlib import Path

import pytest

from bandersnatch.config.parts import parts_of
from tests.support.builders import named
from tests.support.config_text import load

MIRROR = "[mirror]\ndirectory = /srv/pypi\n"
TORCH = "[upstream pytorch]\nmaster = https://a.example/whl/cu126\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"


def test_a_mirror_of_one_index_has_one_part_which_is_its_configuration(path: Path) -> None:
    config = load(path, MIRROR)
    (part,) = parts_of(config)
    assert (part.name, part.config, part.section) == (None, config, "[mirror]")


def test_each_part_keeps_its_own_projects_alone(path: Path) -> None:
    text = f"{TORCH}projects = torch*\n[upstream b]\nmaster = https://b.example\nprefix = b\n"
    config = load(path, f"{MIRROR}root_uri = https://m.example\n{text}")
    torch, beside, main = parts_of(config)
    assert [each.name for each in (torch, beside, main)] == ["pytorch", "b", None]
    keeps = [
        [part.config.filters.keeps_project(named(name), name) for name in ("torch", "numpy")]
        for part in (torch, beside, main)
    ]
    assert keeps == [[True, False], [True, True], [False, True]]
    assert torch.config.http.upstream_url == "https://a.example/whl/cu126"
    assert (beside.prefix, beside.config.pages.root_uri) == ("b", "https://m.example/b")
    assert main.config.pages.root_uri == "https://m.example"
    folders = [part.config.directory for part in (torch, beside, main)]
    assert folders == [Path("/srv/pypi/upstreams/pytorch"), Path("/srv/pypi/upstreams/b"), Path("/srv/pypi")]


def test_the_fingerprint_of_a_part_tells_whose_projects_have_changed(path: Path) -> None:
    def fingerprints(text: str) -> list[str]:
        return [part.config.fingerprint for part in parts_of(load(path, f"{MIRROR}{text}"))]

    alone, before = fingerprints(""), fingerprints(f"{TORCH}projects = torch*\n")
    after = fingerprints(f"{TORCH}projects = torch*, jax\n")
    assert before[-1] != alone[0]
    assert [one != other for one, other in zip(before, after, strict=True)] == [True, True]
    assert fingerprints(f"{TORCH}prefix = x\n")[-1] == alone[0]


def test_each_part_lists_what_it_changes_in_a_file_of_its_own(path: Path, tmp_path: Path) -> None:
    for diff_file, others in ((tmp_path / "list", "list"), (tmp_path, "mirrored-files")):
        config = load(path, f"{MIRROR}diff-file = {diff_file}\n{TORCH}prefix = whl\n")
        beside, main = (part.config.disk.diff_file for part in parts_of(config))
        assert (beside, main) == (tmp_path / f"{others}.upstream-pytorch", diff_file)
