"""Runs with filters: what is asked of upstream, what comes, and what goes when they change."""

import json

import pytest

from tests.support.fakepypi import Body, FakePyPI, Status
from tests.support.mirror_check import assert_mirror_matches
from tests.support.rig import Rig

pytestmark = pytest.mark.usefixtures("in_processes_or_not")


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
    asked = {request.path for request in four.page_requests()}
    assert asked == {"/simple/alpha/", "/simple/delta/", "/simple/unknown/"}  # the last one to know that there is none
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


def test_changes_of_what_is_dropped_cost_two_requests(rig: Rig, four: FakePyPI) -> None:
    rig.filters = only("alpha")
    rig.run()
    four.clear_requests()
    four.add_file("beta", "2.0")
    four.create_project("new")
    report = rig.run()
    assert (report.updated, four.rpc_calls()) == (0, ["changelog_since_serial", "changelog_last_serial"])
    assert len(four.requests) == 2
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
    report = rig.run(allow_removals=True)
    assert report.removed == 3
    assert [(request.path, request.status) for request in four.page_requests()] == [("/simple/alpha/", 304)]
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


def test_pages_that_are_held_are_not_fetched_again_for_a_change_of_lists(rig: Rig, four: FakePyPI) -> None:
    shared = "[latest_release]\nkeep = 1\n"
    rig.filters = only("alpha", "beta").replace("enabled =", "enabled =\n    latest_release") + shared
    rig.run()
    four.clear_requests()
    rig.filters = only("alpha", "gamma").replace("enabled =", "enabled =\n    latest_release") + shared
    rig.run()
    assert {(request.path, request.status) for request in four.page_requests()} == {
        ("/simple/alpha/", 304),
        ("/simple/gamma/", 200),
    }
    assert_mirror_matches(four, rig.directory, projects={"alpha", "gamma"})


def test_pages_that_are_held_are_fetched_again_for_another_choice_of_files(rig: Rig, four: FakePyPI) -> None:
    rig.filters = only("alpha")
    rig.run()
    four.clear_requests()
    rig.filters = only("alpha").replace("enabled =", "enabled =\n    prerelease_release")
    rig.run()
    assert [(request.path, request.status) for request in four.page_requests()] == [("/simple/alpha/", 200)]


def test_a_change_of_files_that_was_not_finished_is_not_forgotten_by_a_change_of_lists(
    rig: Rig, four: FakePyPI
) -> None:
    four.add_file("alpha", "1.1rc1")
    rig.filters = only("alpha", "beta")
    rig.run()
    four.fault("/simple/alpha/", Status(404), times=None)
    rig.filters = only("alpha", "beta").replace("enabled =", "enabled =\n    prerelease_release")
    assert [failure.project for failure in rig.run().failures] == ["alpha"]
    four.clear_faults()
    assert "1.1rc1" in (rig.web / "simple/alpha/index.html").read_text()
    rig.filters = only("alpha").replace("enabled =", "enabled =\n    prerelease_release")
    rig.run()
    assert "1.1rc1" not in (rig.web / "simple/alpha/index.html").read_text()
    assert projects(rig) == {"alpha"}


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


def test_a_changed_filter_that_drops_more_than_the_percentage_waits_for_leave(rig: Rig, four: FakePyPI) -> None:
    rig.run()
    rig.filters = only("alpha", "beta")
    for _ in range(2):
        result = rig.call("mirror", max_removals="20% or 1000")
        assert result.returncode == 5
        assert "since the configuration has changed (filters of project names), this run would remove 2 of 4" in (
            result.stderr
        )
        assert "to go on: bandersnatch mirror --allow-removals" in result.stderr
    assert projects(rig) == {"alpha", "beta", "gamma", "delta"}
    assert rig.call("mirror", "--allow-removals").returncode == 0
    assert_mirror_matches(four, rig.directory, projects={"alpha", "beta"})


def test_a_changed_filter_that_drops_a_single_project_needs_no_leave(rig: Rig, four: FakePyPI) -> None:
    rig.run()
    rig.filters = without("beta")
    assert (rig.call("mirror").returncode, projects(rig)) == (0, {"alpha", "gamma", "delta"})


def test_a_number_alone_lets_no_changed_filter_take_most_of_the_mirror(rig: Rig, four: FakePyPI) -> None:
    rig.run()
    rig.filters = only("alpha")
    assert rig.run(max_removals="1000").withheld is not None
    assert rig.run(max_removals="100%").removed == 3


def test_a_changed_filter_of_files_that_drops_more_than_the_percentage_waits_for_leave(
    rig: Rig, pypi: FakePyPI
) -> None:
    for number in range(5):
        pypi.add_file("foo", f"{number}.0")
    rig.run()
    rig.filters = enabled("latest_release") + "[latest_release]\nkeep = 1\n"
    assert rig.call("mirror").returncode == 5
    assert len(files_of(rig, "foo")) == 5
    assert rig.call("mirror", "--allow-removals").returncode == 0
    for number in range(5, 8):  # each release takes the place of another, and asks nobody
        pypi.add_file("foo", f"{number}.0")
        assert rig.call("mirror").returncode == 0
    assert files_of(rig, "foo") == ["foo-7.0-py3-none-any.whl"]


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
    assert rig.run(allow_removals=True, deleted=deleted).removed == 3
    assert_mirror_matches(four, rig.directory, projects={"alpha"})


def test_files_of_a_project_that_was_never_finished_go_too(rig: Rig, four: FakePyPI) -> None:
    four.add_file("beta", "2.0")
    second = four.files("beta")[1]
    four.fault(second.url_path, Status(500), times=None)
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


# By releases, files and metadata


@pytest.fixture
def sample(pypi: FakePyPI) -> FakePyPI:
    """An index with one project of three releases, each with a wheel for Windows and one for all."""
    for version in ("1.0", "2.0", "3.0a1"):
        pypi.add_file("sample", version)
        pypi.add_file("sample", version, python_tag="cp39", platform_tag="win_amd64")
    return pypi


def enabled(*names: str) -> str:
    return "[plugins]\nenabled =\n" + "".join(f"    {name}\n" for name in names)


def page_of(rig: Rig, name: str = "sample") -> dict[str, object]:
    page = json.loads((rig.web / "simple" / name / "index.v1_json").read_bytes())
    assert isinstance(page, dict)
    return page


def files_of(rig: Rig, name: str = "sample") -> list[str]:
    """Return the files on a project's page, which must be the ones of the other pages, and those on disk."""
    page = page_of(rig, name)
    assert isinstance(page["files"], list)
    names = sorted(file["filename"] for file in page["files"])
    html = (rig.web / "simple" / name / "index.html").read_text()
    assert [each for each in names if each in html] == names
    assert html.count("<a ") == len(names)
    on_disk = [p.name for p in (rig.web / "packages").rglob(f"{name}-*") if p.is_file() and p.suffix != ".metadata"]
    assert sorted(on_disk) == names
    return names


def test_dropped_releases_are_on_no_page_and_not_fetched(rig: Rig, sample: FakePyPI) -> None:
    rig.filters = enabled("prerelease_release", "exclude_platform") + "[blocklist]\nplatforms = windows\n"
    rig.run()
    assert files_of(rig) == ["sample-1.0-py3-none-any.whl", "sample-2.0-py3-none-any.whl"]
    assert page_of(rig)["versions"] == ["1.0", "2.0"]
    assert len(sample.file_requests()) == 2
    sample.clear_requests()
    rig.run()
    assert len(sample.requests) == 1
    rig.resync()
    sample.clear_requests()
    assert rig.run().updated == 0
    assert [request.path for request in sample.page_requests()] == ["/simple/sample/"]
    assert sample.file_requests() == []


def test_releases_come_and_go_with_the_filters(rig: Rig, sample: FakePyPI) -> None:
    rig.run()
    rig.filters = enabled("latest_release") + "[latest_release]\nkeep = 1\n"
    rig.run(allow_removals=True)
    assert files_of(rig) == ["sample-2.0-cp39-cp39-win_amd64.whl", "sample-2.0-py3-none-any.whl"]
    sample.add_file("sample", "4.0")
    rig.run()
    assert files_of(rig) == ["sample-4.0-py3-none-any.whl"]
    rig.filters = ""
    rig.run()
    rig.assert_matches()


def test_dropped_files_are_under_the_brake(rig: Rig, sample: FakePyPI) -> None:
    rig.run()
    before = rig.tree()
    rig.filters = enabled("exclude_platform") + "[blocklist]\nplatforms = windows\n"
    assert rig.run(max_removals="2").withheld is not None
    assert {path: data for path, data in rig.tree().items() if "sample" in path} == {
        path: data for path, data in before.items() if "sample" in path
    }
    assert rig.run(max_removals="3").withheld is None
    assert len(files_of(rig)) == 3


@pytest.mark.parametrize("deleted", ["keep", "hide"])
def test_dropped_files_go_though_those_that_upstream_deletes_stay(rig: Rig, sample: FakePyPI, deleted: str) -> None:
    rig.run(deleted=deleted)
    sample.remove_release("sample", "1.0")
    rig.filters = enabled("exclude_platform") + "[blocklist]\nplatforms = windows\n"
    rig.run(allow_removals=True, deleted=deleted)
    on_disk = {p.name for p in (rig.web / "packages").rglob("*.whl")}
    on_page = (rig.web / "simple/sample/index.html").read_text()
    assert "sample-2.0-cp39-cp39-win_amd64.whl" not in on_disk
    assert "sample-1.0-py3-none-any.whl" in on_disk
    assert ("sample-1.0-py3-none-any.whl" in on_page) == (deleted == "keep")
    assert "win_amd64" not in on_page


def test_a_project_without_releases_that_stay_has_an_empty_page(rig: Rig, sample: FakePyPI) -> None:
    rig.filters = enabled("allowlist_release") + "[allowlist]\npackages = other\n"
    rig.run()
    assert files_of(rig) == []
    assert page_of(rig)["versions"] == []
    assert b"sample" in (rig.web / "simple/index.html").read_bytes()


def test_projects_are_dropped_by_their_metadata(rig: Rig, four: FakePyPI) -> None:
    rig.run()
    rig.filters = (
        enabled("regex_project_metadata") + "[regex_project_metadata]\nany:info.name =\n    [A-C]\n    gamma\n"
    )
    four.clear_requests()
    report = rig.run(allow_removals=True)
    assert report.removed == 2
    assert len(four.requests_for("/pypi/")) >= 4
    assert_mirror_matches(four, rig.directory, projects={"alpha", "gamma"})
    four.clear_requests()
    four.add_file("beta", "2.0")
    assert rig.run().failures == []
    assert four.file_requests() == []
    assert_mirror_matches(four, rig.directory, projects={"alpha", "gamma"})


def test_projects_are_dropped_by_their_size_without_their_json(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("small", "1.0", content=b"x" * 100)
    pypi.add_file("large", "1.0", content=b"x" * 2000)
    rig.filters = enabled("size_project_metadata") + "[size_project_metadata]\nmax_package_size = 1K\n"
    rig.run()
    assert projects(rig) == {"small"}
    assert [request for request in pypi.requests_for("/pypi/") if request.method == "GET"] == []
    pypi.add_file("small", "2.0", content=b"x" * 2000)
    assert rig.run().removed == 1
    assert projects(rig) == set()


def test_a_quarantined_project_has_no_metadata_to_match(rig: Rig, four: FakePyPI) -> None:
    four.quarantine_project("beta")
    rig.filters = enabled("regex_project_metadata") + "[regex_project_metadata]\nnot-null:info.name = .*\n"
    rig.run()
    assert projects(rig) == {"alpha", "gamma", "delta"}


def test_json_is_fetched_once_and_has_only_what_stays(rig: Rig, sample: FakePyPI) -> None:
    text = "[regex_release_file_metadata]\nany:release_file.python_version = py3\n[filter_regex]\nreleases = 1\n"
    rig.filters = enabled("regex_release_file_metadata", "regex_release") + text
    rig.run(json="true")
    assert files_of(rig) == ["sample-2.0-py3-none-any.whl", "sample-3.0a1-py3-none-any.whl"]
    assert len(sample.requests_for("/pypi/sample/json")) == 1
    document = json.loads((rig.web / "pypi/sample/json").read_bytes())
    assert {version: [file["filename"] for file in files] for version, files in document["releases"].items()} == {
        "2.0": ["sample-2.0-py3-none-any.whl"],
        "3.0a1": ["sample-3.0a1-py3-none-any.whl"],
    }
    assert [file["filename"] for file in document["urls"]] == ["sample-2.0-py3-none-any.whl"]


def test_json_that_is_older_than_the_change_is_not_believed(rig: Rig, four: FakePyPI) -> None:
    rig.filters = enabled("regex_project_metadata") + "[regex_project_metadata]\nany:info.name = .*\n"
    rig.run()
    body = json.dumps({"info": {"name": "other"}, "last_serial": 1}).replace("other", "beta").encode()
    four.add_file("beta", "2.0")
    four.fault("/pypi/beta/json", Body(body), times=None)
    assert [late.project for late in rig.run().late] == ["beta"]
    assert projects(rig) == {"alpha", "beta", "gamma", "delta"}
    four.clear_faults()
    rig.run()
    rig_projects = {"alpha", "beta", "gamma", "delta"}
    assert_mirror_matches(four, rig.directory, projects=rig_projects)
