"""What upstream has promised, and a run did not get, is requested by later runs: pages that stay behind, core metadata."""

import json
from contextlib import closing

import pytest
from msgspec.structs import replace

from bandersnatch.state.awaited import Awaited
from bandersnatch.state.inventory import Inventory
from tests.support.builders import named
from tests.support.fakepypi import Edit, FakePyPI, Status, UploadedFile
from tests.support.rig import Rig

EACH_WAY = pytest.mark.usefixtures("in_processes_or_not", "way")
MINUTE, HOUR = 60.0, 3600.0
NOW = 1_800_000_000.0


class Clock:
    """The time of day, which passes when a test says so."""

    def __init__(self, rig: Rig) -> None:
        self._rig, self.now = rig, NOW
        rig.tuning = replace(rig.tuning, wall_clock=lambda: self.now)

    def run_after(self, seconds: float) -> int:
        """Run after that time; return how many pages were asked for."""
        self.now += seconds
        self._rig.pypi.clear_requests()
        report = self._rig.run()
        assert (report.failures, report.late) == ([], [])
        return len(self._rig.pypi.page_requests())

    def runs_that_ask(self, number: int, seconds: float) -> list[float]:
        """Run so many times, as far apart; return after how many hours pages were asked for."""
        begin = self.now
        return [(self.now - begin) / HOUR for _ in range(number) if self.run_after(seconds)]


@pytest.fixture
def clock(rig: Rig) -> Clock:
    return Clock(rig)


def hold_back_a_file(pypi: FakePyPI) -> UploadedFile:
    """Let upstream's page of foo not have a file with which it is listed."""
    pypi.add_file("foo", "1.0")
    pypi.add_file("other", "1.0")
    pypi.freeze_page("foo")
    return pypi.add_file("foo", "1.1")


def is_here(rig: Rig, file: UploadedFile) -> bool:
    return (rig.web / file.url_path.lstrip("/")).exists()


def awaited(rig: Rig) -> dict[str, int]:
    with closing(Inventory(rig.directory / "inventory.sqlite")) as inventory:
        inventory.open()
        return {str(project): serial for project, serial in inventory.awaited_serials().items()}


@EACH_WAY
@pytest.mark.parametrize("is_resync", [False, True], ids=["first run", "resync"])
@pytest.mark.parametrize("refresh", ["0", "30 days"])
def test_file_that_a_page_lacks_for_a_whole_full_run_comes_by_a_plain_one(
    rig: Rig, pypi: FakePyPI, clock: Clock, *, is_resync: bool, refresh: str
) -> None:
    rig.options["refresh"] = refresh
    if is_resync:
        pypi.add_file("foo", "0.9")
        rig.run()
        rig.resync()
    late = hold_back_a_file(pypi)
    report = rig.run()
    assert (report.failures, report.late) == ([], [])
    assert (rig.directory / "state").read_text().strip() == str(pypi.serial), "no other project waits for this one"
    assert not is_here(rig, late)
    pypi.thaw_page("foo")
    clock.run_after(2 * MINUTE)
    assert is_here(rig, late)
    rig.assert_matches()
    assert awaited(rig) == {}
    assert clock.run_after(2 * MINUTE) == 0


@EACH_WAY
def test_page_that_stays_behind_is_asked_for_ever_more_seldom(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    late = hold_back_a_file(pypi)
    rig.run()
    asked = [round(hours, 1) for hours in clock.runs_that_ask(24 * 12, 5 * MINUTE)]
    assert asked == [0.1, 0.2, 0.3, 0.7, 1.3, 2.7, 5.3, 10.7, 21.3]
    pypi.thaw_page("foo")
    assert clock.run_after(1 * HOUR) == 1, "the last time is when no cache can be as old"
    assert is_here(rig, late)
    rig.assert_matches()


@pytest.mark.usefixtures("in_processes_or_not")
def test_page_that_stays_behind_for_more_than_a_day_is_not_awaited_any_more(
    rig: Rig, pypi: FakePyPI, clock: Clock
) -> None:
    hold_back_a_file(pypi)
    rig.run()
    assert clock.run_after(26 * HOUR) == 1
    assert awaited(rig) == {}
    assert clock.runs_that_ask(30, 1 * HOUR) == []


@EACH_WAY
def test_change_of_roles_costs_a_conditional_request_now_and_then(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    pypi.add_file("foo", "1.0")
    pypi.freeze_page("foo")
    pypi.invite_role("foo", "Maintainer", "bob")
    rig.run()
    written = rig.mtimes()
    assert clock.run_after(2 * MINUTE) == 1
    assert {request.status for request in pypi.page_requests()} == {304}
    assert clock.run_after(1 * MINUTE) == 0
    assert rig.mtimes() == written


@EACH_WAY
def test_page_that_can_not_be_had_is_asked_for_later(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    late = hold_back_a_file(pypi)
    rig.run()
    pypi.thaw_page("foo")
    pypi.fault("/simple/foo/", Status(500), times=None)
    clock.now += 2 * MINUTE
    assert [failure.project for failure in rig.run().failures] == ["foo"]
    pypi.clear_faults()
    clock.run_after(2 * MINUTE)
    assert is_here(rig, late)


@EACH_WAY
def test_change_after_an_absurd_serial_of_the_list_waits_for_nothing(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    pypi.add_file("other", "1.0")
    pypi.add_file("foo", "1.0")
    rig.run()
    with closing(Inventory(rig.directory / "inventory.sqlite", lambda: clock.now)) as inventory:
        inventory.open()
        inventory.note_awaited(named("foo"), Awaited(pypi.serial + 1000, is_incomplete=False))
    new = pypi.add_file("foo", "1.1")
    rig.run()
    assert is_here(rig, new)
    rig.assert_matches()


def test_project_that_is_removed_is_not_awaited(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    hold_back_a_file(pypi)
    rig.run()
    pypi.thaw_page("foo")
    pypi.remove_project("foo")
    clock.run_after(2 * MINUTE)
    assert awaited(rig) == {}
    rig.assert_matches()


def test_clock_that_was_set_back_ends_the_wait(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    hold_back_a_file(pypi)
    rig.run()
    clock.run_after(-1 * HOUR)
    assert awaited(rig) == {}


def test_pages_that_tell_no_serial_are_not_awaited(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Edit(lambda page: page | {"meta": {"api-version": "1.1"}}), times=None)
    rig.run()
    assert awaited(rig) == {}
    assert clock.run_after(2 * MINUTE) == 0


@EACH_WAY
def test_core_metadata_that_was_missing_once_comes_by_a_plain_run(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    file = pypi.add_file("foo", "1.0", metadata_in_wheel=False)
    pypi.fault(f"{file.url_path}.metadata", Status(404), times=None)
    rig.run()
    metadata = rig.web / f"{file.url_path.lstrip('/')}.metadata"
    assert clock.run_after(2 * MINUTE) == 1
    assert not metadata.exists()
    assert clock.run_after(1 * MINUTE) == 0
    assert not json.loads((rig.web / "simple/foo/index.v1_json").read_bytes())["files"][0].get("core-metadata")
    pypi.clear_faults()
    clock.run_after(1 * HOUR)
    assert metadata.exists()
    assert json.loads((rig.web / "simple/foo/index.v1_json").read_bytes())["files"][0]["core-metadata"]
    rig.assert_matches()
    assert awaited(rig) == {}


@pytest.mark.usefixtures("in_processes_or_not")
def test_core_metadata_that_never_comes_is_asked_for_a_bounded_number_of_times(
    rig: Rig, pypi: FakePyPI, clock: Clock
) -> None:
    file = pypi.add_file("foo", "1.0", metadata_in_wheel=False)
    pypi.fault(f"{file.url_path}.metadata", Status(404), times=None)
    rig.run()
    assert len(clock.runs_that_ask(48, 1 * HOUR)) == 6
    assert awaited(rig) == {}


def test_sync_notes_what_it_has_gone_on_without(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("other", "1.0")
    rig.run()
    file = pypi.add_file("foo", "1.0", metadata_in_wheel=False)
    pypi.fault(f"{file.url_path}.metadata", Status(404), times=None)
    assert rig.call("sync", "foo").returncode == 0
    assert awaited(rig) == {named("foo"): 0}
