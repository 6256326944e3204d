"""``config check``: all problems, or what is in force."""

from pathlib import Path

import pytest

from bandersnatch.config.config import Config
from bandersnatch.config.option_table import MIRROR_OPTIONS
from bandersnatch.config.show import effective_lines
from bandersnatch.inifile.masking import masked
from tests.support.command_line import call
from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig


def test_right_configuration_is_status_0(rig: Rig) -> None:
    result = rig.command("config", "check")
    assert result.returncode == 0
    assert result.stdout.endswith(f"no problems; the mirror is {rig.directory}, of {rig.pypi.url}\n")
    assert not any(rig.directory.iterdir())
    assert rig.pypi.requests == []


def test_all_problems_are_told(rig: Rig) -> None:
    result = rig.call("config", "check", "--show", workers="ten", wokers="3", timeout="-1")
    assert result.returncode == 2
    assert result.stdout == ""
    for name in ("workers = ten", "wokers = 3", "timeout = -1"):
        assert f"[mirror] {name}:" in result.stderr


def test_missing_file_is_an_error_and_nothing_is_written(rig: Rig) -> None:
    path = rig.write_config()
    path.unlink()
    for arguments in (["config", "check"], ["sync", "foo"], ["verify"], ["delete", "--yes", "foo"]):
        result = call("-c", str(path), *arguments)
        assert result.returncode == 2
        assert f"{path}: there is no such file; bandersnatch mirror writes an example there" in result.stderr
        assert not path.exists()


def test_shown_values_are_the_ones_in_force(rig: Rig, tmp_path: Path) -> None:
    result = rig.call("config", "check", "--show", workers="7", json="yes")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "[mirror]"
    assert "workers = 7" in lines
    assert "json = yes" in lines
    assert "; hash-index = false" in lines
    names = [line.removeprefix("; ").partition(" =")[0] for line in lines[1:]]
    assert names == [option.name for option in MIRROR_OPTIONS]
    again = tmp_path / "again.conf"
    again.write_text(result.stdout.replace("; ", ""))
    assert Config.load(again) == Config.load(rig.folder / "bandersnatch.conf")


def test_option_in_another_spelling_is_shown_in_ours(rig: Rig) -> None:
    result = rig.call("config", "check", "--show", **{"keep-index-versions": "3"})
    assert "keep_index_versions = 3" in result.stdout.splitlines()


def test_credentials_are_not_shown(rig: Rig) -> None:
    url = rig.pypi.url.replace("http://", "http://user:secret@")
    result = rig.call("config", "check", "--show", master=url, proxy="http://me:pass@proxy.example.org:3128")
    assert result.returncode == 0
    assert "secret" not in result.stdout
    assert "pass" not in result.stdout
    assert f"master = {rig.pypi.url.replace('http://', 'http://***@')}" in result.stdout.splitlines()
    assert "proxy = http://***@proxy.example.org:3128" in result.stdout.splitlines()
    assert "secret" not in rig.call("config", "check", master=url).stdout


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("aws_secret_access_key", "abc", "***"),
        ("password", "p@ss", "***"),
        ("master", "https://u:p@example.org/x@y", "https://***@example.org/x@y"),
        ("master", "https://user@example.org", "https://***@example.org"),
        ("master", "https://u:p@ss@example.org", "https://***@example.org"),
        ("packages", "\nfoo\nbar[x]>=1", "\nfoo\nbar[x]>=1"),
        ("directory", "/srv/pypi", "/srv/pypi"),
    ],
)
def test_masking(name: str, value: str, shown: str) -> None:
    assert masked(name, value) == shown


def test_other_sections_are_shown_as_they_are(rig: Rig) -> None:
    path = rig.write_config()
    path.write_text(path.read_text() + "\n[elsewhere]\nlist =\n    one\n    two\n")
    assert list(effective_lines(path))[-2:] == ["\n[elsewhere]", "list =\n    one\n    two"]


# config explain


def test_filters_are_explained(rig: Rig, pypi: FakePyPI) -> None:
    for version in ("1.0", "2.0"):
        pypi.add_file("Sample", version)
    rig.filters = "[plugins]\nenabled =\n    latest_release\n    blocklist_project\n"
    rig.filters += "[latest_release]\nkeep = 1\n[blocklist]\npackages = other\n"
    result = rig.call("config", "explain", "SAMPLE", "sample==1.0")
    assert (result.returncode, result.stderr) == (0, "")
    project = [
        "sample: kept",
        "    blocklist_project keeps it: [blocklist] packages does not name sample",
    ]
    releases = [
        "sample==1.0: dropped",
        "    latest_release drops it: 1.0 is not among the 1 latest by version",
        "sample==2.0: kept",
        "    latest_release keeps it: 2.0 is among the 1 latest by version",
    ]
    lines = result.stdout.splitlines()
    assert lines[:6] == [*project, *releases]
    assert lines[6:10] == [*project, *releases[:2]]
    assert not any(rig.directory.iterdir())


@pytest.mark.parametrize(("target", "words"), [("-", "expected NAME"), ("nothing", "has no project nothing")])
def test_what_is_not_there_cannot_be_explained(rig: Rig, target: str, words: str) -> None:
    result = rig.call("config", "explain", "--", target)
    assert result.returncode == 2
    assert words in result.stderr
