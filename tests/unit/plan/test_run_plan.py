"""What a run has to do, from what is saved and from what the changelog says."""

from collections.abc import Mapping
from contextlib import closing

import pytest

from bandersnatch.errors import InterruptedRunError, MalformedResponseError, SerialMovedBackError
from bandersnatch.filters.filters import NO_FILTERS
from bandersnatch.inifile.option import ApiMethod
from bandersnatch.names import NormalizedName
from bandersnatch.plan.basis import Basis
from bandersnatch.plan.run_plan import plan_run
from bandersnatch.state.saved_state import SavedState
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.index import Upstream
from tests.support.builders import make_conversation
from tests.support.fakepypi import Call, FakePyPI, RateLimited
from tests.support.planning import A, B, Held, expectation, plan, saved_todo
from tests.support.xmlrpc_calls import LAST, LIST, SINCE, response

# Everything


def test_a_first_run_looks_at_every_project(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("A")
    pypi.add_file("b", "1.0")
    made = plan(upstream)
    assert made.todo.target_serial == pypi.serial == 6
    assert made.recheck
    assert made.is_new
    assert expectation(made) == {"a": (2, Expectation.LISTED), "b": (6, Expectation.LISTED)}
    assert made.todo.get(A) == TodoEntry("A", 2, Expectation.LISTED)


def test_an_empty_list_does_not_have_a_long_journal_read(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.add_file("a", "1.0")
    pypi.skip_serials(100_000)
    pypi.add_file("b", "1.0")
    pypi.fault(LIST, response({}), times=None)
    assert expectation(plan(upstream)) == {
        "a": (4, Expectation.LISTED),
        "b": (100_008, Expectation.LISTED),
    }  # as the root index says
    assert pypi.requests_for("/simple/")
    with closing(make_conversation()) as conversation:
        by_xmlrpc_alone = Upstream(conversation, pypi.url, api_method=ApiMethod.XMLRPC)
        with pytest.raises(MalformedResponseError, match="no project, although the journal ends at serial 100008"):
            plan(by_xmlrpc_alone)
    assert not [request for request in pypi.requests if request.rpc_method == "changelog_since_serial"]


def test_an_empty_index_has_nothing_to_do(upstream: Upstream) -> None:
    made = plan(upstream)
    assert len(made.todo) == 0
    assert made.todo.target_serial == 0


def test_quarantined_projects_and_those_without_files_are_looked_at(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.quarantine_project("a")
    assert expectation(plan(upstream)) == {"a": (3, Expectation.LISTED)}


def test_the_changelog_makes_good_for_a_list_that_is_old(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.create_project("b")
    pypi.freeze_list()
    pypi.create_project("c")
    pypi.add_file("a", "1.0", kind="sdist")
    pypi.remove_project("b")
    made = plan(upstream)
    assert expectation(made) == {
        "a": (8, Expectation.CONTENT),
        "b": (9, Expectation.REMOVED),
        "c": (5, Expectation.CONTENT),
    }
    assert made.todo.target_serial == 9


def test_the_changelog_makes_good_for_what_happens_meanwhile(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.fault(LIST, Call(lambda: pypi.create_project("b")))
    pypi.fault(SINCE, Call(lambda: pypi.create_project("c")))
    made = plan(upstream)
    assert set(expectation(made)) == {"a", "b", "c"}
    assert made.todo.target_serial == pypi.serial == 6


def test_content_that_changed_meanwhile_is_owed_also_where_a_role_changed_after_it(
    pypi: FakePyPI, upstream: Upstream
) -> None:
    pypi.create_project("a")

    def meanwhile() -> None:
        pypi.add_file("a", "1.0", kind="sdist")
        pypi.add_role("a")

    pypi.fault(LIST, Call(meanwhile))
    assert expectation(plan(upstream)) == {"a": (4, Expectation.CONTENT)}


def test_what_is_held_but_not_listed_may_be_gone(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    made = plan(upstream, held={A: 2, B: 1})
    assert expectation(made) == {"a": (2, Expectation.LISTED), "b": (0, Expectation.REMOVED)}


def test_other_pages_mean_that_every_project_is_looked_at_but_not_every_file(
    pypi: FakePyPI, upstream: Upstream
) -> None:
    pypi.create_project("a")
    made = plan(upstream, SavedState(2, None), must_check_all=True)
    assert expectation(made) == {"a": (2, Expectation.LISTED)}
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
    assert expectation(made) == {"a": (5, Expectation.ROLES), "b": (7, Expectation.CONTENT)}
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
    assert expectation(made) == {"c": (1, Expectation.CONTENT), "b": (4, Expectation.ROLES)}
    assert made.todo.target_serial == 4
    assert made.is_new


def test_a_resync_that_was_interrupted_goes_on_with_its_checks(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    saved = SavedState(None, TodoList(2, {A: TodoEntry("a", 2, Expectation.LISTED)}))
    made = plan(upstream, saved)
    assert expectation(made) == {"a": (2, Expectation.LISTED)}
    assert made.recheck


def test_the_first_serials_are_told_to_a_mirror_of_an_empty_index(pypi: FakePyPI, upstream: Upstream) -> None:
    assert not plan(upstream, SavedState(0, None)).is_new
    pypi.create_project("a")
    assert expectation(plan(upstream, SavedState(0, None))) == {"a": (1, Expectation.CONTENT)}


def test_a_gap_in_the_serials_is_no_step_back(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.skip_serials(10)
    pypi.create_project("b")
    made = plan(upstream, SavedState(2, None))
    assert expectation(made) == {"b": (13, Expectation.CONTENT)}


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


def test_a_run_that_is_asked_to_stop_asks_nothing_more(pypi: FakePyPI) -> None:
    pypi.fault(LAST, RateLimited(60), times=None)
    with (
        closing(make_conversation(attempts=2, wait=lambda _: True)) as conversation,
        pytest.raises(InterruptedRunError),
    ):
        plan(Upstream(conversation, pypi.url))
    assert len(pypi.requests) == 1


def test_what_is_held_is_not_asked_for_where_it_does_not_matter(pypi: FakePyPI, upstream: Upstream) -> None:
    class Untold(Held):
        def serials(self) -> Mapping[NormalizedName, int]:
            pytest.fail("it was asked for")

    plan_run(SavedState(0, None), Basis(upstream, Untold({}), NO_FILTERS), must_check_all=False)
