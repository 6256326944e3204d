"""What a run has to do where filters drop projects."""

import re

from bandersnatch.filters.filters import Filters
from bandersnatch.filters.names import NameMatchesNone, OnlyListed
from bandersnatch.plan.basis import Basis
from bandersnatch.plan.run_plan import plan_run
from bandersnatch.state.saved_state import SavedState
from bandersnatch.state.todo import TodoEntry
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.index import Upstream
from tests.support.fakepypi import FakePyPI
from tests.support.planning import NEW, A, B, Held, expectation, plan, saved_todo, without_rpc

ONLY_A = Filters(projects=(OnlyListed("allowlist_project", frozenset([A]), "the list"),))
NO_CAPITALS = Filters(projects=(NameMatchesNone("regex_project", (re.compile("[A-Z]"),)),))


def test_what_a_filter_drops_is_not_planned(pypi: FakePyPI, upstream: Upstream) -> None:
    for name in ("a", "b", "c"):
        pypi.create_project(name)
    made = plan(upstream, filters=ONLY_A)
    assert expectation(made) == {"a": (2, Expectation.LISTED)}
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
    assert expectation(made) == {"a": (2, Expectation.LISTED), "b": (4, Expectation.EXCLUDED)}


def test_a_project_that_is_held_and_dropped_goes_when_it_changes(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.create_project("b")
    assert expectation(plan(upstream, SavedState(2, None), {B: 1}, filters=ONLY_A)) == {"b": (3, Expectation.EXCLUDED)}


def test_what_upstream_no_longer_lists_is_dropped_without_a_question(upstream: Upstream) -> None:
    assert expectation(plan(upstream, NEW, {B: 4}, filters=ONLY_A)) == {"b": (0, Expectation.EXCLUDED)}


def test_the_displayed_name_of_what_is_not_listed_is_the_one_it_had(upstream: Upstream) -> None:
    held = Held({A: 1, B: 2}, display_names={A: "A", B: "b"})
    made = plan_run(NEW, Basis(upstream, held, NO_CAPITALS), must_check_all=True)
    assert expectation(made) == {"a": (0, Expectation.REMOVED), "b": (0, Expectation.REMOVED)}


def test_a_pattern_sees_the_name_that_upstream_shows(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("Django")
    pypi.create_project("flask")
    assert list(plan(upstream, filters=NO_CAPITALS).todo) == ["flask"]


def test_leftovers_of_a_project_that_is_dropped_since_are_to_be_removed(upstream: Upstream) -> None:
    made = plan_run(SavedState(0, None), Basis(upstream, Held({}, (A, B)), ONLY_A), must_check_all=False)
    assert expectation(made) == {"b": (0, Expectation.EXCLUDED)}


def test_the_root_index_is_filtered_too(pypi: FakePyPI, upstream: Upstream) -> None:
    for name in ("a", "b", "c"):
        pypi.create_project(name)
    without_rpc(pypi)
    made = plan(upstream, NEW, {B: 4}, filters=ONLY_A)
    assert expectation(made) == {"a": (2, Expectation.LISTED), "b": (4, Expectation.EXCLUDED)}


def test_removal_because_of_a_filter_stays_on_the_list_until_it_is_done(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.add_file("b", "1.0")
    saved = saved_todo(1, b=TodoEntry("b", 1, Expectation.EXCLUDED))
    assert expectation(plan(upstream, saved, {B: 1}, filters=ONLY_A)) == {"b": (4, Expectation.EXCLUDED)}
