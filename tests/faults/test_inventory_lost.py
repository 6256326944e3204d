"""Killed on the way, and then the inventory is deleted: one plain run finds again what only its notes told."""

import logging
from contextlib import closing
from pathlib import Path

import pytest

from bandersnatch.inifile.option import DeletedPolicy, RemovalLimit
from bandersnatch.operations.leftovers import Leftovers
from bandersnatch.plan.removals import RemovalPolicy
from bandersnatch.state.inventory import Inventory
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import INVENTORY
from bandersnatch.storage.unfinished_folder import UNFINISHED_FOLDER
from tests.support.fakepypi import FakePyPI, Status, UploadedFile
from tests.support.killed_runs import Point, is_file, killed_at, run_until_killed
from tests.support.rig import Rig

pytestmark = pytest.mark.usefixtures("in_processes_or_not")


def lose_inventory(rig: Rig, *, keeps_reservations: bool = False) -> None:
    """Delete the inventory, and what workers had written down of what they were about to touch."""
    assert (rig.directory / "todo").exists()
    for path in rig.directory.glob("inventory.sqlite*"):
        path.unlink()
    for path in () if keeps_reservations else (rig.directory / UNFINISHED_FOLDER).glob("*.reserved"):
        path.unlink()


def assert_mended(rig: Rig) -> None:
    lose_inventory(rig)
    assert rig.run().failures == []
    rig.assert_matches()
    assert not (rig.directory / "leftovers").exists()
    assert not (rig.directory / "unlisted.sqlite").exists()


def on_disk(rig: Rig, file: UploadedFile) -> Path:
    return rig.web / file.url_path.lstrip("/")


@pytest.mark.parametrize("point", [Point.WRITTEN, Point.PUBLISHED], ids=lambda point: point.value)
@pytest.mark.parametrize("happens", ["nothing", "release removed", "project removed"])
def test_files_of_a_first_run(rig: Rig, pypi: FakePyPI, happens: str, point: Point) -> None:
    rig.options["max-removals"] = "100%"
    file = pypi.add_file("foo", "1.0", size=500_000)
    pypi.add_file("foo", "2.0")
    for version in range(5):
        pypi.add_file("bar", f"{version}.0")
    run_until_killed(rig, killed_at(point, lambda path: path == f"web{file.url_path}"))
    assert on_disk(rig, file).exists() == (point is Point.PUBLISHED)
    if happens == "release removed":
        pypi.remove_release("foo", "1.0")
    elif happens == "project removed":
        pypi.remove_project("foo")
    assert_mended(rig)


def test_file_with_the_right_size_and_the_wrong_bytes(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist", size=5_000)
    rig.options["compare-method"] = "stat"
    run_until_killed(rig, killed_at(Point.PUBLISHED, is_file))
    on_disk(rig, file).write_bytes(b"x" * file.size)  # as a power cut may leave it
    assert_mended(rig)


def test_old_files_after_their_page_was_replaced(rig: Rig, pypi: FakePyPI) -> None:
    rig.options["max-removals"] = "100%"
    old = pypi.add_file("foo", "1.0")
    pypi.add_file("foo", "2.0")
    rig.run()
    pypi.remove_release("foo", "1.0")
    run_until_killed(rig, killed_at(Point.DELETING, lambda path: path == f"web{old.url_path}"))
    assert on_disk(rig, old).exists()
    assert_mended(rig)


@pytest.mark.parametrize("place", ["web/packages/", "web/simple/foo/"])
def test_project_that_was_being_removed(rig: Rig, pypi: FakePyPI, place: str) -> None:
    rig.options["max-removals"] = "100%"
    pypi.add_file("foo", "1.0")
    for number in range(5):
        pypi.add_file(f"other-{number}", "1.0")
    rig.run()
    pypi.remove_project("foo")
    run_until_killed(rig, killed_at(Point.DELETING, lambda path: path.startswith(place)))
    assert_mended(rig)


@pytest.mark.parametrize("name", ["index.html", "index.v1_html", "index.v1_json"])
def test_page_that_was_being_written_of_a_project_that_is_removed(rig: Rig, pypi: FakePyPI, name: str) -> None:
    rig.options["max-removals"] = "100%"
    pypi.add_file("bar", "1.0")
    rig.run()
    pypi.add_file("foo", "1.0")
    run_until_killed(rig, killed_at(Point.PUBLISHED, lambda path: path == f"web/simple/foo/{name}"))
    assert (rig.web / "simple" / "foo" / name).exists()
    pypi.remove_project("foo")
    assert_mended(rig)


def test_what_the_operator_has_put_there_stays(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    pypi.add_file("foo", "2.0")
    run_until_killed(rig, killed_at(Point.PUBLISHED, lambda path: path == f"web{file.url_path}"))
    own = rig.web / "packages" / "own" / "tool-1.0.zip"
    own.parent.mkdir()
    own.write_bytes(b"own")
    empty = rig.web / "packages" / "empty"
    empty.mkdir()
    lose_inventory(rig)
    pypi.remove_release("foo", "1.0")
    rig.run()
    assert own.read_bytes() == b"own"
    assert empty.is_dir()
    assert not on_disk(rig, file).exists()


def killed_with_a_leftover(rig: Rig, pypi: FakePyPI, number: int = 1) -> list[UploadedFile]:
    """Let a run be killed when it has replaced a page, and before it deletes what that page listed."""
    rig.options["max-removals"] = "100%"
    old = [pypi.add_file("foo", f"1.{each}") for each in range(number)]
    pypi.add_file("foo", "2.0")
    rig.run()
    for each in range(number):
        pypi.remove_release("foo", f"1.{each}")
    run_until_killed(rig, killed_at(Point.DELETING, lambda path: path.startswith("web/packages/")))
    return old


def test_more_than_max_removals_allows_stays(rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture) -> None:
    old = killed_with_a_leftover(rig, pypi, 5)
    lose_inventory(rig)
    rig.options["max-removals"] = "1"
    rig.run()
    assert "5 files that no page lists, beside 1 that pages list" in caplog.text
    assert all(on_disk(rig, each).exists() for each in old)
    assert not (rig.directory / "leftovers").exists(), "told once"


def test_what_workers_have_written_down_outlives_the_inventory(rig: Rig, pypi: FakePyPI) -> None:
    (old,) = killed_with_a_leftover(rig, pypi)
    pypi.add_file("bad", "1.0")
    lose_inventory(rig, keeps_reservations=True)
    pypi.fault("/simple/bad/", Status(403), times=None)
    rig.run()
    assert (rig.directory / "leftovers").exists(), "no search has found the file"
    assert not on_disk(rig, old).exists()


def test_search_without_time_is_gone_on_with(rig: Rig, pypi: FakePyPI) -> None:
    (old,) = killed_with_a_leftover(rig, pypi)
    lose_inventory(rig)
    storage = FilesystemStorage(rig.directory)
    (rig.directory / "leftovers").write_bytes(b"")
    with closing(Inventory(rig.directory / INVENTORY)) as inventory:
        inventory.open()
        inventory.put_all([])
        policy = RemovalPolicy(DeletedPolicy.REMOVE, RemovalLimit(100, 100))
        Leftovers(storage, inventory).delete(policy, lambda: False, seconds=-1.0)
    assert (rig.directory / "leftovers").exists()
    assert on_disk(rig, old).exists()
    assert_mended(rig)


def test_a_project_that_fails_delays_the_search_and_not_the_others(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    (old,) = killed_with_a_leftover(rig, pypi)
    pypi.add_file("bad", "1.0")
    lose_inventory(rig)
    pypi.fault("/simple/bad/", Status(403), times=None)
    assert len(rig.run().failures) == 1
    assert on_disk(rig, old).exists()
    assert (rig.directory / "leftovers").exists()
    pypi.clear_faults()
    caplog.set_level(logging.INFO)
    rig.run()
    rig.assert_matches()
    assert "deleted 1 file that an unfinished run had left, and no page lists" in caplog.text


def test_inventory_that_is_lost_without_a_todo_list_is_no_reason_to_search(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    rig.run()
    stray = on_disk(rig, file).with_name("stray-1.0.zip")
    stray.write_bytes(b"stray")
    (rig.directory / "inventory.sqlite").unlink()
    rig.run()
    assert stray.exists()
