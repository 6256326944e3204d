"""The folders of an index at a prefix: made once, moved with the prefix, and never put over something else."""

import os
from pathlib import Path

import pytest

from bandersnatch.errors import StorageError
from bandersnatch.storage.upstream_folder import abandoned, prepare_upstream_folder, rename_upstream_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of records of an index; the mirror's directory is two above."""
    return tmp_path / "upstreams" / "torch"


def prepare(folder: Path, prefix: str) -> None:
    prepare_upstream_folder(folder.parents[1], folder, prefix)


def test_what_is_served_is_a_plain_folder_to_which_a_relative_link_leads(folder: Path, tmp_path: Path) -> None:
    for _ in range(2):
        prepare(folder, "whl/cu126")
        assert os.readlink(folder / "web") == "../../web/whl/cu126"
        assert (tmp_path / "web/whl/cu126").is_dir()
        assert not (tmp_path / "web/whl/cu126").is_symlink()


@pytest.mark.parametrize("prefix", ["other", "whl/cu128", "whl/x/y"])
def test_with_another_prefix_it_is_moved(folder: Path, tmp_path: Path, prefix: str) -> None:
    prepare(folder, "whl/cu126")
    (folder / "web/file").write_text("x")
    prepare(folder, prefix)
    assert (tmp_path / "web" / prefix / "file").read_text() == "x"
    assert (folder / "web/file").read_text() == "x"
    assert not (tmp_path / "web/whl/cu126").exists()


def test_an_empty_folder_is_no_hindrance(folder: Path, tmp_path: Path) -> None:
    prepare(folder, "old")
    (folder / "web/file").write_text("x")
    (tmp_path / "web/new").mkdir()
    prepare(folder, "new")
    assert (tmp_path / "web/new/file").read_text() == "x"


def test_a_run_that_was_killed_between_move_and_link_is_completed(folder: Path, tmp_path: Path) -> None:
    prepare(folder, "old")
    (folder / "web/file").write_text("x")
    (tmp_path / "web/old").rename(tmp_path / "web/new")
    (folder / "web.new").symlink_to("nothing")
    prepare(folder, "new")
    assert (folder / "web/file").read_text() == "x"


def test_something_else_in_the_new_place_is_left_alone(folder: Path, tmp_path: Path) -> None:
    prepare(folder, "old")
    (folder / "web/file").write_text("x")
    (tmp_path / "web/new").mkdir()
    (tmp_path / "web/new/other").write_text("y")
    with pytest.raises(StorageError, match="should be moved there, and it is not empty"):
        prepare(folder, "new")
    assert (folder / "web/file").read_text() == "x"
    assert (tmp_path / "web/new/other").read_text() == "y"


def test_something_else_in_place_of_the_link_is_left_alone(folder: Path) -> None:
    (folder / "web").mkdir(parents=True)
    with pytest.raises(StorageError, match="it should be a link"):
        prepare(folder, "whl")


def test_a_file_in_place_of_a_folder_is_an_error_of_the_disk(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web/whl").write_text("x")
    with pytest.raises(StorageError):
        prepare(folder, "whl/cu126")


def test_what_is_gone_is_not_begun_anew_beside_the_records_of_it(folder: Path, tmp_path: Path) -> None:
    prepare(folder, "whl")
    (tmp_path / "web/whl").rmdir()
    for prefix in ("whl", "other"):
        with pytest.raises(StorageError, match="web/whl: can't use: what was mirrored there is gone"):
            prepare(folder, prefix)
        assert not (tmp_path / "web" / prefix).exists()
    (folder / "web").unlink()
    folder.rmdir()
    prepare(folder, "whl")
    assert (folder / "web").is_dir()


def test_records_go_on_under_another_name_unless_that_has_some(folder: Path) -> None:
    prepare(folder, "whl")
    rename_upstream_folder(folder, folder.with_name("new"))
    assert not folder.exists()
    assert (folder.with_name("new") / "web").is_dir()
    folder.mkdir()
    rename_upstream_folder(folder.with_name("new"), folder)
    assert (folder.with_name("new") / "web").is_dir()


def test_indexes_without_a_section_are_found(folder: Path) -> None:
    assert abandoned(folder.parent, set()) == []
    prepare(folder, "whl/cu126")
    (folder.parent / "file").write_text("x")
    (folder.parent / "of the operator").mkdir()
    assert abandoned(folder.parent, {"torch"}) == []
    assert abandoned(folder.parent, {"other"}) == [(folder, folder.parents[1] / "web/whl/cu126")]
