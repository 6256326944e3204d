"""Names on an allowlist that upstream does not have are told in one warning, by whatever looks at the whole list."""

import pytest

from tests.support.fakepypi import FakePyPI, Status
from tests.support.rig import Rig

pytestmark = pytest.mark.usefixtures("way")

WARNING = "upstream does not have these projects of the allowlist: mispelt, no-such"


@pytest.fixture
def misspelt(rig: Rig, pypi: FakePyPI) -> Rig:
    """A mirror of some projects, two of which upstream does not have, and which blocks one that it does not have either."""
    pypi.add_file("Foo.Bar", "1.0")
    pypi.add_file("other", "1.0")
    rig.filters = (
        "[plugins]\nenabled = allowlist_project\n  blocklist_project\n"
        "[allowlist]\npackages = foo-bar\n  No_Such>=1.0\n  mispelt\n  blocked\n[blocklist]\npackages = blocked\n"
    )
    return rig


def test_a_full_run_warns_once_of_names_that_upstream_does_not_have(
    misspelt: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    misspelt.run()
    pypi.add_file("foo-bar", "1.1")
    misspelt.run()
    told = [record.getMessage() for record in caplog.records if "allowlist" in record.getMessage()]
    assert told == [WARNING]


def test_a_later_run_warns_when_the_allowlist_has_changed(misspelt: Rig, caplog: pytest.LogCaptureFixture) -> None:
    misspelt.run()
    caplog.clear()
    misspelt.filters = misspelt.filters.replace("  mispelt\n", "  other\n")
    misspelt.run()
    assert "upstream does not have these projects of the allowlist: no-such" in caplog.text


@pytest.mark.parametrize("command", [("mirror", "--dry-run"), ("config", "check", "--online")])
def test_what_looks_ahead_warns_too(misspelt: Rig, command: tuple[str, ...]) -> None:
    result = misspelt.call(*command)
    assert result.returncode == 0
    assert result.stderr.count("projects of the allowlist") == 1
    assert WARNING in result.stderr
    assert not any(misspelt.directory.iterdir())


@pytest.mark.parametrize("command", [("mirror", "--dry-run"), ("config", "check", "--online")])
def test_where_upstream_has_them_all_nothing_is_told(misspelt: Rig, command: tuple[str, ...]) -> None:
    misspelt.filters = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages = foo-bar\n"
    assert "allowlist" not in misspelt.call(*command).stderr


def test_a_check_without_online_asks_nothing(misspelt: Rig, pypi: FakePyPI) -> None:
    assert misspelt.call("config", "check").returncode == 0
    assert pypi.requests == []


def test_a_check_of_names_that_gets_no_list_is_status_4(misspelt: Rig, pypi: FakePyPI) -> None:
    pypi.fault("rpc:*", Status(404), times=None)
    pypi.fault("/simple/", Status(404), times=None)
    misspelt.filters = misspelt.filters.replace("foo-bar", "foo-baz")
    result = misspelt.call("config", "check", "--online")
    assert result.returncode == 4
    assert f"{pypi.url}/simple/: not found" in result.stderr.splitlines()[-1]


LISTS = {
    "releases": "[plugins]\nenabled = allowlist_release\n[allowlist]\npackages = foo-bar==1.0\n  No_Such>=1.0\n  mispelt\n",
    "requirements": "[plugins]\nenabled = project_requirements\n[allowlist]\nrequirements = {}\n",
    "pinned": "[plugins]\nenabled = project_requirements_pinned\n[allowlist]\nrequirements = {}\n",
}


@pytest.mark.parametrize("command", [("mirror",), ("mirror", "--dry-run"), ("config", "check", "--online")])
@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
def test_names_of_every_list_of_what_to_keep_are_looked_for(misspelt: Rig, text: str, command: tuple[str, ...]) -> None:
    requirements = misspelt.folder / "requirements.txt"
    requirements.write_text("foo-bar==1.0\nNo_Such>=1.0\nmispelt\n")
    misspelt.filters = text.format(requirements)
    result = misspelt.call(*command)
    assert result.returncode == 0
    assert result.stderr.count("projects of the allowlist") == 1
    assert f"{WARNING}\n" in result.stderr


def test_names_of_a_list_of_releases_that_are_not_to_be_mirrored_are_not_looked_for(misspelt: Rig) -> None:
    misspelt.filters = misspelt.filters.replace("enabled =", "enabled = allowlist_release\n ")
    assert WARNING in misspelt.call("mirror").stderr


def test_a_held_project_that_is_quarantined_is_not_missing(
    misspelt: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    misspelt.run()
    pypi.quarantine_project("foo-bar")
    misspelt.run()
    caplog.clear()
    misspelt.resync()
    misspelt.run()
    assert WARNING in caplog.text
    assert "foo-bar" not in "".join(
        record.getMessage() for record in caplog.records if "allowlist" in record.getMessage()
    )
