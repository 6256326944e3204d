"""The record of a tree that several indexes share."""

from pathlib import Path

import pytest

from bandersnatch.state.tree_record import TreeRecord, load_tree, save_tree
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import SHARED_TREE


@pytest.mark.parametrize(
    ("total", "has_changed", "serial"),
    [(8, True, 8), (8, False, 8), (7, True, 8), (7, False, 7), (3, True, 8), (3, False, 7)],
)
def test_the_serial_never_falls_and_grows_with_each_change(total: int, serial: int, *, has_changed: bool) -> None:
    assert TreeRecord(7).next_serial(total, has_changed=has_changed) == serial


def test_what_is_saved_is_loaded_and_what_is_damaged_is_not(tmp_path: Path) -> None:
    storage = FilesystemStorage(tmp_path)
    assert load_tree(storage) is None
    record = TreeRecord(7, (("torch", "torch*"),))
    save_tree(storage, record)
    assert load_tree(storage) == record
    (tmp_path / SHARED_TREE).write_text('{"serial": -1, ')
    assert load_tree(storage) is None
