"""The option ``refresh``: each project is asked for within some time, whether anything tells of a change or not."""

import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bandersnatch.filters.filters import NO_FILTERS
from bandersnatch.inifile.option import OptionError
from bandersnatch.inifile.readers import read_refresh
from bandersnatch.plan.reached import OwnSerials
from bandersnatch.plan.refresh import Refresh, plan_refresh
from bandersnatch.plan.run_plan import RunPlan
from bandersnatch.state.awaited import Awaited
from bandersnatch.state.inventory import HeldProject, Inventory
from bandersnatch.state.todo import TodoList
from bandersnatch.state.upstream_record import UpstreamRecord
from tests.support.builders import named
from tests.support.fakepypi import Edit, FakePyPI, Status
from tests.support.rig import Rig

DAY, MINUTE = 86_400.0, 60.0
NOW = 1_800_000_000.0


class Clock:
    """The time of day, which passes when a test says so."""

    def __init__(self, rig: Rig) -> None:
        self.now = NOW
        rig.tuning = replace(rig.tuning, wall_clock=lambda: self.now)

    def days_later(self, rig: Rig, days: float) -> list[str]:
        """Run after so many days; return which projects were asked for."""
        self.now += days * DAY
        rig.pypi.clear_requests()
        rig.run()
        return sorted(each.path.split("/")[2] for each in rig.pypi.page_requests())


@pytest.fixture
def clock(rig: Rig) -> Clock:
    return Clock(rig)


def page(rig: Rig, project: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((rig.web / f"simple/{project}/index.v1_json").read_bytes())
    return found


def add_projects(pypi: FakePyPI, number: int) -> list[str]:
    names = [f"project-{each}" for each in range(number)]
    for name in names:
        pypi.add_file(name, "1.0", kind="sdist")
    return names


@pytest.mark.usefixtures("in_processes_or_not", "way")
def test_what_changes_without_a_row_in_the_journal_is_seen_in_time(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    pypi.add_file("foo", "1.0", kind="sdist")
    bar = pypi.add_file("bar", "1.0", kind="sdist")
    rig.run()
    state = (rig.directory / "state").stat()
    pypi.archive("foo")
    pypi.add_provenance("bar", bar.filename)
    assert clock.days_later(rig, 0.1) == []
    for _ in range(2):
        clock.days_later(rig, 15)
    assert page(rig, "foo")["project-status"]["status"] == "archived"
    assert page(rig, "bar")["files"][0]["provenance"] is not None
    rig.assert_matches()
    pypi.unarchive("foo")
    for _ in range(2):
        clock.days_later(rig, 15)
    rig.assert_matches()
    assert (rig.directory / "state").stat() == state, "nothing of upstream's journal was worked on"
    assert not (rig.directory / "todo").exists()


def test_an_edited_requires_python_without_a_row_in_the_journal_is_seen_in_time(
    rig: Rig, pypi: FakePyPI, clock: Clock
) -> None:
    pypi.add_file("foo", "1.0", requires_python=">=3.8")
    pypi.add_file("bar", "1.0")
    rig.run()
    serial = pypi.serial
    pypi.edit_requires_python("foo", "1.0", ">=3.10,<4")
    for _ in range(2):
        clock.days_later(rig, 15)
    assert page(rig, "foo")["files"][0]["requires-python"] == ">=3.10,<4"
    assert b'data-requires-python="&gt;=3.10,&lt;4"' in (rig.web / "simple/foo/index.html").read_bytes()
    rig.assert_matches()
    assert pypi.serial == serial
    assert (rig.directory / "state").read_text().strip() == str(serial)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("deleted", ["remove", "keep"])
def test_a_quarantined_project_that_is_removed_goes_in_time(
    rig: Rig, pypi: FakePyPI, clock: Clock, deleted: str
) -> None:
    rig.options["deleted"] = deleted
    pypi.add_file("suspect", "1.0")
    add_projects(pypi, 2)
    rig.run()
    pypi.quarantine_project("suspect")
    rig.run()
    pypi.remove_project("suspect")
    for _ in range(2):
        clock.now += 16 * DAY
        report = rig.run()
        assert (report.failures, report.late, report.withheld) == ([], [], None)
    assert (rig.web / "simple/suspect").exists() == (deleted == "keep")
    if deleted == "remove":
        rig.assert_matches()
    assert (rig.directory / "state").read_text().strip() == str(pypi.serial)


@pytest.mark.usefixtures("way")
def test_a_quarantined_project_stays_as_long_as_upstream_has_its_page(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    pypi.add_file("suspect", "1.0")
    add_projects(pypi, 2)
    rig.run()
    pypi.quarantine_project("suspect")
    rig.run()
    before = rig.tree()
    for _ in range(3):
        clock.now += 16 * DAY
        assert rig.run().removed == 0
    assert rig.tree() == before
    rig.assert_matches()


def test_each_project_is_asked_for_once_within_the_time_and_conditionally(
    rig: Rig, pypi: FakePyPI, clock: Clock
) -> None:
    names = add_projects(pypi, 10)
    rig.run()
    asked = [project for _ in range(60) for project in clock.days_later(rig, 0.5)]
    assert sorted(asked) == names
    assert {each.status for each in pypi.page_requests()} <= {304}
    assert all(len(clock.days_later(rig, 3)) == 1 for _ in range(5)), "a tenth of the projects in a tenth of the time"


def test_a_run_with_nothing_new_asks_for_no_more_than_its_share(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    add_projects(pypi, 3)
    rig.run()
    assert clock.days_later(rig, 2 / 24 / 60) == []
    assert len(pypi.rpc_calls()) == len(pypi.requests) == 1


def test_what_a_run_has_just_looked_at_is_not_asked_for_again(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    add_projects(pypi, 3)
    rig.run()
    rig.resync()
    assert sorted(clock.days_later(rig, 40)) == ["project-0", "project-1", "project-2"]


def test_a_project_that_changes_is_not_its_turn_soon(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    add_projects(pypi, 3)
    rig.run()
    pypi.add_file("project-0", "2.0", kind="sdist")
    clock.days_later(rig, 1)
    assert clock.days_later(rig, 20) == ["project-1", "project-2"]


def test_0_asks_for_nothing(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    rig.options["refresh"] = "0"
    add_projects(pypi, 3)
    rig.run()
    assert clock.days_later(rig, 90) == []


def test_a_page_that_can_not_be_had_is_a_failure_and_asked_for_again_after_an_hour(
    rig: Rig, pypi: FakePyPI, clock: Clock
) -> None:
    add_projects(pypi, 2)
    rig.run()
    pypi.fault("/simple/project-0/", Status(500), times=None)
    clock.now += 16 * DAY
    assert [failure.project for failure in rig.run().failures] == ["project-0"]
    assert not (rig.directory / "todo").exists()
    pypi.clear_faults()
    pypi.archive("project-0")
    assert clock.days_later(rig, 0.01) == []
    clock.days_later(rig, 15)
    assert page(rig, "project-0")["project-status"]["status"] == "archived"


def test_a_page_that_can_not_be_believed_keeps_no_other_from_its_turn(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    add_projects(pypi, 2)
    rig.run()
    pypi.fault(
        "/simple/project-0/", Edit(lambda page: page | {"meta": {**page["meta"], "_last-serial": 10**9}}), times=None
    )
    pypi.archive("project-1")
    for _ in range(4):
        clock.days_later(rig, 16)
    assert page(rig, "project-1")["project-status"]["status"] == "archived"


def test_a_project_that_is_404_stays_until_the_journal_tells_of_it(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    add_projects(pypi, 1)
    rig.run()
    pypi.fault("/simple/project-0/", Status(404), times=None)
    before = rig.tree()
    assert set(clock.days_later(rig, 31)) == {"project-0"}
    assert rig.tree() == before
    assert clock.days_later(rig, 1) == []


def test_what_sync_brought_past_the_filters_stays(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    pypi.add_file("foo", "1.0", kind="sdist")
    pypi.add_file("foo", "2.0rc1", kind="sdist")
    pypi.add_file("bar", "1.0", kind="sdist")
    rig.filters = "[plugins]\nenabled =\n    prerelease_release\n    blocklist_project\n[blocklist]\npackages = bar\n"
    rig.run()
    assert rig.call("sync", "--ignore-filters", "foo", "bar").returncode == 0
    before = rig.tree()
    pypi.archive("foo")
    asked = clock.days_later(rig, 15) + clock.days_later(rig, 15)
    assert set(asked) <= {"foo"}
    assert {name.partition("/")[0] for name in rig.tree()} == {name.partition("/")[0] for name in before}
    assert rig.tree().keys() == before.keys()


def test_files_that_go_without_a_word_are_under_the_brake(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    rig.options["max-removals"] = "0"
    files = [pypi.add_file("foo", f"{number}.0", kind="sdist") for number in range(1, 4)]
    rig.run()
    with pypi.lock:
        del pypi._release_of("foo", files[0].filename).files[files[0].filename]
    clock.now += 31 * DAY
    assert rig.run().withheld is not None
    assert len(page(rig, "foo")["files"]) == 3


def test_with_keep_what_upstream_deletes_without_a_word_stays(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    rig.options["deleted"] = "keep"
    files = [pypi.add_file("foo", f"{number}.0", kind="sdist") for number in range(1, 4)]
    rig.run()
    with pypi.lock:
        del pypi._release_of("foo", files[0].filename).files[files[0].filename]
    pypi.archive("foo")
    clock.days_later(rig, 31)
    assert len(page(rig, "foo")["files"]) == 3
    assert page(rig, "foo")["project-status"]["status"] == "archived"


def test_the_root_index_is_not_written_where_nothing_of_it_has_changed(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    pypi.add_file("foo", "1.0", kind="sdist")
    rig.run()
    written = (rig.web / "simple/index.html").stat().st_mtime_ns
    pypi.archive("foo")
    clock.days_later(rig, 31)
    assert (rig.web / "simple/index.html").stat().st_mtime_ns == written, "nothing that it says has changed"


def test_sync_counts_as_a_look(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0", kind="sdist")
    clock = Clock(rig)
    rig.run()
    with closing(Inventory(rig.directory / "inventory.sqlite")) as inventory:
        inventory.open()
        inventory.mark_looked_at([named("foo")], 1.0)
    assert rig.call("sync", "foo").returncode == 0
    with closing(Inventory(rig.directory / "inventory.sqlite")) as inventory:
        inventory.open()
        assert inventory.longest_not_looked_at(1, 2.0) == []
    assert clock.now == NOW


def test_a_dry_run_counts_the_share_and_leaves_it_to_the_run(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    add_projects(pypi, 2)
    rig.run()
    pypi.archive("project-0")
    with closing(Inventory(rig.directory / "inventory.sqlite")) as inventory:
        inventory.open()
        inventory.save_refreshed(1.0)
        inventory.mark_looked_at([named("project-0"), named("project-1")], 2.0)
    before = rig.stamps()
    plan = json.loads(rig.call("mirror", "--dry-run", "--json").stdout)
    assert (plan["unchanged"], plan["update"]) == (2, [])
    plan = json.loads(rig.call("mirror", "--dry-run", "--full", "--json").stdout)
    assert [update["project"] for update in plan["update"]] == ["project-0"]
    assert {path: stamp[0] for path, stamp in rig.stamps().items()} == {
        path: stamp[0] for path, stamp in before.items()
    }


# The plan


def inventory_of(path: Path, number: int) -> Inventory:
    inventory = Inventory(path / "inventory.sqlite", lambda: NOW)
    inventory.open()
    inventory.put_all(HeldProject(named(f"p{each:06}"), f"p{each:06}", 1, None, 0, 0) for each in range(number))
    return inventory


def plan(inventory: Inventory, now: float, period: float = 30 * DAY, own: OwnSerials | None = None) -> Refresh:
    of_run = RunPlan(TodoList(0), recheck=False, is_new=False, own_serials=own)
    return plan_refresh(inventory, NO_FILTERS, period, of_run, now)


@pytest.mark.parametrize("period", [0, DAY, 30 * DAY])
def test_each_project_of_an_index_without_serials_is_due_within_a_day(tmp_path: Path, period: float) -> None:
    own = OwnSerials(2, UpstreamRecord("https://index.example", "https://index.example/simple"))

    def due(minutes: float, **changed: Any) -> int:
        return len(plan(inventory, NOW + minutes * MINUTE, period, replace(own, **changed)).todo)

    with closing(inventory_of(tmp_path, 4800)) as inventory:
        plan(inventory, NOW).record(inventory, set(), set())
        assert [due(minutes) for minutes in (2, 60, 1440)] == [100, 200, 4800]
        assert due(60, has_no_news=True) == 0


def test_all_of_pypi_every_two_minutes_is_34_requests_a_run(tmp_path: Path) -> None:
    with closing(inventory_of(tmp_path, 7360)) as inventory:
        plan(inventory, NOW).record(inventory, set(), set())
        share = plan(inventory, NOW + 200 * MINUTE)  # a hundredth of the projects, and a hundred runs
        assert len(share.todo) == 34


def test_the_time_that_is_less_than_one_project_counts_for_the_next_run(tmp_path: Path) -> None:
    with closing(inventory_of(tmp_path, 10)) as inventory:
        plan(inventory, NOW).record(inventory, set(), set())
        shares = []
        for run in range(1, 61):
            share = plan(inventory, NOW + run * DAY / 2)
            share.record(inventory, {*share.todo}, set())
            shares.append(len(share.todo))
        assert sum(shares) == 10
        assert max(shares) == 1


def test_a_clock_that_was_set_back_begins_anew(tmp_path: Path) -> None:
    with closing(inventory_of(tmp_path, 10)) as inventory:
        inventory.save_refreshed(NOW + 100 * DAY)
        share = plan(inventory, NOW)
        share.record(inventory, set(), set())
        assert len(share.todo) == 0
        assert len(plan(inventory, NOW + 3 * DAY).todo) == 1


def test_a_time_in_the_future_counts_as_never(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    add_projects(pypi, 3)
    rig.run()
    with closing(sqlite3.connect(rig.directory / "inventory.sqlite")) as inventory, inventory:
        inventory.execute("UPDATE project SET looked_at = ? WHERE name = 'project-1'", (NOW + 10_000 * DAY,))
    assert [clock.days_later(rig, 10) for _ in range(3)] == [["project-1"], ["project-0"], ["project-2"]]


def test_a_time_in_the_future_is_no_time_at_which_an_awaited_page_was_asked_for(tmp_path: Path) -> None:
    with closing(inventory_of(tmp_path, 1)) as inventory:
        inventory.note_awaited(named("p000000"), Awaited(7, is_incomplete=False))
        with closing(sqlite3.connect(tmp_path / "inventory.sqlite")) as other, other:
            other.execute("UPDATE awaited SET since = ?, asked = 9e10", (NOW - 60,))
        assert inventory.due_awaited(NOW) == [("p000000", "p000000", 1)]


def test_no_run_asks_for_more_than_the_share_of_a_week(tmp_path: Path) -> None:
    with closing(inventory_of(tmp_path, 6000)) as inventory:
        inventory.save_refreshed(NOW)
        assert len(plan(inventory, NOW + 300 * DAY).todo) == 1400
        assert len(plan(inventory, NOW + 300 * DAY, period=2 * DAY).todo) == 6000
        assert len(plan(inventory, NOW + 300 * DAY, period=300 * DAY).todo) == 1000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("30 days", 30 * DAY), ("1 day", DAY), ("12 hours", DAY / 2), ("2 weeks", 14 * DAY), ("7d", 7 * DAY)],
)
def test_the_option_is_a_time(text: str, seconds: float) -> None:
    assert read_refresh(text) == seconds


@pytest.mark.parametrize("text", ["30", "0 days", "-1 days", "a month", "1.5 days", "30 days ago"])
def test_what_is_no_such_time_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="expected a time such as 30 days"):
        read_refresh(text)


def test_the_log_tells_of_a_share(rig: Rig, pypi: FakePyPI, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    add_projects(pypi, 2)
    rig.run()
    caplog.set_level(logging.INFO)
    clock.days_later(rig, 15)
    assert "projects to check again, although nothing says that they have changed: 1" in caplog.text


def test_a_look_that_upstream_ends_early_counts_what_was_not_tried(rig: Rig, pypi: FakePyPI, clock: Clock) -> None:
    names = add_projects(pypi, 40)
    rig.run()
    for name in names:
        pypi.fault(f"/simple/{name}/", Status(503), times=None)
    clock.now += 31 * DAY
    report = rig.run(workers="1")
    assert report.outage is not None
    assert report.untried == 40 - len(report.failures) > 0
    assert report.summary().endswith(f"; not tried: {report.untried} projects")
