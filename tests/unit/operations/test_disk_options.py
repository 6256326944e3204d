"""Options about files: versions of pages, the list of what a run has changed, permissions."""

import os
import time
from pathlib import Path

import pytest

from bandersnatch.config.option_groups import DiskConfig
from bandersnatch.errors import StorageError
from bandersnatch.operations.disk_options import as_configured
from bandersnatch.pages.versions import PageStore
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath
from tests.support.fakepypi import FakePyPI, Status
from tests.support.rig import Rig
from tests.support.umask import umask

PAGES = ("index.html", "index.v1_html", "index.v1_json")
FOO = StoredPath("web/simple/foo")


def modes(rig: Rig) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in rig.web.rglob("*") if path.is_file()}


def versions_of(rig: Rig, project: str) -> list[str]:
    return sorted(path.name for path in (rig.web / "simple" / project / "versions").glob("*"))


# Versions of pages


def test_pages_are_relative_links_to_versions(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run(keep_index_versions="3")
    folder = rig.web / "simple" / "foo"
    for page in PAGES:
        target = os.readlink(folder / page)
        assert target.startswith(f"versions/index_{pypi.serial}_")
        assert target.endswith(page.removeprefix("index"))
        assert (folder / page).read_bytes() == (folder / target).read_bytes()
    assert not (rig.web / "simple" / "index.html").is_symlink()


def test_only_so_many_versions_are_kept(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(4):
        pypi.add_file("foo", f"1.{number}")
        rig.run(keep_index_versions="2")
    assert len(versions_of(rig, "foo")) == 2 * len(PAGES)
    current = rig.web / "simple" / "foo" / "index.v1_json"
    assert {name.split("_")[1] for name in versions_of(rig, "foo")} >= {str(pypi.serial)}
    assert b"foo-1.3-" in current.read_bytes()


def test_a_page_that_says_the_same_is_no_new_version(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run(keep_index_versions="3")
    before = versions_of(rig, "foo")
    rig.resync()
    rig.run(keep_index_versions="3")
    assert versions_of(rig, "foo") == before


def test_without_versions_the_pages_are_files_again(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run(keep_index_versions="3")
    rig.run()
    assert not (rig.web / "simple" / "foo" / "index.html").is_symlink()
    rig.assert_matches()


def test_files_become_links_when_versions_are_wanted(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    rig.run(keep_index_versions="1")
    assert len(versions_of(rig, "foo")) == len(PAGES)


def test_switching_the_format_removes_the_other_formats_links(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run(keep_index_versions="1")
    rig.run(keep_index_versions="1", simple_format="JSON")
    assert sorted(path.name for path in (rig.web / "simple" / "foo").iterdir()) == ["index.v1_json", "versions"]


def test_versions_go_with_their_project(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run(keep_index_versions="3")
    pypi.remove_project("foo")
    rig.run(keep_index_versions="3")
    assert not (rig.web / "simple" / "foo").exists()


def test_absolute_links_of_other_versions_become_relative_and_their_versions_count(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run(keep_index_versions="2")
    folder = rig.web / "simple" / "foo"
    for page in PAGES:
        target = (folder / os.readlink(folder / page)).absolute()
        (folder / page).unlink()
        (folder / page).symlink_to(target)
    for name in ("state", "inventory.sqlite", "fingerprint"):
        (rig.directory / name).unlink()
    (rig.directory / "generation").write_text("5")
    rig.run(keep_index_versions="2")
    assert all(os.readlink(folder / page).startswith("versions/") for page in PAGES)
    assert len(versions_of(rig, "foo")) == len(PAGES)


def test_half_written_versions_go_and_unknown_files_stay(tmp_path: Path) -> None:
    store = PageStore(FilesystemStorage(tmp_path), 1)
    store.write(FOO, {"index.html": b"1"}, 1)
    versions = tmp_path / FOO / "versions"
    (versions / ".index_2_2020-01-01T000000.000000Z.html.part").write_bytes(b"ha")
    (versions / "notes").write_bytes(b"mine")
    store.write(FOO, {"index.html": b"2"}, 10)
    names = sorted(path.name for path in versions.iterdir())
    assert names[1:] == ["notes"]
    assert names[0].startswith("index_10_")  # and not by the order of its letters


# The list of what has changed


def listed(path: Path) -> list[str]:
    assert path.read_text().endswith("\n")
    return path.read_text().splitlines()


def test_all_that_appears_is_listed(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    changes = rig.folder / "lists" / "changes"
    rig.run(diff_file=str(changes))
    assert sorted(listed(changes)) == sorted(str(path) for path in rig.web.rglob("*") if path.is_file())


def test_what_goes_has_a_list_of_its_own_and_what_stays_has_none(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    changes, deleted = rig.folder / "changes", rig.folder / "changes.deleted"
    rig.run(diff_file=str(changes))
    assert deleted.read_text() == ""
    pypi.remove_project("foo")
    rig.run(diff_file=str(changes))
    path = rig.web / file.url_path.lstrip("/")
    gone = [path, path.with_name(f"{path.name}.metadata"), *(rig.web / "simple" / "foo" / page for page in PAGES)]
    assert sorted(listed(deleted)) == sorted(map(str, gone))
    changed = {str(path) for path in (rig.web / "changes").iterdir()} | {
        str(rig.web / "simple" / page) for page in PAGES
    }
    assert set(listed(changes)) - {str(rig.web / "last-modified")} == changed  # it may be written in the same second
    rig.run(diff_file=str(changes))
    assert deleted.read_text() == ""


def test_what_is_deleted_and_written_in_one_run_is_listed_as_it_ends(tmp_path: Path) -> None:
    storage = FilesystemStorage(tmp_path / "mirror")
    new, old, other = (StoredPath(f"web/{name}") for name in ("new", "old", "other"))
    storage.write_bytes(old, b"1")
    with as_configured(storage, DiskConfig(diff_file=tmp_path / "changes")):
        for path in (new, other):
            storage.write_bytes(path, b"1")
        storage.delete(new)
        storage.delete(old)
        storage.write_bytes(old, b"2")
    assert listed(tmp_path / "changes") == [str(storage.root / other), str(storage.root / old)]
    assert (tmp_path / "changes.deleted").read_text() == f"{storage.root / new}\n"


def test_a_run_that_fails_has_its_list_too(rig: Rig, pypi: FakePyPI) -> None:
    good = pypi.add_file("foo", "1.0")
    bad = pypi.add_file("foo", "2.0")
    pypi.fault(bad.url_path, Status(404), times=None)
    changes = rig.folder / "changes"
    assert len(rig.run(diff_file=str(changes)).failures) == 1
    assert str(rig.web / good.url_path.lstrip("/")) in listed(changes)


def test_a_folder_gets_a_list_of_a_fixed_name(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run(diff_file="{{mirror_directory}}")
    assert len(listed(rig.directory / "mirrored-files")) > 5
    assert (rig.directory / "mirrored-files.deleted").exists()


def test_with_the_time_in_its_name_each_list_stays(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run(diff_file=str(rig.folder / "changes"), diff_append_epoch="true")
    path, deleted = sorted(rig.folder.glob("changes-*"))
    assert path.name.removeprefix("changes-").isdigit()
    assert deleted.name == f"{path.name}.deleted"
    assert len(listed(path)) > 5


def test_two_runs_in_one_second_have_a_list_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.5)
    storage = FilesystemStorage(tmp_path / "mirror")
    for number in range(3):
        with as_configured(storage, DiskConfig(diff_file=tmp_path / "changes", diff_append_epoch=True)):
            storage.write_bytes(StoredPath(f"web/{number}"), b"1")
    names = [tmp_path / f"changes-{epoch}" for epoch in (1000, 1001, 1002)]
    assert [listed(path) for path in names] == [[str(storage.root / f"web/{number}")] for number in range(3)]


def test_a_list_that_can_not_be_written_is_an_error_before_anything_is_done(rig: Rig, pypi: FakePyPI) -> None:
    (rig.folder / "file").write_text("")
    with pytest.raises(StorageError, match=r"File exists|Not a directory"):
        rig.run(diff_file=str(rig.folder / "file" / "changes"))
    assert pypi.requests == []


# Permissions


def test_the_web_server_may_read_what_is_written(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    with umask(0o077):
        rig.run(json="true")
    assert modes(rig) == {0o644}


@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o027, 0o640)])
def test_permissions_can_be_left_to_the_umask(rig: Rig, pypi: FakePyPI, mask: int, mode: int) -> None:
    pypi.add_file("foo", "1.0")
    with umask(mask):
        rig.run(storage_filesystem_manage_permissions="false")
    assert modes(rig) == {mode}


def test_a_filesystem_that_refuses_permissions_is_no_error(
    rig: Rig, pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    pypi.add_file("foo", "1.0")
    with umask(0o077):
        assert rig.run().failures == []
    assert (rig.web / "simple" / "foo" / "index.html").is_file()
