"""Runs with filters: what is asked of upstream, what comes, and what goes when they change."""

import pytest

from tests.fakepypi import FakePyPI, Status
from tests.mirror_check import assert_mirror_matches
from tests.rig import Rig


def listed(option: str, *entries: str, section: str = "allowlist", plugin: str = "allowlist_project") -> str:
    """Return the sections that enable one filter, with a list for it."""
    lines = "".join(f"\n    {entry}" for entry in entries)
    return f"[plugins]\nenabled =\n    {plugin}\n[{section}]\n{option} ={lines}\n"


def only(*names: str) -> str:
    return listed("packages", *names)


def without(*names: str) -> str:
    return listed("packages", *names, section="blocklist", plugin="blocklist_project")


def projects(rig: Rig) -> set[str]:
    return {path.name for path in (rig.web / "simple").iterdir() if path.is_dir()}


@pytest.fixture
def four(pypi: FakePyPI) -> FakePyPI:
    """An index of four projects with a file each."""
    for name in ("Alpha", "beta", "gamma", "delta"):
        pypi.add_file(name, "1.0")
    return pypi


# By name


def test_only_the_projects_of_the_allowlist_are_asked_for(rig: Rig, four: FakePyPI) -> None:
    rig.filters = only("ALPHA", "delta>=2.0  # whatever its versions", "unknown")
    report = rig.run()
    assert (report.updated, report.failures) == (2, [])
    assert {request.path for request in four.page_requests()} == {"/simple/alpha/", "/simple/delta/"}
    assert len(four.file_requests()) == 2
    assert_mirror_matches(four, rig.directory, projects={"alpha", "delta"})


def test_the_projects_of_the_blocklist_are_not_asked_for(rig: Rig, four: FakePyPI) -> None:
    rig.filters = without("alpha", "beta>=1.0", "gamma[extra]")
    rig.run()
    assert_mirror_matches(four, rig.directory, projects={"beta", "gamma", "delta"})


def test_a_pattern_sees_the_displayed_name(rig: Rig, four: FakePyPI) -> None:
    rig.filters = listed("packages", "Al", "BE", "mma", section="filter_regex", plugin="regex_project")
    rig.run()
    assert_mirror_matches(four, rig.directory, projects={"beta", "gamma", "delta"})


def test_filters_are_all_asked(rig: Rig, four: FakePyPI) -> None:
    rig.filters = (
        "[plugins]\nenabled =\n    all\n[allowlist]\npackages =\n    alpha\n    beta\n    gamma\n"
        "[blocklist]\npackages = beta\n[filter_regex]\npackages = gam\n"
    )
    rig.run()
    assert_mirror_matches(four, rig.directory, projects={"alpha"})


def test_changes_of_what_is_dropped_cost_one_request(rig: Rig, four: FakePyPI) -> None:
    rig.filters = only("alpha")
    rig.run()
    four.clear_requests()
    four.add_file("beta", "2.0")
    four.create_project("new")
    report = rig.run()
    assert (report.updated, len(four.requests)) == (0, 1)
    assert_mirror_matches(four, rig.directory, projects={"alpha"})


def test_a_run_with_nothing_new_is_one_request(rig: Rig, four: FakePyPI) -> None:
    rig.filters = only("alpha")
    rig.run()
    four.clear_requests()
    rig.run()
    assert len(four.requests) == 1


def test_the_order_of_a_list_is_no_change(rig: Rig, four: FakePyPI) -> None:
    rig.filters = only("alpha", "beta")
    rig.run()
    four.clear_requests()
    rig.filters = "# another order\n" + only("Beta", "beta", "alpha == 1.0")
    rig.run()
    assert len(four.requests) == 1


# Changes of filters


def test_what_a_new_filter_drops_is_removed(rig: Rig, four: FakePyPI, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    rig.run()
    four.clear_requests()
    rig.filters = only("alpha")
    report = rig.run()
    assert report.removed == 3
    assert {request.path for request in four.page_requests()} == {"/simple/alpha/"}
    assert_mirror_matches(four, rig.directory, projects={"alpha"})
    assert (
        "beta: removed, as the configuration says: allowlist_project drops it: [allowlist] packages does not name beta"
        in caplog.text
    )


def test_what_a_filter_no_longer_drops_is_added(rig: Rig, four: FakePyPI) -> None:
    rig.filters = only("alpha")
    rig.run()
    four.clear_requests()
    rig.filters = without("beta")
    rig.run()
    assert len(four.file_requests()) == 2
    assert_mirror_matches(four, rig.directory, projects={"alpha", "gamma", "delta"})
    rig.filters = ""
    rig.run()
    rig.assert_matches()


def test_removals_because_of_a_filter_are_under_the_brake(rig: Rig, four: FakePyPI) -> None:
    rig.run()
    before = rig.tree()
    rig.filters = only("alpha")
    report = rig.run(max_removals="2")
    assert report.withheld is not None
    assert (rig.directory / "removals").read_text() == "project beta\nproject delta\nproject gamma\n"
    assert rig.tree().keys() == before.keys()
    four.clear_requests()
    assert rig.run(max_removals="2").withheld is not None
    assert four.page_requests() == []
    assert rig.run(max_removals="2", allow_removals=True).removed == 3
    assert_mirror_matches(four, rig.directory, projects={"alpha"})


def test_withheld_removals_are_forgotten_when_the_filter_goes(rig: Rig, four: FakePyPI) -> None:
    rig.run()
    rig.filters = only("alpha")
    rig.run(max_removals="2")
    rig.filters = ""
    assert rig.run(max_removals="2").withheld is None
    rig.assert_matches()


@pytest.mark.parametrize("deleted", ["keep", "hide"])
def test_what_a_filter_drops_goes_whatever_becomes_of_what_upstream_deletes(
    rig: Rig, four: FakePyPI, deleted: str
) -> None:
    rig.run(deleted=deleted)
    rig.filters = only("alpha")
    assert rig.run(deleted=deleted).removed == 3
    assert_mirror_matches(four, rig.directory, projects={"alpha"})


def test_files_of_a_project_that_was_never_finished_go_too(rig: Rig, four: FakePyPI) -> None:
    four.add_file("beta", "2.0")
    second = four.files("beta")[1]
    four.fault(second.url_path, *[_not_there()], times=None)
    assert [failure.project for failure in rig.run().failures] == ["beta"]
    assert (rig.web / four.files("beta")[0].url_path.lstrip("/")).exists()
    rig.filters = without("beta")
    rig.run()
    assert_mirror_matches(four, rig.directory, projects={"alpha", "gamma", "delta"})


def test_a_dropped_project_that_upstream_removes_is_no_error(rig: Rig, four: FakePyPI) -> None:
    rig.run()
    four.remove_project("beta")
    rig.filters = without("beta")
    assert rig.run().failures == []
    assert projects(rig) == {"alpha", "gamma", "delta"}
    four.remove_project("alpha")
    assert rig.run().removed == 1


def _not_there() -> Status:
    return Status(500)
