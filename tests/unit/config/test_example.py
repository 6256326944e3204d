"""The example configuration that is written: it asks for a choice, and scripts can edit it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bandersnatch.config.config import Config
from bandersnatch.config.example import warning_of_size, write_example
from tests.support.config_text import EXAMPLE, load
from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig

SET_BY_SCRIPTS = (
    "directory", "json", "release-files", "cleanup", "master", "timeout", "global-timeout", "workers", "hash-index",
    "simple-format", "stop-on-error", "storage-backend", "verifiers", "compare-method",
)  # fmt: skip
"""What stands without a comment sign in the example of 6.x and 7.x."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"


def test_the_example_is_written_with_its_comments(path: Path) -> None:
    write_example(path)
    assert path.read_bytes() == EXAMPLE.read_bytes()


def test_the_example_is_never_written_over_a_file(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        write_example(path)
    assert path.read_text() == "mine"


# Values


def test_the_example_has_the_options_that_scripts_replace_as_lines_of_their_own() -> None:
    live = re.findall(r"^([\w-]+) = .", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(live) == sorted(SET_BY_SCRIPTS)


def test_the_untouched_example_is_refused_with_what_it_would_fetch(rig: Rig) -> None:
    write_example(rig.folder / "bandersnatch.conf")
    for arguments in (["mirror"], ["mirror", "--dry-run"], ["config", "check"]):
        result = rig.call_again(*arguments)
        assert result.returncode == 2
        assert f"{rig.folder}/bandersnatch.conf: this is the example as it was written" in result.stderr
        assert "over 700,000 projects and about 35 TB" in result.stderr


def test_comments_alone_are_no_choice(rig: Rig) -> None:
    path = rig.folder / "bandersnatch.conf"
    path.write_text("\n".join(line for line in EXAMPLE.read_text().splitlines() if not line.startswith(";")))
    assert rig.call_again("mirror").returncode == 2


def test_what_scripts_replace_in_the_written_example_counts(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    path = rig.folder / "bandersnatch.conf"
    assert rig.call_again("mirror").returncode == 1
    rig.directory.mkdir()
    script = [
        f"s|^directory = /srv/pypi$|directory = {rig.directory}|",
        f"s|master = https://pypi.org|master = {pypi.url}|",
        "s/^workers = .*/workers = 2/",
        "s/json = false/json = true/",
        "s/^hash-index = false$/allow-non-https = true/",
    ]
    sed = ["sed", *(word for line in script for word in ("-e", line)), str(path)]
    path.write_bytes(subprocess.run(sed, check=True, capture_output=True).stdout)
    result = rig.call_again("mirror")
    assert result.returncode == 0, result.stderr
    assert "35 TB" not in result.stderr
    assert Config.load(path).workers == 2
    assert (rig.web / "json" / "foo").exists()
    assert len(list((rig.web / "packages").rglob("*.whl"))) == 1


@pytest.mark.parametrize(
    "master", ["", "master = https://pypi.python.org", "master = HTTPS://PyPI.org/", "master = https://pypi.org:443"]
)
def test_a_first_run_of_all_of_pypi_warns_of_its_size(path: Path, master: str) -> None:
    mirror = f"[mirror]\ndirectory = {path.parent}/mirror\n{master}\n"
    warning = warning_of_size(load(path, mirror))
    assert warning is not None
    assert "all of PyPI, over 700,000 projects and about 35 TB" in warning


@pytest.mark.parametrize(
    "more",
    [
        "release-files = false\n",
        "master = https://index.example\n",
        "[plugins]\nenabled =\n",
        "[plugins]\nenabled = prerelease_release\n",
    ],
)
def test_no_warning_of_size_where_something_was_chosen(path: Path, more: str) -> None:
    assert warning_of_size(load(path, f"[mirror]\ndirectory = {path.parent}/mirror\n{more}")) is None


def test_no_warning_of_size_for_a_mirror_that_is_there(path: Path) -> None:
    (path.parent / "mirror" / "web").mkdir(parents=True)
    assert warning_of_size(load(path, f"[mirror]\ndirectory = {path.parent}/mirror\n")) is None


def test_a_configuration_from_a_pipe_is_no_example(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    text = rig.write_config().read_text()
    command = [sys.executable, "-m", "bandersnatch", "-c", "/dev/stdin", "mirror"]
    result = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
