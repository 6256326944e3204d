"""4. Removals in the run that tells of them, a brake on too many, and what else may become of what upstream deletes."""

import json

import pytest

from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig

in_processes_too = pytest.mark.usefixtures("in_processes_or_not")
"""For what workers do of a removal; the main process decides on it, and whether there are too many."""
EACH_WAY = pytest.mark.usefixtures("way")


@pytest.fixture
def ten(rig: Rig, pypi: FakePyPI) -> FakePyPI:
    """A mirror of ten projects with two files each."""
    for number in range(10):
        pypi.add_file(f"project-{number}", "1.0")
        pypi.add_file(f"project-{number}", "2.0")
    rig.run()
    return pypi


@EACH_WAY
@in_processes_too
def test_removals_of_every_kind_happen_in_the_run_that_tells_of_them(rig: Rig, ten: FakePyPI) -> None:
    ten.remove_project("project-0")
    ten.remove_release("project-1", "1.0")
    ten.remove_file("project-2", ten.files("project-2")[0].filename)
    ten.quarantine_project("project-3")
    ten.quarantine_release("project-4", "1.0")
    report = rig.run()
    assert (report.removed, report.updated, report.failures) == (1, 4, [])
    rig.assert_matches()


@EACH_WAY
def test_too_many_removed_projects_stop_the_removals_and_nothing_else(rig: Rig, ten: FakePyPI) -> None:
    for number in range(3):
        ten.remove_project(f"project-{number}")
    ten.remove_release("project-5", "1.0")
    ten.add_file("new", "1.0")
    ten.yank("project-9", "1.0")
    result = rig.call("mirror", max_removals="20%")
    assert result.returncode == 5
    assert (
        "this run would remove 3 of 11 projects, and from others 1 of 21 files, which max-removals forbids"
        in result.stderr
    )
    assert "bandersnatch mirror --allow-removals" in result.stderr
    assert "1 failed" not in result.stderr
    listing = (rig.directory / "removals").read_text().splitlines()
    assert listing[:3] == ["project project-0", "project project-1", "project project-2"]
    assert len(listing) == 4
    assert listing[3].startswith("file web/packages/")
    assert (rig.web / "simple/project-0/index.html").exists()
    assert (rig.web / "simple/new/index.html").exists()
    assert b"data-yanked" in (rig.web / "simple/project-9/index.html").read_bytes()


@EACH_WAY
def test_removals_go_on_when_they_are_allowed(rig: Rig, ten: FakePyPI) -> None:
    for number in range(3):
        ten.remove_project(f"project-{number}")
    ten.remove_release("project-5", "1.0")
    assert rig.call("mirror", max_removals="2").returncode == 5
    assert rig.call("mirror", max_removals="2").returncode == 5
    assert rig.call("mirror", "--allow-removals", max_removals="2").returncode == 0
    assert not (rig.directory / "removals").exists()
    rig.assert_matches()


@EACH_WAY
def test_too_many_removed_files_stop_the_removals(rig: Rig, ten: FakePyPI) -> None:
    for number in range(5):
        ten.remove_release(f"project-{number}", "1.0")
    before = rig.tree()
    report = rig.run(max_removals="4")
    assert report.withheld is not None
    assert rig.tree() == before
    assert report.failures == []
    assert rig.run(max_removals="5").withheld is None
    rig.assert_matches()


@EACH_WAY
def test_limit_holds_for_a_resync_too(rig: Rig, ten: FakePyPI) -> None:
    for number in range(9):
        ten.remove_project(f"project-{number}")
    rig.resync()
    assert rig.run(max_removals="50%").withheld is not None
    assert len(list((rig.web / "simple").glob("project-*"))) == 10
    assert rig.run(max_removals="90%").withheld is None
    rig.assert_matches()


def test_half_of_a_small_mirror_may_go_where_the_journal_tells_of_each(rig: Rig, ten: FakePyPI) -> None:
    for number in range(5):
        ten.remove_project(f"project-{number}")
    assert rig.run().removed == 5
    rig.assert_matches()


@pytest.mark.parametrize("limit", ["5% or 1000", "40% or 1000"])
@EACH_WAY
def test_percentage_brakes_a_small_mirror_too(rig: Rig, ten: FakePyPI, limit: str) -> None:
    for number in range(6):
        ten.remove_project(f"project-{number}")
    assert rig.call("mirror", max_removals=limit).returncode == 5
    assert len(list((rig.web / "simple").glob("project-*"))) == 10
    assert rig.call("mirror", "--allow-removals", max_removals=limit).returncode == 0
    rig.assert_matches()


def test_the_only_project_of_a_mirror_may_go_where_the_journal_tells_of_it(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    pypi.remove_project("foo")
    assert rig.run().removed == 1
    rig.assert_matches()


@EACH_WAY
def test_one_project_may_lose_most_files_of_a_small_mirror(rig: Rig, pypi: FakePyPI) -> None:
    for tag in ("cp39", "cp310", "cp311"):
        pypi.add_file("foo", "1.0", python_tag=tag)
    pypi.add_file("foo", "2.0")
    rig.run()
    pypi.remove_release("foo", "1.0")
    assert rig.run().withheld is None
    rig.assert_matches()


@EACH_WAY
def test_pages_that_all_lose_their_files_are_braked(rig: Rig, ten: FakePyPI) -> None:
    for number in range(10):
        for version in ("1.0", "2.0"):
            ten.remove_release(f"project-{number}", version)
    before = rig.tree()
    assert rig.call("mirror").returncode == 5
    assert rig.tree() == before
    assert rig.call("mirror", "--allow-removals").returncode == 0
    rig.assert_matches()


@pytest.mark.parametrize("limit", ["0", "5% or 1000"])
@EACH_WAY
def test_quarantine_waits_for_no_leave(rig: Rig, ten: FakePyPI, limit: str) -> None:
    for number in range(30):
        ten.add_file("large", f"{number}.0")
    rig.run()
    for name in ("large", *(f"project-{number}" for number in range(8))):
        ten.quarantine_project(name)
    report = rig.run(max_removals=limit)
    assert (report.withheld, report.failures, report.updated) == (None, [], 9)
    rig.assert_matches()


@pytest.mark.parametrize("limit", ["0", "5% or 1000"])
@pytest.mark.parametrize("story", ["alone", "removed too", "changed since", "withheld before"])
def test_quarantine_of_a_release_waits_for_no_leave(rig: Rig, ten: FakePyPI, limit: str, story: str) -> None:
    for number in range(12):
        ten.add_file("large", "1.0", filename=f"large-1.0-py{number}-none-any.whl")
    ten.add_file("large", "2.0")
    ten.add_file("large", "3.0")
    rig.run()
    if story in ("removed too", "withheld before"):
        ten.remove_release("large", "2.0")
    if story == "withheld before":
        assert rig.run(max_removals="0").withheld is not None
    for name in ("large", *(f"project-{number}" for number in range(10))):
        ten.quarantine_release(name, "1.0")
    if story == "changed since":
        ten.add_file("large", "4.0")
    plan = json.loads(rig.call("mirror", "--dry-run", "--full", "--json", max_removals=limit).stdout)
    assert plan["withheld"] is None
    report = rig.run(max_removals=limit)
    assert (report.withheld, report.failures) == (None, [])
    rig.assert_matches()


def test_other_removals_are_withheld_beside_a_quarantine(rig: Rig, ten: FakePyPI) -> None:
    ten.quarantine_release("project-0", "1.0")
    ten.remove_release("project-1", "1.0")
    assert "from others 1 of 19 files" in str(rig.run(max_removals="0").withheld)
    assert "project_0-1.0" not in (rig.web / "simple/project-0/index.html").read_text()
    assert "project_1-1.0" in (rig.web / "simple/project-1/index.html").read_text()


@EACH_WAY
def test_removal_that_was_withheld_is_forgotten_when_the_project_comes_back(rig: Rig, ten: FakePyPI) -> None:
    ten.remove_project("project-0")
    rig.run(max_removals="0")
    ten.add_file("project-0", "3.0")
    assert rig.run(max_removals="0").withheld is not None  # its two files of before are still to go
    assert rig.run(max_removals="2").withheld is None
    rig.assert_matches()


@EACH_WAY
@in_processes_too
def test_hidden_files_leave_the_pages_and_stay_on_disk(rig: Rig, ten: FakePyPI) -> None:
    release, project = ten.files("project-1")[0], ten.files("project-0")
    ten.remove_release("project-1", "1.0")
    ten.remove_project("project-0")
    rig.run(deleted="hide")
    assert (rig.web / release.url_path.lstrip("/")).exists()
    assert all((rig.web / file.url_path.lstrip("/")).exists() for file in project)
    assert release.filename.encode() not in (rig.web / "simple/project-1/index.html").read_bytes()
    assert not (rig.web / "simple/project-0").exists()
    assert b"project-0" not in (rig.web / "simple/index.html").read_bytes()


@EACH_WAY
@in_processes_too
def test_kept_files_stay_on_the_pages(rig: Rig, ten: FakePyPI) -> None:
    before = rig.tree()
    release = ten.files("project-1")[0]
    ten.remove_release("project-1", "1.0")
    ten.remove_project("project-0")
    ten.add_file("project-1", "3.0")
    rig.run(deleted="keep")
    after = rig.tree()
    page = after["simple/project-1/index.html"].decode()
    assert [version for version in ("-1.0-", "-2.0-", "-3.0-") if version in page] == ["-1.0-", "-2.0-", "-3.0-"]
    assert release.filename in page
    assert after["simple/project-0/index.html"] == before["simple/project-0/index.html"]
    assert b"project-0" in after["simple/index.html"]
    assert before.keys() <= after.keys()
    ten.yank("project-1", "3.0")
    rig.run(deleted="keep")
    assert release.filename.encode() in rig.tree()["simple/project-1/index.html"]


@EACH_WAY
@in_processes_too
def test_quarantined_projects_are_never_kept(rig: Rig, ten: FakePyPI) -> None:
    ten.quarantine_project("project-0")
    rig.run(deleted="keep")
    assert b"href" not in (rig.web / "simple/project-0/index.html").read_bytes()


@EACH_WAY
def test_switching_back_to_remove_makes_the_mirror_match(rig: Rig, ten: FakePyPI) -> None:
    ten.remove_release("project-1", "1.0")
    ten.remove_project("project-0")
    rig.run(deleted="keep")
    rig.run(deleted="remove")
    rig.assert_matches()
