"""What a changed configuration makes a run look at again."""

import pytest

from bandersnatch.plan.reconfiguration import Reconfiguration, may_have_other_filters, reconfiguration
from bandersnatch.state.saved_state import SavedState
from bandersnatch.state.todo import TodoList

WANTED = "https://index.example form=1:a pages=1:b names=1:c"
OTHER_INDEX = "https://other.example form=1:a pages=1:b names=1:c"
OTHER_FORM = "https://index.example form=1:x pages=1:b names=1:c"
OTHER_FILTERS = "https://index.example form=1:a pages=1:x names=1:c"
OTHER_NAMES = "https://index.example form=1:a pages=1:b names=1:x"
NEW, DONE, HALF_DONE = SavedState(None, None), SavedState(9, None), SavedState(9, TodoList(10))

KINDS = [
    (OTHER_INDEX, Reconfiguration.OTHER_INDEX),
    (OTHER_FORM, Reconfiguration.OTHER_PAGES),
    (OTHER_FILTERS, Reconfiguration.OTHER_PAGES),
    ("https://index.example", Reconfiguration.OTHER_PAGES),
    (OTHER_NAMES, Reconfiguration.OTHER_NAMES),
]


@pytest.mark.parametrize("saved", [NEW, DONE, HALF_DONE])
def test_the_same_configuration_changes_nothing(saved: SavedState) -> None:
    assert reconfiguration(WANTED, WANTED, None, saved) is None


@pytest.mark.parametrize("saved", [NEW, DONE, HALF_DONE])
@pytest.mark.parametrize(("before", "kind"), KINDS)
def test_each_kind_of_change(before: str, kind: Reconfiguration, saved: SavedState) -> None:
    assert reconfiguration(WANTED, before, None, saved) is kind


@pytest.mark.parametrize(("other", "kind"), KINDS)
def test_a_run_that_was_changing_to_another_configuration_counts_too(other: str, kind: Reconfiguration) -> None:
    assert reconfiguration(WANTED, WANTED, other, HALF_DONE) is kind


def test_the_larger_of_two_changes_counts() -> None:
    assert reconfiguration(WANTED, OTHER_NAMES, OTHER_INDEX, HALF_DONE) is Reconfiguration.OTHER_INDEX
    assert reconfiguration(WANTED, OTHER_FORM, OTHER_NAMES, HALF_DONE) is Reconfiguration.OTHER_PAGES


@pytest.mark.parametrize("before", [None, OTHER_FORM])
def test_a_change_that_a_todo_list_is_making_is_not_begun_again(before: str | None) -> None:
    assert reconfiguration(WANTED, before, WANTED, HALF_DONE) is None


def test_without_the_todo_list_a_change_is_begun_again() -> None:
    assert reconfiguration(WANTED, OTHER_FORM, WANTED, DONE) is Reconfiguration.OTHER_PAGES


def test_pages_without_a_fingerprint_are_another_programs() -> None:
    assert reconfiguration(WANTED, None, None, DONE) is Reconfiguration.OTHER_PROGRAM


def test_where_nothing_is_recorded_nothing_was_made_otherwise() -> None:
    assert reconfiguration(WANTED, None, None, NEW) is None


@pytest.mark.parametrize(
    ("before", "changing_to", "may_differ"),
    [
        (WANTED, None, False),
        (OTHER_INDEX, OTHER_FORM, False),
        (OTHER_FILTERS, None, True),
        (OTHER_NAMES, None, True),
        (WANTED, OTHER_FILTERS, True),
        (None, None, True),
    ],
)
def test_pages_with_other_filters(before: str | None, changing_to: str | None, may_differ: bool) -> None:
    assert may_have_other_filters(WANTED, before, changing_to) is may_differ
