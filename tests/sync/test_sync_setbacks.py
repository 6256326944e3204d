"""What fails, or is older than it must be, holds nobody back and is made up for."""

import time

import pytest
from msgspec.structs import replace

from bandersnatch.errors import InterruptedRunError
from bandersnatch.stop import StopFlag
from tests.support.fakepypi import Call, FakePyPI, Stall, Status
from tests.support.rig import Rig

pytestmark = pytest.mark.usefixtures("in_processes_or_not")
EACH_WAY = pytest.mark.usefixtures("way")


@EACH_WAY
def test_one_failing_project_never_holds_the_others_back(rig: Rig, pypi: FakePyPI) -> None:
    bad = pypi.add_file("bad", "1.0")
    pypi.add_file("good", "1.0")
    pypi.fault(bad.url_path, Status(404), times=None)
    assert [failure.project for failure in rig.run().failures] == ["bad"]
    assert "bad" in (rig.directory / "todo").read_text()
    pypi.add_file("later", "1.0")
    rig.run()
    assert (rig.web / "simple/later/index.html").exists()
    assert not (rig.web / "simple/bad").exists()
    assert b"later" in (rig.web / "simple/index.html").read_bytes()
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()


def leave_unfinished(rig: Rig, pypi: FakePyPI) -> None:
    """Let a first run fetch one of the two files of foo, and fail with the other one."""
    arrived, missing = (pypi.add_file("foo", version) for version in ("1.0", "1.1"))
    pypi.fault(missing.url_path, Status(404), times=None)
    rig.run()
    pypi.clear_faults()
    assert (rig.web / arrived.url_path.lstrip("/")).exists()
    assert not (rig.web / "simple/foo").exists()


@EACH_WAY
def test_file_of_an_unfinished_project_does_not_outlive_its_removal(rig: Rig, pypi: FakePyPI) -> None:
    leave_unfinished(rig, pypi)
    pypi.remove_release("foo", "1.0")
    rig.run()
    rig.assert_matches()


@EACH_WAY
def test_unfinished_project_that_is_removed_leaves_nothing(rig: Rig, pypi: FakePyPI) -> None:
    leave_unfinished(rig, pypi)
    pypi.add_file("other", "1.0")  # else the index lists nothing, which is taken for an outage
    pypi.remove_project("foo")
    assert rig.run().removed == 0  # it was never shown
    rig.assert_matches()


def let_page_be_stale(rig: Rig, pypi: FakePyPI) -> None:
    """Let foo be held, and have a file more that its page does not list yet."""
    pypi.add_file("foo", "1.0")
    rig.run()
    pypi.freeze_page("foo")
    pypi.add_file("foo", "1.1")
    pypi.clear_requests()


@EACH_WAY
def test_page_that_is_stale_for_a_while_is_asked_for_again(rig: Rig, pypi: FakePyPI) -> None:
    let_page_be_stale(rig, pypi)
    pypi.fault("/simple/foo/", Call(lambda: None), Call(lambda: pypi.thaw_page("foo")))
    assert rig.run().failures == []
    assert len(pypi.page_requests()) == 2
    rig.assert_matches()


def test_page_that_stays_stale_is_left_on_the_todo_list(rig: Rig, pypi: FakePyPI) -> None:
    let_page_be_stale(rig, pypi)
    report = rig.run()
    assert report.failures == []
    assert [str(failure.error) for failure in report.late] == [
        f"foo: the page must have serial {pypi.serial} or later, upstream sent 4"
    ]
    assert len(pypi.page_requests()) == 3
    assert (rig.directory / "state").read_text().strip() == "4"
    pypi.thaw_page("foo")
    rig.run()
    rig.assert_matches()


def test_page_that_stays_stale_is_warned_of_once_and_is_an_error_after_an_hour(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    let_page_be_stale(rig, pypi)
    caplog.set_level("INFO")
    levels = []
    for _ in range(3):
        caplog.clear()
        assert rig.run().failures == []
        pypi.add_file("foo", f"1.{pypi.serial}")
        levels += [record.levelname for record in caplog.records if "the page must have serial" in record.getMessage()]
    assert levels == ["WARNING", "INFO", "INFO"]
    todo = rig.directory / "todo"
    serial, line = todo.read_text().splitlines()
    since = int(line.rpartition(" @")[2])
    todo.write_text(f"{serial}\n{line.replace(f'@{since}', f'@{since - 3600}')}\n")
    caplog.clear()
    assert [failure.project for failure in rig.run().failures] == ["foo"]
    assert [record.levelname for record in caplog.records if "foo failed" in record.getMessage()] == ["ERROR"]
    pypi.thaw_page("foo")
    assert rig.run().failures == []
    rig.assert_matches()


@EACH_WAY
def test_page_that_stays_stale_is_asked_for_again_by_the_index(rig: Rig, pypi: FakePyPI) -> None:
    rig.options["api-method"] = "simple"
    let_page_be_stale(rig, pypi)
    rig.run()
    pypi.thaw_page("foo")
    rig.run()
    rig.assert_matches()


def test_late_page_is_no_reason_to_mail(rig: Rig, pypi: FakePyPI) -> None:
    let_page_be_stale(rig, pypi)
    rig.run()
    result = rig.call("--quiet", "mirror")
    assert (result.returncode, result.stderr) == (0, "")


def test_stale_list_is_made_up_for_by_the_changelog(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("doomed", "1.0")
    pypi.freeze_list()
    pypi.add_file("new", "1.0")
    pypi.add_file("foo", "1.1")
    pypi.remove_project("doomed")
    assert rig.run().failures == []
    rig.assert_matches()


@EACH_WAY
def test_list_may_be_ahead_of_a_page_after_an_invitation(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.freeze_page("foo")
    pypi.invite_role("foo", "Maintainer", "bob")
    report = rig.run()
    assert report.failures == []
    assert (rig.directory / "state").read_text().strip() == str(pypi.serial)
    assert (rig.web / "simple/foo/index.html").exists()


@EACH_WAY
def test_missing_page_without_a_removal_is_a_failure_and_deletes_nothing(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    before = rig.tree()
    pypi.add_file("foo", "1.1")
    pypi.fault("/simple/foo/", Status(404), times=None)
    report = rig.run()
    assert "although upstream did not say that foo was removed" in str(report.failures[0].error)
    assert {k: v for k, v in rig.tree().items() if k.startswith("packages")} == {
        k: v for k, v in before.items() if k.startswith("packages")
    }
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()


@EACH_WAY
def test_what_was_done_when_the_run_is_stopped_is_not_asked_for_again(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(30):
        pypi.add_file(f"foo-{number}", "1.0")
    stop = StopFlag()

    def are_others_done() -> bool:
        pages = len(list((rig.web / "simple").glob("foo-*/index.html")))
        return pages == 29 and not list(rig.directory.rglob("*.reserved"))

    def stop_when_others_are_done() -> None:
        end = time.monotonic() + 20
        while not are_others_done() and time.monotonic() < end:
            stop.wait(0.01)
        stop.set()

    pypi.fault("/simple/foo-17/", Call(stop_when_others_are_done, Stall()))
    with pytest.raises(InterruptedRunError):
        rig.run(stop=stop, tuning=replace(rig.tuning, checkpoint_seconds=1_000.0))
    pypi.clear_faults()
    pypi.clear_requests()
    assert rig.run().failures == []
    assert [request.path for request in pypi.page_requests()] == ["/simple/foo-17/"]
    rig.assert_matches()
