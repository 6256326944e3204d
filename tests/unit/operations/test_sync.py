"""``sync NAME...``: some projects now, by name; everything else as it was."""

import json

import pytest

from tests.support.fakepypi import Body, FakePyPI, Stall, Status
from tests.support.killed_runs import Point, killed_at, run_until_killed
from tests.support.rig import Rig


@pytest.fixture
def behind(rig: Rig, pypi: FakePyPI) -> Rig:
    """A mirror of three projects, all of which have changed since."""
    for name in ("one", "two", "three"):
        pypi.add_file(name, "1.0")
    rig.run()
    for name in ("one", "two", "three"):
        pypi.add_file(name, "2.0")
    pypi.clear_requests()
    return rig


def index_of(rig: Rig) -> dict[str, int]:
    index = json.loads((rig.web / "simple" / "index.v1_json").read_bytes())
    return {project["name"]: project["_last-serial"] for project in index["projects"]}


def versions(rig: Rig, project: str) -> list[str]:
    page = json.loads((rig.web / "simple" / project / "index.v1_json").read_bytes())
    return list(page["versions"])


def test_only_the_named_project_is_brought_up_to_date(behind: Rig, pypi: FakePyPI) -> None:
    state = (behind.directory / "state").read_text()
    result = behind.call("sync", "ONE")
    assert result.returncode == 0, result.stderr
    assert (
        result.stderr.splitlines()[-1]
        .partition("INFO: ")[2]
        .startswith("synced 1 project by name: 1 updated, 0 removed")
    )
    assert [request.path for request in pypi.requests] == ["/simple/one/", pypi.files("one")[1].url_path]
    assert versions(behind, "one") == ["1.0", "2.0"]
    assert versions(behind, "two") == ["1.0"]
    assert (behind.directory / "state").read_text() == state
    assert not (behind.directory / "todo").exists()
    assert index_of(behind)["one"] == pypi.project_serial("one")
    behind.run()
    behind.assert_matches()


def test_new_project_is_mirrored_with_upstreams_spelling(behind: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("Brand.New", "1.0")
    assert behind.call("sync", "brand-new").returncode == 0
    assert index_of(behind)["Brand.New"] == pypi.project_serial("brand-new")
    behind.run()
    behind.assert_matches()


def test_new_project_is_mirrored_where_upstream_has_no_legacy_json(behind: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("Brand.New", "1.0")
    pypi.fault("/pypi/brand-new/json", Status(500), times=None)
    assert behind.call("sync", "brand-new").returncode == 0
    assert "brand-new" in index_of(behind)
    behind.run()
    behind.assert_matches()


def test_first_command_on_an_empty_directory(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    assert rig.call("sync", "foo").returncode == 0
    assert list(index_of(rig)) == ["foo"]
    assert not (rig.directory / "state").exists()
    rig.run()
    rig.assert_matches()


def test_missing_and_damaged_files_of_the_project_are_mended(rig: Rig, pypi: FakePyPI) -> None:
    missing, damaged = pypi.add_file("foo", "1.0"), pypi.add_file("foo", "2.0")
    rig.run()
    (rig.web / missing.url_path[1:]).unlink()
    (rig.web / damaged.url_path[1:]).write_bytes(b"short")
    assert rig.call("sync", "foo").returncode == 0
    rig.assert_matches()


def test_root_index_can_be_left_as_it_is(behind: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("new", "1.0")
    before = behind.tree()
    assert behind.call("sync", "--skip-simple-root", "new").returncode == 0
    for form in ("index.html", "index.v1_html", "index.v1_json"):
        assert behind.tree()[f"simple/{form}"] == before[f"simple/{form}"]
    assert versions(behind, "new") == ["1.0"]


def test_unknown_project_is_a_failure_and_the_others_are_synced(behind: Rig, pypi: FakePyPI) -> None:
    result = behind.call("sync", "nowhere", "one")
    assert result.returncode == 1
    assert "ERROR: nowhere failed: upstream has no such project\n" in result.stderr
    assert "the next run tries it again" not in result.stderr
    assert "nowhere" not in index_of(behind)
    assert not (behind.web / "simple" / "nowhere").exists()
    assert versions(behind, "one") == ["1.0", "2.0"]


def test_project_that_upstream_removed_goes_because_the_changelog_says_so(behind: Rig, pypi: FakePyPI) -> None:
    pypi.remove_project("two")
    result = behind.call("sync", "two")
    assert result.returncode == 0, result.stderr
    assert "two: removed, as upstream did" in result.stderr
    assert not (behind.web / "simple" / "two").exists()
    assert "two" not in index_of(behind)
    behind.run()
    behind.assert_matches()


def test_project_that_is_only_not_found_stays(behind: Rig, pypi: FakePyPI) -> None:
    pypi.fault("/simple/two/", Status(404), times=None)
    before = behind.tree()
    result = behind.call("sync", "two")
    assert result.returncode == 1
    assert "although upstream did not say that two was removed" in result.stderr
    assert behind.tree() == before


def test_page_older_than_the_held_one_is_not_taken(behind: Rig, pypi: FakePyPI) -> None:
    old = pypi.page("one")
    pypi.add_file("one", "3.0")
    behind.run()
    before = behind.tree()
    (behind.web / "packages").joinpath(pypi.files("one")[0].url_path.removeprefix("/packages/")).unlink()
    body = json.dumps(old).encode()
    pypi.fault("/simple/one/", Body(body), times=None)
    result = behind.call("sync", "one")
    assert result.returncode == 1
    assert "the page must have serial" in result.stderr
    assert before.items() >= behind.tree().items()


def test_todo_list_loses_what_was_done_and_nothing_else(behind: Rig, pypi: FakePyPI) -> None:
    for name in ("one", "two"):
        pypi.fault(pypi.files(name)[1].url_path, Status(404), times=None)
    behind.run()
    todo = (behind.directory / "todo").read_text().splitlines()
    assert {line.split()[0] for line in todo[1:]} == {"one", "two"}
    pypi.clear_faults()
    pypi.fault(pypi.files("two")[1].url_path, Status(404), times=None)
    result = behind.call("sync", "one", "two", "three")
    assert result.returncode == 1
    kept = [line for line in todo if not line.startswith("one ")]
    assert (behind.directory / "todo").read_text().splitlines() == kept
    pypi.clear_faults()
    behind.run()
    behind.assert_matches()


def test_removals_wait_for_leave(rig: Rig, pypi: FakePyPI) -> None:
    for version in ("1.0", "2.0", "3.0"):
        pypi.add_file("foo", version)
    rig.run()
    for file in pypi.files("foo")[:2]:
        pypi.remove_file("foo", file.filename)
    before = rig.tree()
    result = rig.call("sync", "foo", max_removals="1")
    assert result.returncode == 5
    assert "to go on: bandersnatch sync --allow-removals foo" in result.stderr
    assert rig.tree() == before
    assert rig.call("sync", "--allow-removals", "foo", max_removals="1").returncode == 0
    assert versions(rig, "foo") == ["3.0"]


def test_names_that_are_none_are_refused(behind: Rig, pypi: FakePyPI) -> None:
    result = behind.call("sync", "one", "../../etc", "x/y")
    assert result.returncode == 2
    assert "'../../etc', 'x/y': no name of a project" in result.stderr
    assert pypi.requests == []


def test_another_index_is_refused(behind: Rig, pypi: FakePyPI) -> None:
    with FakePyPI() as other:
        other.add_file("one", "9.0")
        result = behind.call("sync", "one", master=other.url)
    assert result.returncode == 4
    assert "run bandersnatch mirror first" in result.stderr
    assert versions(behind, "one") == ["1.0"]


def test_tree_of_another_bandersnatch_is_left_to_a_run(behind: Rig, pypi: FakePyPI) -> None:
    for name in ("inventory.sqlite", "fingerprint", "state"):
        (behind.directory / name).unlink()
    (behind.directory / "status").write_text("1")
    pypi.clear_requests()
    for command in (["sync", "one"], ["delete", "--yes", "one"]):
        result = behind.call(*command)
        assert result.returncode == 4
        assert "bandersnatch mirror takes it over first" in result.stderr
    assert not (behind.directory / "inventory.sqlite").exists()
    assert (behind.directory / "status").exists()
    assert pypi.requests == []
    behind.run()
    behind.assert_matches()


def test_second_sync_on_a_directory_without_a_run(rig: Rig, pypi: FakePyPI) -> None:
    for name in ("foo", "bar"):
        pypi.add_file(name, "1.0")
        assert rig.call("sync", name).returncode == 0
    assert list(index_of(rig)) == ["bar", "foo"]


def test_lock_is_honoured(behind: Rig, pypi: FakePyPI) -> None:
    stall = Stall()
    pypi.fault(pypi.files("one")[1].url_path, stall, times=None)
    with behind.start_command("mirror", timeout="60") as process:
        assert stall.started.wait(30)
        assert behind.call_again("sync", "two").returncode == 3
        process.kill()
        process.communicate()


# With filters

BLOCK_NEW = "[plugins]\nenabled =\n    blocklist_project\n[blocklist]\npackages =\n    new\n    one\n"


def test_excluded_project_is_said_and_the_others_are_synced(behind: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("new", "1.0")
    behind.filters = BLOCK_NEW
    before = behind.tree()
    result = behind.call("sync", "new", "two", "one")
    assert result.returncode == 1
    assert "new: not synced, since blocklist_project drops it" in result.stderr
    assert "one: not synced, since blocklist_project drops it" in result.stderr
    assert "synced 1 project by name: 1 updated" in result.stderr
    assert versions(behind, "two") == ["1.0", "2.0"]
    assert not (behind.web / "simple" / "new").exists()
    assert behind.tree()["simple/one/index.v1_json"] == before["simple/one/index.v1_json"]


def test_excluded_project_comes_where_filters_are_ignored(behind: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("new", "1.0")
    behind.filters = BLOCK_NEW
    assert behind.call("sync", "--ignore-filters", "new", "one").returncode == 0
    assert versions(behind, "new") == ["1.0"]
    assert versions(behind, "one") == ["1.0", "2.0"]
    assert behind.call("mirror", "--allow-removals").returncode == 0
    assert {path.name for path in (behind.web / "simple").iterdir() if path.is_dir()} == {"two", "three"}


def test_dry_run_tells_what_the_filters_would_remove(behind: Rig, pypi: FakePyPI) -> None:
    behind.filters = BLOCK_NEW
    before = behind.stamps()
    for arguments in ([], ["--full"]):
        result = behind.call("mirror", "--dry-run", "--json", *arguments, deleted="keep")
        plan = json.loads(result.stdout)
        assert plan["remove"] == [{"project": "one", "files": 1, "bytes": pypi.files("one")[0].size}]
    behind.assert_same_tree(before)


SMALL_ONLY = "[plugins]\nenabled = size_project_metadata\n[size_project_metadata]\nmax_package_size = 1K\n"


def test_project_that_its_page_excludes_is_said_and_a_held_one_goes(behind: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("new", "1.0", size=5000)
    pypi.add_file("one", "3.0", size=5000)
    behind.filters = SMALL_ONLY
    result = behind.call("sync", "new", "one", "two")
    assert result.returncode == 1
    assert "new: not mirrored, since size_project_metadata drops it" in result.stderr
    assert "one: removed, as the configuration says: size_project_metadata drops it" in result.stderr
    assert "synced 0 projects by name: 0 updated, 2 removed" in result.stderr
    assert {path.name for path in (behind.web / "simple").iterdir() if path.is_dir()} == {"three"}
    assert behind.call("sync", "--ignore-filters", "new").returncode == 0
    assert versions(behind, "new") == ["1.0"]


LATEST_ONLY = "[plugins]\nenabled = latest_release\n[latest_release]\nkeep = 1\n"


def test_held_project_that_filters_have_cut_comes_whole_where_they_are_ignored(rig: Rig, pypi: FakePyPI) -> None:
    for version in ("1.0", "2.0"):
        pypi.add_file("one", version)
    rig.filters = LATEST_ONLY
    rig.run()
    assert versions(rig, "one") == ["2.0"]
    assert rig.call("sync", "--ignore-filters", "one").returncode == 0
    assert versions(rig, "one") == ["1.0", "2.0"]
    rig.resync()
    rig.run()  # upstream's page is what it was, and is asked for all the same
    assert versions(rig, "one") == ["2.0"]


def filtering(*names: str, more: str = "") -> str:
    return "[plugins]\nenabled =\n" + "".join(f"    {name}\n" for name in names) + more


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ("", filtering("prerelease_release"), ["1.0", "2.0"]),
        (filtering("prerelease_release"), "", ["1.0", "2.0", "3.0a1"]),
        (LATEST_ONLY, LATEST_ONLY.replace("keep = 1", "keep = 2"), ["1.0", "2.0"]),
        ("", filtering("exclude_platform", more="[blocklist]\nplatforms = windows\n"), ["1.0", "3.0a1"]),
    ],
    ids=["added", "taken away", "another number", "of files"],
)
def test_changed_filters_count_for_the_named_projects(
    rig: Rig, pypi: FakePyPI, before: str, after: str, kept: list[str]
) -> None:
    for project in ("one", "two"):
        for version, platform in (("1.0", "any"), ("2.0", "win_amd64"), ("3.0a1", "any")):
            pypi.add_file(project, version, platform_tag=platform)
    rig.filters = before
    rig.run()
    of_two = versions(rig, "two")
    rig.filters = after
    assert rig.call("sync", "one").returncode == 0
    assert versions(rig, "one") == kept
    assert versions(rig, "two") == of_two
    rig.run()
    assert versions(rig, "two") == kept


def test_changed_requirement_file_counts_for_the_named_projects(rig: Rig, pypi: FakePyPI) -> None:
    for version in ("1.0", "2.0"):
        pypi.add_file("one", version)
    requirements = rig.folder / "requirements.txt"
    rig.filters = filtering("project_requirements_pinned", more=f"[allowlist]\nrequirements = {requirements}\n")
    requirements.write_text("one==1.0\n")
    rig.run()
    requirements.write_text("one==2.0\n")
    assert rig.call("sync", "one").returncode == 0
    assert versions(rig, "one") == ["2.0"]


def test_filters_that_are_changed_back_after_a_sync_count_for_the_next_one(rig: Rig, pypi: FakePyPI) -> None:
    for version in ("1.0", "2.0a1"):
        pypi.add_file("one", version)
    rig.run()
    rig.filters = filtering("prerelease_release")
    assert rig.call("sync", "one").returncode == 0
    rig.filters = ""
    assert rig.call("sync", "one").returncode == 0
    assert versions(rig, "one") == ["1.0", "2.0a1"]


def test_page_that_has_not_changed_is_not_sent_again_where_filters_are_what_they_were(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("one", "1.0")
    rig.filters = filtering("prerelease_release")
    rig.run()
    pypi.clear_requests()
    assert rig.call("sync", "one").returncode == 0
    assert [request.status for request in pypi.page_requests()] == [304]


@pytest.mark.parametrize("option", [{"hash_index": "true"}, {"simple_format": "HTML"}, {"digest_name": "md5"}], ids=str)
def test_pages_in_another_form_than_all_others_are_refused(behind: Rig, pypi: FakePyPI, option: dict[str, str]) -> None:
    before = behind.tree()
    result = behind.call("sync", "one", **option)
    assert result.returncode == 4
    assert (
        "the configuration has changed since the last bandersnatch mirror (options about what is published)"
        in result.stderr
    )
    assert "run bandersnatch mirror first" in result.stderr
    assert pypi.requests == []
    assert behind.tree() == before


def test_what_a_stopped_sync_has_shaped_does_not_count_as_unchanged(rig: Rig, pypi: FakePyPI) -> None:
    for version in ("1.0", "2.0a1"):
        pypi.add_file("one", version)
    rig.filters = filtering("prerelease_release")
    rig.run()
    pypi.add_file("two", "1.0")
    at_root_index = killed_at(Point.WRITTEN, lambda path: path.startswith("web/simple/index."))
    run_until_killed(rig, at_root_index, lambda: rig.call("sync", "--ignore-filters", "one", "two"))
    assert versions(rig, "one") == ["1.0", "2.0a1"]
    rig.resync()
    rig.run()
    assert versions(rig, "one") == ["1.0"]


def test_sync_with_other_filters_leaves_all_work_to_the_next_run(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("one", "1.0")
    rig.run()
    pypi.add_file("one", "2.0a1")
    pypi.fault("/simple/one/", Status(503), times=None)
    rig.run()
    pypi.clear_faults()
    rig.filters = filtering("prerelease_release")
    assert rig.call("sync", "one").returncode == 0
    rig.filters = ""
    rig.run()
    assert versions(rig, "one") == ["1.0", "2.0a1"]
