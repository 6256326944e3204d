"""What a run has to do, from what is saved and from what upstream says."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

import pytest
from packaging.utils import NormalizedName

from bandersnatch.changes import Owed
from bandersnatch.errors import InterruptedRunError, SerialMovedBackError, UpstreamError
from bandersnatch.filters.filters import NO_FILTERS, Filters
from bandersnatch.filters.names import NameMatchesNone, OnlyListed
from bandersnatch.inventory import HeldProject
from bandersnatch.layout import StoredPath
from bandersnatch.run_plan import RunPlan, plan_run
from bandersnatch.state import SavedState
from bandersnatch.todo import TodoEntry, TodoList
from bandersnatch.upstream import Upstream
from tests.builders import make_fetcher, named
from tests.fakepypi import Body, Call, FakePyPI, RateLimited, Status, XmlFault

NEW = SavedState(None, None)
SINCE = "rpc:changelog_since_serial"
LIST = "rpc:list_packages_with_serial"
LAST = "rpc:changelog_last_serial"
A, B, C = named("a"), named("b"), named("c")


@pytest.fixture
def upstream(pypi: FakePyPI) -> Iterator[Upstream]:
    with closing(make_fetcher()) as fetcher:
        yield Upstream(fetcher, pypi.url, lambda _: False)


@dataclass(frozen=True)
class Held:
    """An inventory of projects at a serial each, and the names of those that a dead run left unfinished."""

    at: Mapping[NormalizedName, int]
    unfinished: tuple[NormalizedName, ...] = ()
    display_names: Mapping[NormalizedName, str] = field(default_factory=dict)

    def serials(self) -> Mapping[NormalizedName, int]:
        return self.at

    def get(self, project: NormalizedName) -> HeldProject | None:
        if project not in self.at:
            return None
        return HeldProject(project, self.display_names.get(project, project), self.at[project], None, 0, 0)

    def all_unsettled(self) -> list[tuple[NormalizedName, StoredPath]]:
        return [(name, StoredPath(f"web/packages/{name}")) for name in self.unfinished]


def plan(
    upstream: Upstream,
    saved: SavedState = NEW,
    held: Mapping[NormalizedName, int] | None = None,
    *,
    filters: Filters = NO_FILTERS,
    must_check_all: bool = False,
) -> RunPlan:
    return plan_run(saved, upstream, Held(held or {}), filters, must_check_all=must_check_all)


def owed(plan: RunPlan) -> dict[str, tuple[int, Owed]]:
    return {name: (plan.todo[name].serial, plan.todo[name].owed) for name in plan.todo}


def saved_todo(target: int, **entries: TodoEntry) -> SavedState:
    return SavedState(1, TodoList(target, {named(name): entry for name, entry in entries.items()}))


# Everything


def test_a_first_run_looks_at_every_project(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("A")
    pypi.add_file("b", "1.0")
    made = plan(upstream)
    assert made.todo.target_serial == pypi.serial == 6
    assert made.recheck
    assert made.is_new
    assert owed(made) == {"a": (2, Owed.LISTED), "b": (6, Owed.LISTED)}
    assert made.todo.get(A) == TodoEntry("A", 2, Owed.LISTED)


def test_an_empty_index_has_nothing_to_do(upstream: Upstream) -> None:
    made = plan(upstream)
    assert len(made.todo) == 0
    assert made.todo.target_serial == 0


def test_quarantined_projects_and_those_without_files_are_looked_at(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.quarantine_project("a")
    assert owed(plan(upstream)) == {"a": (3, Owed.LISTED)}


def test_the_changelog_makes_good_for_a_list_that_is_old(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.create_project("b")
    pypi.freeze_list()
    pypi.create_project("c")
    pypi.add_file("a", "1.0", kind="sdist")
    pypi.remove_project("b")
    made = plan(upstream)
    assert owed(made) == {"a": (8, Owed.CONTENT), "b": (9, Owed.REMOVED), "c": (5, Owed.CONTENT)}
    assert made.todo.target_serial == 9


def test_the_changelog_makes_good_for_what_happens_meanwhile(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.fault(LIST, Call(lambda: pypi.create_project("b")))
    pypi.fault(SINCE, Call(lambda: pypi.create_project("c")))
    made = plan(upstream)
    assert set(owed(made)) == {"a", "b", "c"}
    assert made.todo.target_serial == pypi.serial == 6


def test_content_that_changed_meanwhile_is_owed_also_where_a_role_changed_after_it(
    pypi: FakePyPI, upstream: Upstream
) -> None:
    pypi.create_project("a")

    def meanwhile() -> None:
        pypi.add_file("a", "1.0", kind="sdist")
        pypi.add_role("a")

    pypi.fault(LIST, Call(meanwhile))
    assert owed(plan(upstream)) == {"a": (4, Owed.CONTENT)}


def test_what_is_held_but_not_listed_may_be_gone(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    made = plan(upstream, held={A: 2, B: 1})
    assert owed(made) == {"a": (2, Owed.LISTED), "b": (0, Owed.REMOVED)}


def test_other_pages_mean_that_every_project_is_looked_at_but_not_every_file(
    pypi: FakePyPI, upstream: Upstream
) -> None:
    pypi.create_project("a")
    made = plan(upstream, SavedState(2, None), must_check_all=True)
    assert owed(made) == {"a": (2, Owed.LISTED)}
    assert (made.recheck, made.is_new) == (False, True)


def test_other_pages_do_not_hide_that_upstream_moved_back(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    with pytest.raises(SerialMovedBackError):
        plan(upstream, SavedState(3, None), must_check_all=True)


# Changes


def test_a_later_run_looks_at_what_has_changed(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.create_project("b")
    begin = pypi.serial
    pypi.add_role("a")
    pypi.add_file("b", "1.0", kind="sdist")
    made = plan(upstream, SavedState(begin, None))
    assert owed(made) == {"a": (5, Owed.ROLES), "b": (7, Owed.CONTENT)}
    assert made.todo.target_serial == 7
    assert (made.recheck, made.is_new) == (False, True)
    assert "list_packages_with_serial" not in pypi.rpc_calls()


def test_where_nothing_has_changed_there_is_nothing_new(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    made = plan(upstream, SavedState(2, None))
    assert len(made.todo) == 0
    assert made.todo.target_serial == 2
    assert not made.is_new
    assert set(pypi.rpc_calls()) == {"changelog_since_serial"}


def test_rows_about_no_project_move_the_serial_on(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.write_journal("user:alice", None, "nuke user")
    made = plan(upstream, SavedState(2, None))
    assert len(made.todo) == 0
    assert made.todo.target_serial == 3
    assert made.is_new


def test_what_is_left_of_earlier_runs_stays_on_the_list(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.create_project("b")
    made = plan(upstream, saved_todo(3, c=TodoEntry("C", 1)))
    assert owed(made) == {"c": (1, Owed.CONTENT), "b": (4, Owed.ROLES)}
    assert made.todo.target_serial == 4
    assert made.is_new


def test_a_resync_that_was_interrupted_goes_on_with_its_checks(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    saved = SavedState(None, TodoList(2, {A: TodoEntry("a", 2, Owed.LISTED)}))
    made = plan(upstream, saved)
    assert owed(made) == {"a": (2, Owed.LISTED)}
    assert made.recheck


def test_the_first_serials_are_told_to_a_mirror_of_an_empty_index(pypi: FakePyPI, upstream: Upstream) -> None:
    assert not plan(upstream, SavedState(0, None)).is_new
    pypi.create_project("a")
    assert owed(plan(upstream, SavedState(0, None))) == {"a": (1, Owed.CONTENT)}


def test_a_gap_in_the_serials_is_no_step_back(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.skip_serials(10)
    pypi.create_project("b")
    made = plan(upstream, SavedState(2, None))
    assert owed(made) == {"b": (13, Owed.CONTENT)}


@pytest.mark.parametrize("ours", [3, 1000])
def test_an_upstream_that_moved_back_is_refused(pypi: FakePyPI, upstream: Upstream, ours: int) -> None:
    pypi.create_project("a")
    with pytest.raises(
        SerialMovedBackError, match=f"upstream's last serial is 2, but this mirror is at {ours} already"
    ):
        plan(upstream, SavedState(ours, None))


def test_an_upstream_that_lost_its_journal_is_refused(upstream: Upstream) -> None:
    with pytest.raises(SerialMovedBackError, match="upstream's last serial is 0"):
        plan(upstream, SavedState(5, None))


# Without XML-RPC


def without_rpc(pypi: FakePyPI) -> None:
    pypi.fault("/pypi", Status(404), times=None)


def test_without_xml_rpc_a_first_run_goes_by_the_root_index(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("A")
    pypi.create_project("b")
    without_rpc(pypi)
    made = plan(upstream)
    assert owed(made) == {"a": (2, Owed.LISTED), "b": (4, Owed.LISTED)}
    assert made.todo.target_serial == 4
    assert made.recheck


def test_without_xml_rpc_a_later_run_looks_at_what_is_newer_or_missing(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.create_project("b")
    pypi.create_project("gone")
    pypi.remove_project("gone")
    without_rpc(pypi)
    made = plan(upstream, SavedState(6, None), {A: 2, B: 3, named("gone"): 6})
    assert owed(made) == {"b": (4, Owed.LISTED), "gone": (0, Owed.REMOVED)}
    assert made.todo.target_serial == 7


def test_what_is_newer_than_an_old_root_index_is_not_taken_for_gone(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    without_rpc(pypi)
    assert owed(plan(upstream, SavedState(2, None), {A: 2, B: 9})) == {}


def test_an_old_root_index_moves_nothing_back(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    without_rpc(pypi)
    made = plan(upstream, saved_todo(9, b=TodoEntry("b", 8)), {A: 2})
    assert made.todo.target_serial == 9
    assert owed(made) == {"b": (8, Owed.CONTENT)}


@pytest.mark.parametrize("kind", [Owed.CONTENT, Owed.REMOVALS])
def test_the_root_index_does_not_hide_what_the_changelog_said_before(
    pypi: FakePyPI, upstream: Upstream, kind: Owed
) -> None:
    pypi.create_project("a")
    pypi.add_role("a")
    without_rpc(pypi)
    made = plan(upstream, saved_todo(2, a=TodoEntry("a", 2, kind)), {A: 1})
    serial, owed_kind = owed(made)["a"]
    assert owed_kind is kind
    assert serial >= 2


def test_that_the_root_index_stands_in_is_told(
    pypi: FakePyPI, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    without_rpc(pypi)
    plan(upstream)
    (message,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert f"this run goes by the root index {pypi.url}/simple/ in its place" in message


@pytest.mark.parametrize("fault", [Status(404), Status(500), Body(b"<html>"), XmlFault(1, "no"), RateLimited(0)])
def test_whatever_is_wrong_with_xml_rpc_the_root_index_stands_in(
    pypi: FakePyPI, upstream: Upstream, fault: Status | Body | XmlFault | RateLimited
) -> None:
    pypi.create_project("a")
    pypi.fault("/pypi", fault, times=None)
    assert set(owed(plan(upstream))) == {"a"}


def test_where_neither_can_be_had_the_first_error_is_raised(pypi: FakePyPI, upstream: Upstream) -> None:
    without_rpc(pypi)
    pypi.fault("/simple/", Status(500), times=None)
    with pytest.raises(UpstreamError, match=f"^{pypi.url}/pypi: not found$"):
        plan(upstream)


def test_a_root_index_without_serials_can_not_stand_in(pypi: FakePyPI, upstream: Upstream) -> None:
    without_rpc(pypi)
    pypi.fault("/simple/", Body(b'{"projects": [{"name": "a"}]}'))
    with pytest.raises(UpstreamError):
        plan(upstream)


def test_a_run_that_is_asked_to_stop_asks_nothing_more(pypi: FakePyPI) -> None:
    pypi.fault(LAST, RateLimited(60), times=None)
    with closing(make_fetcher()) as fetcher, pytest.raises(InterruptedRunError):
        plan(Upstream(fetcher, pypi.url, lambda _: True))
    assert len(pypi.requests) == 1


def test_what_is_held_is_not_asked_for_where_it_does_not_matter(pypi: FakePyPI, upstream: Upstream) -> None:
    class Untold(Held):
        def serials(self) -> Mapping[NormalizedName, int]:
            pytest.fail("it was asked for")

    plan_run(SavedState(0, None), upstream, Untold({}), NO_FILTERS, must_check_all=False)


# Filters

ONLY_A = Filters(projects=(OnlyListed("allowlist_project", frozenset([A]), "the list"),))
NO_CAPITALS = Filters(projects=(NameMatchesNone("regex_project", (re.compile("[A-Z]"),)),))


def test_what_a_filter_drops_is_not_planned(pypi: FakePyPI, upstream: Upstream) -> None:
    for name in ("a", "b", "c"):
        pypi.create_project(name)
    made = plan(upstream, filters=ONLY_A)
    assert owed(made) == {"a": (2, Owed.LISTED)}
    assert made.todo.target_serial == pypi.serial


def test_the_changelog_is_asked_from_the_newest_project_of_the_list_on_whatever_is_kept(
    pypi: FakePyPI, upstream: Upstream
) -> None:
    for name in ("a", "b", "c"):
        pypi.create_project(name)
    plan(upstream, filters=ONLY_A)
    assert b"<int>6</int>" in pypi.requests[-1].body


def test_changes_of_what_a_filter_drops_are_no_work(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.create_project("b")
    made = plan(upstream, SavedState(0, None), filters=ONLY_A)
    assert list(made.todo) == ["a"]
    assert made.todo.target_serial == 4


def test_what_is_held_and_dropped_is_to_be_removed(pypi: FakePyPI, upstream: Upstream) -> None:
    for name in ("a", "b", "c"):
        pypi.create_project(name)
    made = plan(upstream, SavedState(6, None), {A: 2, B: 4}, filters=ONLY_A, must_check_all=True)
    assert owed(made) == {"a": (2, Owed.LISTED), "b": (4, Owed.EXCLUDED)}


def test_a_project_that_is_held_and_dropped_goes_when_it_changes(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.create_project("b")
    assert owed(plan(upstream, SavedState(2, None), {B: 1}, filters=ONLY_A)) == {"b": (3, Owed.EXCLUDED)}


def test_what_upstream_no_longer_lists_is_dropped_without_a_question(upstream: Upstream) -> None:
    assert owed(plan(upstream, NEW, {B: 4}, filters=ONLY_A)) == {"b": (0, Owed.EXCLUDED)}


def test_the_displayed_name_of_what_is_not_listed_is_the_one_it_had(upstream: Upstream) -> None:
    held = Held({A: 1, B: 2}, display_names={A: "A", B: "b"})
    made = plan_run(NEW, upstream, held, NO_CAPITALS, must_check_all=True)
    assert owed(made) == {"a": (0, Owed.REMOVED), "b": (0, Owed.REMOVED)}


def test_a_pattern_sees_the_name_that_upstream_shows(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("Django")
    pypi.create_project("flask")
    assert list(plan(upstream, filters=NO_CAPITALS).todo) == ["flask"]


def test_leftovers_of_a_project_that_is_dropped_since_are_to_be_removed(upstream: Upstream) -> None:
    made = plan_run(SavedState(0, None), upstream, Held({}, (A, B)), ONLY_A, must_check_all=False)
    assert owed(made) == {"b": (0, Owed.EXCLUDED)}


def test_the_root_index_is_filtered_too(pypi: FakePyPI, upstream: Upstream) -> None:
    for name in ("a", "b", "c"):
        pypi.create_project(name)
    without_rpc(pypi)
    made = plan(upstream, NEW, {B: 4}, filters=ONLY_A)
    assert owed(made) == {"a": (2, Owed.LISTED), "b": (4, Owed.EXCLUDED)}


def test_removal_because_of_a_filter_stays_on_the_list_until_it_is_done(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.add_file("b", "1.0")
    saved = saved_todo(1, b=TodoEntry("b", 1, Owed.EXCLUDED))
    assert owed(plan(upstream, saved, {B: 1}, filters=ONLY_A)) == {"b": (4, Owed.EXCLUDED)}


def test_a_password_is_not_logged(pypi: FakePyPI, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    url = pypi.url.replace("://", "://user:secret@")
    pypi.create_project("a")
    with closing(make_fetcher()) as fetcher:
        plan(Upstream(fetcher, url, lambda _: False))
        without_rpc(pypi)
        plan(Upstream(fetcher, url, lambda _: False))
        pypi.clear_faults()
        with pytest.raises(UpstreamError) as caught:
            plan(Upstream(fetcher, url, lambda _: False), SavedState(50, None))
    assert "secret" not in caplog.text
    assert "secret" not in str(caught.value)
