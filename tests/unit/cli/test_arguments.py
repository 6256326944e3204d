"""What may be typed: options, words that are misspelt, the help and the version."""

import platform
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from bandersnatch import __version__
from bandersnatch.cli.about import LIBRARIES
from tests.support.command_line import bandersnatch, call
from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig

REPOSITORY = Path(__file__).parents[3]


def test_help_tells_the_exit_status() -> None:
    result = bandersnatch("--help")
    assert result.returncode == 0
    for status in ("0 ", "1 ", "2 ", "3 ", "4 ", "130 "):
        assert f"\n  {status}" in result.stdout
    assert "143" in result.stdout


@pytest.mark.parametrize("command", ["mirror", "sync", "verify", "delete", "config"])
def test_help_of_a_command_ends_in_its_own_statuses(command: str) -> None:
    statuses = call(command, "--help").stdout.partition("exit status:\n")[2]
    has = {int(number) for number in re.findall(r"^  (\d+)  ", statuses, re.MULTILINE)}
    assert statuses.endswith("  130  interrupted (Ctrl-C); 143: terminated\n")
    assert (6 in has) == (command == "verify")
    assert (5 in has) == (command in ("mirror", "sync", "verify"))
    assert (1 in has) == (command != "config")


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", "FILE", "config", "check"),
        ("config", "-c", "FILE", "check"),
        ("config", "check", "-c", "FILE"),
        ("config", "check", "--config=FILE"),
        ("config", "check", "--config-file=FILE"),
        ("--config-file", "FILE", "config", "check"),
        ("--conf", "FILE", "config", "check"),
        ("-c", "/nowhere", "config", "check", "--conf=FILE"),
    ],
    ids=" ".join,
)
def test_configuration_file_may_be_named_anywhere_and_by_the_names_of_other_versions(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    path = tmp_path / "some.conf"
    path.write_text("[mirror]\ndirectory = no/absolute/path\n")
    result = call(*(argument.replace("FILE", str(path)) for argument in arguments))
    assert result.returncode == 2
    assert f"{path}: line 2: [mirror] directory = no/absolute/path" in result.stderr


def test_options_of_all_commands_may_stand_behind_the_command(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    path = str(rig.write_config())
    loud, quiet = bandersnatch("mirror", "-c", path), bandersnatch("mirror", "--quiet", "-c", path)
    assert (loud.returncode, quiet.returncode) == (0, 0)
    assert "INFO" in loud.stderr
    assert quiet.stderr == ""
    assert bandersnatch("--debug", "mirror", "--quiet", "-c", path).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("verify", "--json-update"), "--json-update: not needed: the JSON is always compared, if json = true"),
        (("delete", "--workers", "4", "--yes", "foo"), "--workers: not needed: nothing is asked of upstream"),
    ],
    ids=lambda value: value[0],
)
def test_options_of_other_versions_are_accepted_with_a_line_why_they_are_not_needed(
    rig: Rig, pypi: FakePyPI, arguments: tuple[str, ...], line: str
) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    result = rig.call(*arguments)
    assert result.returncode == 0, result.stderr
    assert [each for each in result.stderr.splitlines() if line in each]


def test_version() -> None:
    shown = bandersnatch("--version").stdout.splitlines()
    assert shown[0] == f"bandersnatch {__version__}"
    assert shown[1].startswith(f"{platform.python_implementation()} {platform.python_version()} on ")
    assert shown[2:] == [f"{name} {version(name)}" for name in sorted(LIBRARIES)]


def test_version_tells_of_each_library_that_is_needed() -> None:
    text = (REPOSITORY / "requirements.txt").read_text("utf-8")
    assert re.findall(r"^[A-Za-z0-9_-]+", text, re.MULTILINE) == list(LIBRARIES)


def test_without_arguments_there_is_the_help() -> None:
    result = bandersnatch()
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == bandersnatch("--help").stdout


@pytest.mark.parametrize("arguments", [("--debug",), ("miror",), ("--debug", "--quiet", "mirror")])
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert result.returncode == 2
    assert "usage: bandersnatch" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("miror",), "mirror"),
        (("config", "chek"), "check"),
        (("mirror", "--forcecheck"), "--force-check"),
        (("mirror", "--alow-removals"), "--allow-removals"),
        (("verify", "--buget=2h"), "--budget"),
    ],
)
def test_a_misspelt_word_of_the_command_line_gets_a_suggestion(arguments: tuple[str, ...], meant: str) -> None:
    result = call(*arguments)
    assert result.returncode == 2
    assert result.stderr.endswith(f' (did you mean "{meant}"?)\n')


def test_a_word_that_is_like_none_gets_no_suggestion() -> None:
    assert "did you mean" not in bandersnatch("frobnicate").stderr
