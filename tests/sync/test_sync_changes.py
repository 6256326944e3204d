"""Options that change between runs, records that are lost, and odd upstreams: the mirror follows all the same."""

import json
import logging
from typing import Any

import pytest

from bandersnatch.errors import MirrorError
from tests.support.fakepypi import Body, Call, Edit, FakePyPI, SerialHeader, Status
from tests.support.rig import Rig

pytestmark = pytest.mark.usefixtures("in_processes_or_not")

Page = dict[str, Any]
ELSEWHERE = "https://files.example"


def urls(rig: Rig, page: str = "simple/foo/index.v1_json") -> list[str]:
    return [file["url"] for file in json.loads((rig.web / page).read_bytes())["files"]]


def change_option_half_way(rig: Rig, pypi: FakePyPI) -> None:
    """Let foo and bar be held, and of a run with another option only bar's page be written anew."""
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    rig.run()
    pypi.fault("/simple/foo/", Status(500), times=None)
    rig.run(root_uri=ELSEWHERE)
    pypi.clear_faults()


def write_row_after_gap(index: FakePyPI) -> None:
    """Let the serials of an index be far ahead of those of its projects, and of any other index."""
    index.skip_serials(1000)
    index.write_journal(None, None, "something")


def assert_follows(rig: Rig, index: FakePyPI) -> None:
    """Assert that the mirror becomes one of another index, whose serials are higher."""
    write_row_after_gap(index)
    rig.pypi = index
    assert rig.run().failures == []
    rig.assert_matches()


def test_page_of_a_mirror_without_files_removes_none(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        pypi.add_file("foo", f"1.{number}")
    rig.run(release_files="false", max_removals="0")
    pypi.clear_requests()
    caplog.set_level(logging.INFO)
    pypi.add_file("foo", "2.0")
    assert rig.run(release_files="false", max_removals="0").withheld is None
    assert len(pypi.page_requests()) == 1
    assert "deleted: 0" in caplog.text
    assert rig.run(release_files="false", max_removals="0", simple_format="JSON").withheld is None


def test_kept_files_move_with_the_pages(rig: Rig, pypi: FakePyPI) -> None:
    old = pypi.add_file("foo", "1.0")
    pypi.add_file("foo", "1.1")
    rig.run(deleted="keep")
    pypi.remove_file("foo", old.filename)
    rig.run(deleted="keep")
    rig.run(deleted="keep", hash_index="true")
    assert len(urls(rig, "simple/f/foo/index.v1_json")) == 2


def test_change_of_an_option_is_seen_although_the_inventory_was_lost(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    (rig.directory / "inventory.sqlite").unlink()
    rig.run(root_uri=ELSEWHERE)
    assert urls(rig)[0].startswith(f"{ELSEWHERE}/")


def test_change_of_an_option_that_failed_half_way_is_seen_although_the_todo_was_lost(rig: Rig, pypi: FakePyPI) -> None:
    change_option_half_way(rig, pypi)
    (rig.directory / "todo").unlink()
    rig.run(root_uri=ELSEWHERE)
    assert urls(rig)[0].startswith(f"{ELSEWHERE}/")


def test_change_of_an_option_that_failed_half_way_does_not_begin_anew(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(10):
        pypi.add_file(f"project-{number}", "1.0")
    rig.run()
    pypi.fault("/simple/project-3/", Status(403), times=None)
    rig.run(root_uri=ELSEWHERE)
    pypi.clear_requests()
    rig.run(root_uri=ELSEWHERE)
    assert {request.path for request in pypi.page_requests()} == {"/simple/project-3/"}


def test_change_of_an_option_that_is_taken_back_half_way(rig: Rig, pypi: FakePyPI) -> None:
    change_option_half_way(rig, pypi)
    rig.run()
    rig.assert_matches()
    pypi.clear_requests()
    rig.run()
    assert pypi.page_requests() == []


def test_option_changed_during_the_first_sync_reaches_the_pages_already_written(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    pypi.fault("/simple/bar/", Status(403), times=None)
    rig.run()
    pypi.clear_faults()
    rig.run(root_uri=ELSEWHERE)
    assert urls(rig)[0].startswith(f"{ELSEWHERE}/")


def test_another_index_replaces_the_first_one(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("only-in-the-first", "1.0")
    pypi.add_file("in-both", "1.0")
    for _ in range(20):
        pypi.yank("in-both", "1.0")
    rig.run()
    with FakePyPI() as other:
        other.add_file("in-both", "9.0")
        other.add_file("only-in-the-second", "1.0")
        assert_follows(rig, other)


def test_another_index_with_the_same_file_name_and_other_bytes(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("in-both", "1.0", kind="sdist", size=1000)
    rig.run()
    with FakePyPI() as other:
        other.add_file("in-both", "1.0", kind="sdist", size=2000)
        assert_follows(rig, other)


def test_index_changed_during_the_first_sync(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("only-in-the-first", "1.0")
    pypi.add_file("bar", "1.0")
    pypi.fault("/simple/bar/", Status(403), times=None)
    rig.run()
    with FakePyPI() as other:
        other.add_file("only-in-the-second", "1.0")
        assert_follows(rig, other)


@pytest.mark.parametrize("resync", [False, True])
def test_change_of_the_index_that_is_taken_back_half_way(rig: Rig, pypi: FakePyPI, resync: bool) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    rig.run()
    with FakePyPI() as other:
        other.skip_serials(100)
        other.add_file("foo", "9.0")
        other.add_file("bar", "9.0")
        other.fault("/simple/bar/", Status(403), times=None)
        rig.pypi = other
        rig.run()
        rig.pypi = pypi
        if resync:
            rig.resync()
        else:
            write_row_after_gap(pypi)
        assert rig.run().failures == []
        rig.assert_matches()


def test_not_modified_without_a_serial_as_a_static_server_answers(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    rig.resync()
    pypi.fault("/simple/foo/", SerialHeader(None), times=None)
    pypi.clear_requests()
    assert rig.run().failures == []
    assert pypi.page_requests()[0].status == 304
    rig.assert_matches()


def test_legacy_json_that_is_older_than_its_page_is_asked_for_again(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run(json="true")
    stale = (rig.web / "json/foo").read_bytes()
    pypi.add_file("foo", "1.1")
    rig.resync()
    pypi.fault("/pypi/foo/json", Body(stale))
    assert rig.run(json="true").failures == []
    assert json.loads((rig.web / "json/foo").read_bytes())["last_serial"] == pypi.project_serial("foo")


def list_file_of(pypi: FakePyPI, other: str) -> Edit:
    def edit(page: Page) -> Page:
        page["files"].append(pypi.page(other)["files"][0])
        return page

    return Edit(edit)


def test_project_that_lists_anothers_file_stops_nobody(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("good", "1.0")
    pypi.add_file("foo-bar", "1.0", kind="sdist")
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", list_file_of(pypi, "foo-bar"), times=None)
    rig.run()
    rig.run()
    assert (rig.web / "simple/good/index.html").exists()
    pypi.clear_faults()
    pypi.remove_project("foo")
    rig.run()
    rig.assert_matches()


def test_file_that_another_project_lists_outlives_the_removal_of_this_one(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo-bar", "1.0", kind="sdist")
    rig.run()
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", list_file_of(pypi, "foo-bar"), times=None)
    rig.run()
    pypi.clear_faults()
    pypi.remove_project("foo")
    rig.run()
    rig.assert_matches()


@pytest.mark.without_processes("one request in flight is not shared")
def test_file_below_another_file_fails_its_project_only(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("good", "1.0")
    pypi.add_file("foo", "1.0", kind="sdist", path="aa/bb/foo-1.0.tar.gz")
    pypi.add_file("foo", "1.1", kind="sdist", path="aa/bb/foo-1.0.tar.gz/foo-1.1.tar.gz")
    report = rig.run(workers="1")
    assert [failure.project for failure in report.failures] == ["foo"]
    assert (rig.web / "simple/good/index.html").exists()


@pytest.mark.parametrize("serial", [2**63, 10**18 * 9 + 10**18, 10**25])
def test_serial_that_no_index_can_have_is_none(rig: Rig, pypi: FakePyPI, serial: int) -> None:
    pypi.add_file("foo", "1.0")
    page = pypi.page("foo")
    del page["meta"]["_last-serial"]
    pypi.fault("/simple/foo/", Body(json.dumps(page).encode(), {"X-PyPI-Last-Serial": str(serial)}), times=None)
    answer = f"<methodResponse><params><param><value><int>{serial}</int></value></param></params></methodResponse>"
    pypi.fault("rpc:changelog_last_serial", Body(answer.encode()))
    report = rig.run()
    assert all(isinstance(failure.error, MirrorError) for failure in report.failures)
    pypi.clear_faults()
    rig.resync()
    rig.run()
    rig.assert_matches()


def test_display_name_stays_although_the_root_index_lacks_the_project(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("Foo.Bar", "1.0")
    rig.run()
    pypi.quarantine_project("Foo.Bar")
    pypi.fault("rpc:*", Status(404), times=None)
    rig.run()
    pypi.clear_faults()
    rig.assert_matches()


def test_nothing_is_begun_after_an_error_that_stops(rig: Rig, pypi: FakePyPI) -> None:
    old = pypi.add_file("shrinking", "1.0")
    pypi.add_file("shrinking", "1.1")
    pypi.add_file("zzz", "1.0")
    rig.run()
    pypi.remove_file("shrinking", old.filename)
    pypi.add_file("zzz", "1.1")
    pypi.fault("/simple/zzz/", Status(403), times=None)
    pypi.clear_requests()
    rig.run(stop_on_error="true", workers="1")
    assert [request.path for request in pypi.page_requests()].count("/simple/shrinking/") == 1
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()


def test_project_removed_after_the_plan_is_no_failure(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    rig.run()
    pypi.add_file("foo", "1.1")
    pypi.fault("/simple/foo/", Call(lambda: pypi.remove_project("foo")))
    report = rig.run()
    assert (report.failures, report.removed) == ([], 1)
    rig.run()
    rig.assert_matches()


def test_releases_removed_after_the_plan_are_no_failure(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    pypi.yank("foo", "1.0")
    pypi.fault("/simple/foo/", Call(lambda: pypi.remove_release("foo", "1.0")))
    assert rig.run().failures == []
    rig.run()
    rig.assert_matches()


def test_log_configuration_is_not_overruled_by_the_command_line(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    settings = rig.folder / "log.ini"
    settings.write_text(
        "[loggers]\nkeys=root\n[handlers]\nkeys=h\n[formatters]\nkeys=\n[logger_root]\nlevel=DEBUG\nhandlers=h\n"
        "[handler_h]\nclass=StreamHandler\nargs=(sys.stderr,)\n"
    )
    result = rig.command("--quiet", "mirror", log_config=str(settings))
    assert "synced to serial" in result.stderr
    assert "GET " in result.stderr
