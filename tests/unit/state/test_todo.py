"""The todo list: merging changes into it, and its text form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.model import ChangelogEntry
from bandersnatch.names import NormalizedName
from bandersnatch.state.todo import TodoEntry, TodoFormatError, TodoList
from bandersnatch.upstream.changelog_actions import Expectation
from tests.support.builders import SAMPLE, named, serials, unhurried

Change = tuple[ChangelogEntry, Expectation]

display_names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True)
todo_entries = st.builds(TodoEntry, display_names, serials, st.sampled_from(Expectation))


def change(serial: int, expectation: Expectation = Expectation.CONTENT, name: str = "sample") -> Change:
    return ChangelogEntry(named(name), name, "", serial), expectation


@st.composite
def change_lists(draw: st.DrawFn) -> list[Change]:
    """Make up changes to a few projects, each with a serial of its own."""
    numbers = draw(st.lists(st.integers(1, 1000), unique=True, max_size=12))
    kinds = st.sampled_from([Expectation.CONTENT, Expectation.REMOVALS, Expectation.ROLES, Expectation.REMOVED])
    return [change(number, draw(kinds), draw(st.sampled_from("abc"))) for number in numbers]


def entries(todo: TodoList) -> dict[NormalizedName, tuple[int, Expectation]]:
    return {name: (todo[name].serial, todo[name].expectation) for name in todo}


def text_of(todo: TodoList) -> str:
    return "".join(todo.to_lines())


def test_a_new_list_is_empty_and_has_its_target() -> None:
    todo = TodoList(5)
    assert len(todo) == 0
    assert SAMPLE not in todo
    assert todo.get(SAMPLE) is None
    assert todo.target_serial == 5


def test_an_added_project_can_be_taken_off_again() -> None:
    todo = TodoList(5)
    todo.add(SAMPLE, TodoEntry("Sample", 3))
    assert todo.get(SAMPLE) == TodoEntry("Sample", 3, Expectation.CONTENT)
    todo.discard(SAMPLE)
    assert SAMPLE not in todo


def test_taking_off_what_is_not_there_does_nothing() -> None:
    todo = TodoList(5)
    todo.discard(SAMPLE)
    assert len(todo) == 0


def test_merging_moves_the_target_to_the_newest_serial() -> None:
    todo = TodoList(5)
    todo.merge([change(9), change(7, name="other")])
    assert todo.target_serial == 9


def test_merging_never_moves_the_target_back() -> None:
    todo = TodoList(50)
    todo.merge([change(9)])
    assert todo.target_serial == 50


def test_the_newest_spelling_of_a_name_is_kept() -> None:
    todo = TodoList(0)
    rows = [ChangelogEntry(SAMPLE, spelling, "", serial) for serial, spelling in ((1, "sample"), (2, "Sample"))]
    todo.merge((row, Expectation.CONTENT) for row in reversed(rows))
    assert todo.get(SAMPLE) == TodoEntry("Sample", 2)


def test_a_change_of_roles_does_not_ask_for_a_newer_page_than_the_content_did() -> None:
    todo = TodoList(0)
    todo.merge([change(1), change(2, Expectation.ROLES)])
    assert entries(todo) == {SAMPLE: (1, Expectation.CONTENT)}


def test_a_change_of_roles_does_not_hide_a_removal() -> None:
    todo = TodoList(0)
    todo.merge([change(1, Expectation.REMOVED), change(2, Expectation.ROLES)])
    assert entries(todo) == {SAMPLE: (1, Expectation.REMOVED)}


def test_a_project_that_was_created_again_is_not_removed_but_may_have_lost_files() -> None:
    todo = TodoList(0)
    todo.merge([change(1, Expectation.REMOVED), change(2)])
    assert entries(todo) == {SAMPLE: (2, Expectation.REMOVALS)}


def test_a_newer_change_does_not_hide_that_files_were_removed() -> None:
    todo = TodoList(0)
    todo.merge([change(1, Expectation.REMOVALS), change(2), change(3, Expectation.ROLES), change(4)])
    assert entries(todo) == {SAMPLE: (4, Expectation.REMOVALS)}


def test_an_older_change_of_content_is_owed_whatever_the_list_says() -> None:
    todo = TodoList(5)
    todo.add(SAMPLE, TodoEntry("sample", 5, Expectation.LISTED))
    todo.merge([change(4), change(5, Expectation.ROLES)])
    assert entries(todo) == {SAMPLE: (4, Expectation.CONTENT)}


def test_a_removal_takes_the_place_of_older_changes() -> None:
    todo = TodoList(0)
    todo.merge([change(1), change(2, Expectation.REMOVED)])
    assert entries(todo) == {SAMPLE: (2, Expectation.REMOVED)}


def test_a_change_at_the_serial_of_the_list_tells_what_it_was() -> None:
    todo = TodoList(5)
    todo.add(SAMPLE, TodoEntry("sample", 5, Expectation.LISTED))
    todo.merge([change(5, Expectation.CONTENT)])
    assert entries(todo) == {SAMPLE: (5, Expectation.CONTENT)}


@unhurried
@given(change_lists(), st.integers(0, 2000))
def test_merging_owes_the_newest_content_and_reaches_the_highest_serial(changes: list[Change], target: int) -> None:
    todo = TodoList(target)
    todo.merge(changes)
    assert todo.target_serial == max([target, *(row.serial for row, _ in changes)])
    assert set(todo) == {row.project for row, _ in changes}
    for project, (serial, expectation) in entries(todo).items():
        about = [(row.serial, kind) for row, kind in changes if row.project == project]
        content = [pair for pair in about if pair[1] is not Expectation.ROLES]
        newest, kind = max(content or about, key=lambda pair: pair[0])
        lost_files = any(kind in (Expectation.REMOVALS, Expectation.REMOVED) for _, kind in content)
        assert (serial, expectation) == (
            newest,
            Expectation.REMOVALS if kind is Expectation.CONTENT and lost_files else kind,
        )


@unhurried
@given(change_lists(), st.randoms(use_true_random=False), st.integers(0, 12))
def test_the_order_and_the_portions_of_merging_do_not_matter(changes: list[Change], random: object, cut: int) -> None:
    once = TodoList(0)
    once.merge(changes)
    shuffled = list(changes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' own Random, by which it can replay
    portions = TodoList(0)
    portions.merge(shuffled[:cut])
    portions.merge(shuffled[cut:])
    assert entries(portions) == entries(once)
    assert portions.target_serial == once.target_serial


@unhurried
@given(serials, st.lists(todo_entries, unique_by=lambda entry: named(entry.display_name)))
def test_the_text_form_is_read_back_as_it_was(target: int, waiting: list[TodoEntry]) -> None:
    todo = TodoList(target)
    for entry in waiting:
        todo.add(named(entry.display_name), entry)
    again = TodoList.from_text(text_of(todo))
    assert again.target_serial == target
    assert [(name, again[name]) for name in again] == [(name, todo[name]) for name in todo]


def test_the_text_form_is_the_target_and_a_line_for_each_project() -> None:
    todo = TodoList(9)
    todo.add(SAMPLE, TodoEntry("Sample", 3))
    todo.add(named("b"), TodoEntry("B", 4, Expectation.ROLES))
    todo.add(named("c"), TodoEntry("C", 5, Expectation.REMOVED))
    assert text_of(todo) == "9\nSample 3\nB 4 roles\nC 5 removed\n"


def test_the_list_of_another_bandersnatch_is_read() -> None:
    todo = TodoList.from_text("42\nFoo.Bar 40\nbaz 41")
    assert todo.target_serial == 42
    assert list(todo) == [named("foo.bar"), named("baz")]
    assert [todo[name] for name in todo] == [TodoEntry("Foo.Bar", 40), TodoEntry("baz", 41)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("\n", 1),
        ("None\n", 1),
        ("None\nsample 1", 1),
        ("-1\n", 1),
        ("1.5\n", 1),
        ("\u0661\n", 1),
        ("9" * 20, 1),
        ("9 \n", 1),
        ("9\n\n", 2),
        ("9\nsample\n", 2),
        ("9\nsample x\n", 2),
        ("9\nsample -3\n", 2),
        ("9\nsample 3 nonsense\n", 2),
        ("9\nsample 3 roles more\n", 2),
        ("9\nsample  3\n", 2),
        ("9\n../../etc 3\n", 2),
        ("9\nuser:alice 3\n", 2),
        ("9\nsample 3\nother\n", 3),
        ("9\nsample 3\x0cother 4\x0c5\n", 4),
    ],
)
def test_a_wrong_line_is_named(text: str, line: int) -> None:
    with pytest.raises(TodoFormatError, match=f"^line {line} of the todo list"):
        TodoList.from_text(text)


def test_a_long_wrong_line_is_shortened_in_the_message() -> None:
    with pytest.raises(TodoFormatError) as caught:
        TodoList.from_text("x" * 100_000)
    assert len(str(caught.value)) < 200


@unhurried
@given(st.text() | st.lists(st.sampled_from([*"0123 \n", "sample", "roles", "\r"])).map("".join))
def test_any_text_is_a_list_or_a_format_error(text: str) -> None:
    try:
        todo = TodoList.from_text(text)
    except TodoFormatError:
        return
    assert text_of(TodoList.from_text(text_of(todo))) == text_of(todo)
