"""``state`` and ``todo`` on disk: what is saved is loaded, and garbage is only taken for missing."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bandersnatch.state.saved_state import SavedState, StateFiles
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import LEGACY_STATUS, STATE, TODO
from tests.support.builders import SAMPLE, named, serials, unhurried

NOTHING = SavedState(None, None)


@pytest.fixture
def store(tmp_path: Path) -> StateFiles:
    return StateFiles(FilesystemStorage(tmp_path))


def todo_list(target: int) -> TodoList:
    return TodoList(target, {SAMPLE: TodoEntry("Sample", 3)})


def load(folder: Path, **files: bytes) -> SavedState:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return StateFiles(FilesystemStorage(folder)).load()


def test_a_new_mirror_has_neither(store: StateFiles) -> None:
    assert store.load() == NOTHING


def test_a_finished_run_is_loaded(store: StateFiles) -> None:
    store.finish(42, "https://index.example abc")
    assert store.load() == SavedState(42, None)


def test_the_work_that_is_left_is_loaded(store: StateFiles) -> None:
    store.finish(40, "https://index.example abc")
    store.save_todo(todo_list(42))
    saved = store.load()
    assert saved.serial == 40
    assert saved.todo is not None
    assert list(saved.todo.to_lines()) == list(todo_list(42).to_lines())


def test_a_long_todo_list_is_saved_whole(store: StateFiles) -> None:
    todo = TodoList(30_000)
    for number in range(25_001):
        todo.add(named(f"p{number}"), TodoEntry(f"P{number}", number))
    store.save_todo(todo)
    saved = store.load().todo
    assert saved is not None
    assert list(saved.to_lines()) == list(todo.to_lines())


def test_a_todo_list_is_loaded_without_a_state_too(store: StateFiles) -> None:
    store.save_todo(todo_list(42))
    saved = store.load()
    assert saved.serial is None
    assert saved.todo is not None
    assert saved.todo.target_serial == 42


def test_finishing_takes_the_todo_list_away(store: StateFiles, tmp_path: Path) -> None:
    store.save_todo(todo_list(42))
    store.finish(42, "https://index.example abc")
    assert not (tmp_path / TODO).exists()
    assert (tmp_path / STATE).read_bytes() == b"42\n"


@unhurried
@given(serials)
def test_any_serial_is_loaded_as_it_was_saved(serial: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = StateFiles(FilesystemStorage(Path(folder)))
        store.finish(serial, "https://index.example abc")
        assert store.load() == SavedState(serial, None)


@pytest.mark.parametrize("text", [b"42", b"42\n", b" 42 \r\n"])
def test_a_serial_that_a_person_wrote_is_read(tmp_path: Path, text: bytes) -> None:
    assert load(tmp_path, state=text) == SavedState(42, None)


@pytest.mark.parametrize(
    "garbage", [b"", b"\n", b"x", b"-1", b"1.5", b"4 2", b"\xff", "\u0661".encode(), b"9" * 20, b"9" * 5000]
)
def test_a_state_that_is_no_serial_is_taken_for_missing_and_told(
    tmp_path: Path, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert load(tmp_path, state=garbage) == NOTHING
    (message,) = caplog.messages
    assert message.startswith("the file state holds no serial but ")
    assert message.endswith(": everything will be checked against upstream")


@pytest.mark.parametrize("garbage", [b"", b"None\nsample 3", b"42\n../x 3\n", b"\xff"])
def test_a_todo_list_that_is_garbage_is_told_and_the_state_stands(
    tmp_path: Path, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert load(tmp_path, state=b"42\n", todo=garbage) == SavedState(42, None)
    assert not (tmp_path / TODO).exists()
    (message,) = caplog.messages
    assert message.endswith("; continuing from serial 42 instead")


def test_garbage_in_both_means_that_everything_is_checked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load(tmp_path, state=b"x", todo=b"x") == NOTHING
    assert caplog.messages[1].endswith("; everything will be checked")


def test_a_todo_list_older_than_the_state_is_no_use(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load(tmp_path, state=b"42\n", todo=b"41\nsample 3\n") == SavedState(42, None)
    assert caplog.messages == ["the todo list is older than the state; continuing from serial 42 instead"]


def test_a_todo_list_for_the_serial_of_the_state_is_used(tmp_path: Path) -> None:
    assert load(tmp_path, state=b"42\n", todo=b"42\nsample 3\n").todo is not None


@unhurried
@given(st.binary(), st.binary(), st.binary())
@example(b"", b"", b"9" * 5000)
def test_any_bytes_in_the_files_can_be_loaded(state: bytes, todo: bytes, status: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        saved = load(Path(folder), state=state, todo=todo, status=status)
    assert saved.serial is None or saved.serial >= 0


# The status file of another bandersnatch


def test_the_status_of_another_bandersnatch_is_taken_over(tmp_path: Path) -> None:
    assert load(tmp_path, status=b"42") == SavedState(42, None)
    assert (tmp_path / STATE).read_bytes() == b"42\n"
    assert not (tmp_path / LEGACY_STATUS).exists()


def test_it_is_taken_over_once(tmp_path: Path) -> None:
    load(tmp_path, status=b"42")
    StateFiles(FilesystemStorage(tmp_path)).finish(50, "https://index.example abc")
    assert load(tmp_path) == SavedState(50, None)


def test_the_todo_list_of_another_bandersnatch_is_not_trusted(tmp_path: Path) -> None:
    assert load(tmp_path, status=b"42", todo=b"50\nsample 45") == SavedState(42, None)
    assert not (tmp_path / TODO).exists()


def test_our_own_state_goes_before_a_status(tmp_path: Path) -> None:
    assert load(tmp_path, state=b"50\n", status=b"42") == SavedState(50, None)
    assert not (tmp_path / LEGACY_STATUS).exists()


def test_a_status_beside_our_state_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    load(tmp_path, state=b"50\n", status=b"50")  # as a run leaves them that was killed while it took the tree over
    assert caplog.messages == []
    load(tmp_path, state=b"50\n", status=b"42")
    load(tmp_path, state=b"50\n", status=b"9" * 19)
    assert caplog.messages == [
        "the file status, which another bandersnatch writes, holds serial 42: it is deleted, and state counts",
        "the file status holds no serial but '9999999999999999999': the file state counts, and status is deleted",
    ]


def test_a_status_of_0_has_everything_checked_as_in_other_versions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load(tmp_path, state=b"50\n", todo=b"60\n", status=b"0") == NOTHING
    assert list(tmp_path.iterdir()) == []
    assert caplog.messages == ["the file status holds 0: everything will be checked, as after rm state todo"]


def test_an_absurd_status_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load(tmp_path, status=b"3000000000") == NOTHING
    assert caplog.messages == ["the file status holds no serial but '3000000000': everything will be checked"]


@pytest.mark.parametrize("status", [b"0", b"", b"x", b"-1", b"\xff", "\u0661".encode()])
def test_a_status_that_holds_no_serial_means_that_everything_is_checked(tmp_path: Path, status: bytes) -> None:
    assert load(tmp_path, status=status) == NOTHING
    assert not (tmp_path / LEGACY_STATUS).exists()


def test_a_status_with_very_many_digits_means_that_everything_is_checked(tmp_path: Path) -> None:
    assert load(tmp_path, status=b"9" * 5000) == NOTHING


def test_a_change_of_the_configuration_is_known_until_it_is_done(tmp_path: Path) -> None:
    store = StateFiles(FilesystemStorage(tmp_path))
    assert store.load_fingerprints() == (None, None)
    store.finish(1, "before")
    assert store.load_fingerprints() == ("before", None)
    store.begin_change("after")
    assert store.load_fingerprints() == ("before", "after")
    store.finish(2, "after")
    assert store.load_fingerprints() == ("after", None)
