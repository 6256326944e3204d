"""The run that takes a tree over says how its filters differ from those of the program that made it; a dry run before."""

import json

import pytest

from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig

LATEST = "[plugins]\nenabled =\n    latest_release\n[latest_release]\nkeep = 1\n"
PLATFORMS = "[plugins]\nenabled =\n    exclude_platform\n[blocklist]\nplatforms = py3\n"
WITHOUT = "[plugins]\nenabled =\n    blocklist_release\n[blocklist]\npackages =\n    foo{}\n"
TOLD = (
    "the filters select other files than the program that made this tree: they drop {} that it has, "
    "and keep {} that it left out; "
)


def leave_tree(rig: Rig, filters: str) -> None:
    """Leave a tree as an older version does, with what the filters keep."""
    rig.filters = filters
    rig.run()
    for path in rig.directory.iterdir():  # what only this program leaves
        if path.is_file():
            path.unlink()


@pytest.fixture
def with_prereleases(rig: Rig, pypi: FakePyPI) -> None:
    """A tree with the newest release of foo, as an older ``latest_release`` chooses it: a pre-release."""
    for version in ("1.0", "2.0a1"):
        pypi.add_file("foo", version)
    pypi.add_file("bar", "1.0")
    leave_tree(rig, WITHOUT.format("==1.0"))
    rig.filters = LATEST


@pytest.mark.usefixtures("in_processes_or_not", "with_prereleases")
def test_the_run_that_takes_a_tree_over_says_it_once(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    assert rig.run(allow_removals=True).failures == []
    (told,) = [message for message in caplog.messages if "select other files" in message]
    assert told.startswith(TOLD.format("1 file of 1 project", "1 file of 1 project"))
    assert "latest_release: by version, pre-releases take only" in told
    assert told.endswith('see "Filters that decide otherwise" in docs/moving-in.md')
    assert [path.name for path in rig.web.rglob("foo-*.whl")] == ["foo-1.0-py3-none-any.whl"]
    caplog.clear()
    pypi.add_file("foo", "2.0")
    rig.run(allow_removals=True)
    assert "select other files" not in caplog.text


@pytest.mark.usefixtures("with_prereleases")
def test_it_is_said_too_where_the_brake_holds_the_removals_back(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    report = rig.run(max_removals="0")
    assert report.withheld is not None
    (told,) = [message for message in caplog.messages if "select other files" in message]
    assert told.startswith(TOLD.format("1 file of 1 project", "0 files of 0 projects"))


@pytest.mark.usefixtures("with_prereleases")
def test_a_dry_run_says_it_before(rig: Rig) -> None:
    words = TOLD.format("1 file of 1 project", "1 file of 1 project")
    assert words in rig.call("mirror", "--dry-run", "--full").stdout
    told = json.loads(rig.call("mirror", "--dry-run", "--full", "--json").stdout)
    assert told["selection"].startswith(words)
    guess = rig.call("mirror", "--dry-run").stdout
    assert "the filters may select other files than the program that made this tree; --full counts the files" in guess
    assert "latest_release: by version" in guess


def test_py3_for_all_of_python_3_is_said(rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture) -> None:
    for version in ("1.0", "2.0"):
        pypi.add_file("foo", version, python_tag="cp36", platform_tag="win_amd64")
        pypi.add_file("foo", version, kind="sdist")
    leave_tree(rig, "")
    rig.filters = PLATFORMS
    caplog.clear()
    rig.run(allow_removals=True)
    (told,) = [message for message in caplog.messages if "select other files" in message]
    assert told.startswith(TOLD.format("2 files of 1 project", "0 files of 0 projects"))
    assert "py3 stands for all of Python 3" in told


def test_c1_for_a_release_candidate_is_said(rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture) -> None:
    for version in ("1.0", "1.1c1", "1.1.dev2", "1.1a"):  # older versions keep the two that their patterns do not match
        pypi.add_file("foo", version)
    leave_tree(rig, WITHOUT.format("==1.1.dev2"))
    rig.filters = "[plugins]\nenabled =\n    prerelease_release\n"
    words = TOLD.format("2 files of 1 project", "0 files of 0 projects")
    assert words in rig.call("mirror", "--dry-run", "--full").stdout
    caplog.clear()
    rig.run(allow_removals=True)
    (told,) = [message for message in caplog.messages if "select other files" in message]
    assert told.startswith(words)
    assert "pre-releases are those of PEP 440" in told


@pytest.mark.parametrize("filters", ["", LATEST, "[plugins]\nenabled =\n    prerelease_release\n"])
def test_where_all_is_as_it_was_nothing_is_said(
    rig: Rig, pypi: FakePyPI, filters: str, caplog: pytest.LogCaptureFixture
) -> None:
    pypi.add_file("foo", "1.0")
    leave_tree(rig, "")
    rig.filters = filters
    assert "the filters select" not in rig.call("mirror", "--dry-run", "--full").stdout
    rig.run()
    assert "select other files" not in caplog.text


def test_a_new_mirror_has_nothing_to_say(rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture) -> None:
    for version in ("1.0", "2.0a1"):
        pypi.add_file("foo", version)
    rig.filters = LATEST
    rig.run()
    assert "select other files" not in caplog.text
