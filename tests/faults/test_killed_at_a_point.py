"""Killed at one point of the work on a file: a file that had arrived completely is not downloaded again."""

from typing import Literal

import pytest

from bandersnatch.storage.unfinished_folder import UNFINISHED_FOLDER
from tests.support.fakepypi import FakePyPI, Status
from tests.support.journal import read_index, told
from tests.support.killed_runs import Point, is_file, killed_at, run_until_killed
from tests.support.rig import Rig

SIZES = {"small": 5_000, "large": 500_000, "resumable": 2_000_000}


def parts(rig: Rig) -> list[int]:
    """Return the sizes of what is half-written."""
    return [path.stat().st_size for path in rig.directory.rglob("*.part")]


@pytest.mark.usefixtures("in_processes_or_not")
@pytest.mark.parametrize("point", [Point.WRITTEN, Point.PUBLISHED], ids=lambda point: point.value)
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_a_finished_file_is_not_fetched_again(
    rig: Rig, pypi: FakePyPI, *, kind: Literal["wheel", "sdist"], size: int, point: Point
) -> None:
    file = pypi.add_file("foo", "1.0", kind=kind, size=size)
    pypi.add_file("bar", "1.0")
    path = f"web{file.url_path}"
    run_until_killed(rig, killed_at(point, lambda each: each == path))
    assert (rig.web / file.url_path[1:]).is_file() == (point is Point.PUBLISHED)
    assert (file.size in parts(rig)) == (point is Point.WRITTEN)
    pypi.clear_requests()
    assert rig.run().failures == []
    assert file.url_path not in [request.path for request in pypi.file_requests()]
    assert parts(rig) == []
    assert not (rig.directory / UNFINISHED_FOLDER).exists()
    rig.assert_matches()


@pytest.mark.usefixtures("in_processes_or_not")
@pytest.mark.parametrize("content", [b"x", b""], ids=["damaged", "cut"])
def test_what_is_not_the_whole_file_is_not_taken_for_it(rig: Rig, pypi: FakePyPI, content: bytes) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist", size=5_000)
    run_until_killed(rig, killed_at(Point.WRITTEN, is_file))
    (part,) = rig.directory.rglob("*.part")
    part.write_bytes(content * file.size or file.content[:-1])
    pypi.clear_requests()
    assert rig.run().failures == []
    assert [request.path for request in pypi.file_requests()] == [file.url_path]
    assert parts(rig) == []
    rig.assert_matches()


@pytest.mark.usefixtures("in_processes_or_not")
def test_a_finished_file_that_nobody_wants_any_more_is_not_put_in_place(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist", size=5_000)
    pypi.add_file("foo", "2.0", kind="sdist", size=5_000)
    run_until_killed(rig, killed_at(Point.WRITTEN, lambda path: path == f"web{file.url_path}"))
    assert len(parts(rig)) >= 1
    pypi.remove_release("foo", "1.0")
    assert rig.run().failures == []
    assert parts(rig) == []
    rig.assert_matches()


@pytest.mark.usefixtures("in_processes_or_not")
def test_a_file_whose_metadata_did_not_come_is_not_fetched_again(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", metadata_in_wheel=False)
    pypi.fault(f"{file.url_path}.metadata", Status(503), times=4)
    for _ in range(3):
        rig.run()
    assert [request.path for request in pypi.file_requests()].count(file.url_path) == 1
    rig.assert_matches()


@pytest.mark.parametrize("comes_back", [False, True], ids=["stays removed", "comes back"])
def test_a_removal_that_was_cut_short_behind_its_pages_is_finished(
    rig: Rig, pypi: FakePyPI, *, comes_back: bool
) -> None:
    file = pypi.add_file("foo", "1.0")
    for name in ("bar", "baz", "qux"):
        pypi.add_file(name, "1.0")
    rig.options["max-removals"] = "100%"
    rig.run()
    pypi.remove_project("foo")

    run_until_killed(rig, killed_at(Point.DELETING, lambda path: path == f"web{file.url_path}"))
    assert not (rig.web / "simple/foo").exists()
    assert (rig.web / file.url_path[1:]).exists()
    if comes_back:
        pypi.add_file("foo", "2.0")
    result = rig.command("--quiet", "mirror")
    assert (result.returncode, result.stderr) == (0, "")
    rig.assert_matches()


@pytest.mark.parametrize("point", [Point.WRITTEN, Point.PUBLISHED], ids=lambda point: point.value)
@pytest.mark.parametrize("ending", ["/state", ".jsonl", "/changes/index.json"])
def test_no_line_of_the_journal_is_lost_or_doubled(rig: Rig, pypi: FakePyPI, *, ending: str, point: Point) -> None:
    for name in ("foo", "bar", "baz", "qux"):
        pypi.add_file(name, "1.0")
    rig.options["max-removals"] = "100%"
    rig.run()
    before = read_index(rig.web)
    pypi.add_file("foo", "2.0")
    pypi.remove_project("bar")
    run_until_killed(rig, killed_at(point, lambda path: f"/{path}".endswith(ending)))
    rig.run()  # there is nothing new
    serial = pypi.project_serial("foo")
    assert told(rig.web) == [("bar", "removed", 0), ("foo", "page", serial)]
    pypi.add_file("baz", "2.0")
    rig.run()
    assert told(rig.web)[2:] == [("baz", "page", pypi.serial)]
    assert read_index(rig.web)["id"] == before["id"]
    rig.assert_matches()
