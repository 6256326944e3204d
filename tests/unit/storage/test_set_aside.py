"""What lies in the place of a record, and is none, gets another name."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bandersnatch.storage.set_aside import is_other_kind, set_aside_others

KINDS: dict[str, Callable[[Path], object]] = {
    "folder": lambda path: path.mkdir(),
    "FIFO": os.mkfifo,
    "broken link": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("name", ["inventory.sqlite", "inventory.sqlite-wal", "unlisted.sqlite"])
def test_in_the_place_of_a_database_only_a_plain_file_stays(
    tmp_path: Path, name: str, make: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path / name)
    set_aside_others(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.set-aside"]
    assert f"{tmp_path / name} was not a plain file; it was renamed to {name}.set-aside" in caplog.text


def test_a_record_may_be_a_link_that_an_operator_has_made(tmp_path: Path) -> None:
    (tmp_path / "state").symlink_to("elsewhere")
    set_aside_others(tmp_path)
    assert (tmp_path / "state").is_symlink()


def test_what_was_set_aside_before_stays(tmp_path: Path) -> None:
    for _ in range(3):
        (tmp_path / "todo").mkdir()
        set_aside_others(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["todo.set-aside", "todo.set-aside1", "todo.set-aside2"]


def test_plain_files_and_what_is_missing_are_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("state", "inventory.sqlite", "something-else"):
        (tmp_path / name).write_text("1")
    (tmp_path / "folder").mkdir()
    set_aside_others(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "inventory.sqlite", "something-else", "state"]
    assert caplog.text == ""
    assert not is_other_kind(tmp_path / "missing")
