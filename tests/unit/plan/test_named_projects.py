"""A few projects that an allowlist names are asked for one by one, and the mirror is what the list of all makes of it."""

import pytest

from bandersnatch.plan import named_projects
from tests.support.fakepypi import FakePyPI, Status
from tests.support.rig import Rig

LIST = "list_packages_with_serial"


@pytest.fixture
def named(rig: Rig, pypi: FakePyPI) -> Rig:
    for name in ("Foo.Bar", "other", "left-out"):
        pypi.add_file(name, "1.0")
    rig.filters = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages = foo-bar\n  other\n  no-such\n"
    return rig


def test_a_first_run_asks_for_no_list_of_all_projects(named: Rig, pypi: FakePyPI) -> None:
    report = named.run()
    assert LIST not in pypi.rpc_calls()
    assert (report.updated, report.failures, report.serial) == (2, [], pypi.serial)
    by_name = named.tree()
    assert b'"Foo.Bar"' in by_name["simple/index.v1_json"]
    named.resync()
    named.run()
    assert LIST not in pypi.rpc_calls()
    assert named.tree() == by_name


def test_a_long_allowlist_goes_by_the_list(named: Rig, pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch) -> None:
    named.run()
    by_name = named.tree()
    monkeypatch.setattr(named_projects, "MOST_NAMES", 2)
    named.resync()
    named.run()
    assert LIST in pypi.rpc_calls()
    assert named.tree() == by_name


def test_a_page_from_an_old_cache_is_not_taken(named: Rig, pypi: FakePyPI) -> None:
    pypi.freeze_page("foo-bar")
    pypi.add_file("foo-bar", "2.0")
    report = named.run()
    assert [failure.project for failure in (*report.late, *report.failures)] == ["foo-bar"]
    pypi.thaw_page("foo-bar")
    named.run()
    assert b"2.0" in named.tree()["simple/foo-bar/index.html"]


@pytest.mark.parametrize("trouble", ["error", "no JSON", "nothing"])
def test_what_the_projects_can_not_tell_the_list_does(named: Rig, pypi: FakePyPI, trouble: str) -> None:
    match trouble:
        case "error":
            pypi.fault("/pypi/other/json", Status(403), times=None)
        case "no JSON":
            pypi.fault("/pypi/other/json", Status(404), times=None)
        case _:
            pypi.fault("/pypi/*", Status(404), times=None)
    report = named.run()
    assert LIST in pypi.rpc_calls()
    assert (report.updated, report.failures) == (2, [])
    assert b'"Foo.Bar"' in named.tree()["simple/index.v1_json"]


def test_what_an_allowlist_no_longer_names_goes(named: Rig, pypi: FakePyPI) -> None:
    named.run()
    named.filters = named.filters.replace("  other\n", "  left-out\n")
    named.run(allow_removals=True)
    assert LIST not in pypi.rpc_calls()
    assert {path.split("/")[1] for path in named.tree() if path.count("/") == 2} >= {"foo-bar", "left-out"}
    assert "simple/other/index.html" not in named.tree()


def test_a_project_that_was_removed_lately_is_missing(
    named: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    pypi.remove_project("other")
    report = named.run()
    assert (report.updated, report.failures) == (1, [])
    assert "these projects of the allowlist: no-such, other" in caplog.text
