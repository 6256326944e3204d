"""20. A place of another user's that only one project needs fails that project; one that all need ends the run."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bandersnatch.errors import RefusedPlaceError, StorageError
from bandersnatch.operations.tuning import Tuning
from bandersnatch.project.report import Report
from tests.support.fakepypi import FakePyPI
from tests.support.other_user import NOBODY, as_nobody, folder_for_others, start_as_nobody
from tests.support.rig import HURRIED, IN_PROCESSES, Rig

in_both_ways = pytest.mark.parametrize("tuning", [HURRIED, IN_PROCESSES], ids=["in one thread", "in processes"])
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can have files of two users")


@pytest.fixture
def rig(pypi: FakePyPI) -> Iterator[Rig]:
    """A mirror in a folder that others may enter, which those of pytest are not."""
    with folder_for_others() as folder:
        yield Rig(pypi, folder)


def touch_inventory(rig: Rig) -> None:
    """Let the inventory be another than the last run has left, so that the next one looks at all of it."""
    with closing(sqlite3.connect(rig.directory / "inventory.sqlite")) as database, database:
        database.execute("UPDATE project SET etag = NULL WHERE name = 'good-1'")


def give_away(folder: Path) -> None:
    """Let all belong to the user who runs the mirror."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def run(rig: Rig, tuning: Tuning) -> Report:
    with as_nobody():
        return rig.run(tuning=tuning, allow_removals=True)


def take(path: Path, mode: int) -> Path:
    """Make a place root's."""
    os.chown(path, 0, 0)
    path.chmod(mode)
    return path


def held(rig: Rig, pypi: FakePyPI, tuning: Tuning) -> None:
    """Have a mirror of nobody's with ten projects; the run imports what that user may not be able to."""
    for number in range(9):
        pypi.add_file(f"good-{number}", "1.0", kind="sdist")
    pypi.add_file("bad", "1.0", kind="wheel")
    assert rig.run(tuning=tuning).failures == []
    give_away(rig.folder)
    pypi.clear_requests()


def change_all(pypi: FakePyPI) -> None:
    for number in range(9):
        pypi.add_file(f"good-{number}", "2.0", kind="sdist")
    pypi.add_file("bad", "2.0", kind="wheel")


def refuse_a_planned_folder(rig: Rig) -> Path:
    """Make root's the folder of which the new file is to come."""
    file = rig.pypi.files("bad")[-1]
    folder = rig.web / file.url_path.strip("/").rpartition("/")[0]
    folder.mkdir(parents=True)
    return take(folder, 0o755)


def page_in_a_sticky_folder(rig: Rig) -> Path:
    take(rig.web / "simple/bad", 0o1777)
    return take(rig.web / "simple/bad/index.html", 0o644)


PLACES: dict[str, tuple[Callable[[Rig], Path], bool]] = {
    "page folder": (lambda rig: take(rig.web / "simple/bad", 0o755), False),
    "closed page folder": (lambda rig: take(rig.web / "simple/bad", 0o700), False),
    "unreadable page": (lambda rig: take(rig.web / "simple/bad/index.html", 0o600), True),
    "packages folder": (refuse_a_planned_folder, False),
    "page in a folder like /tmp": (page_in_a_sticky_folder, False),
}


@needs_root
@in_both_ways
@pytest.mark.parametrize("place", PLACES)
def test_a_place_of_another_user_fails_its_project_alone(rig: Rig, pypi: FakePyPI, place: str, tuning: Tuning) -> None:
    held(rig, pypi, tuning)
    change_all(pypi)
    refuse, is_html = PLACES[place]
    if is_html:
        (rig.web / "simple/bad/index.v1_json").unlink()  # else nobody reads the other form
    refused = refuse(rig)
    before = rig.directory.joinpath("state").read_text()
    report = run(rig, tuning)
    assert [failure.project for failure in report.failures] == ["bad"]
    assert report.updated == 9
    mode, error = f"{refused.stat().st_mode & 0o7777:04o}", report.failures[0].error
    said = rf"(denied|not permitted): {refused} belongs to root \(mode {mode}\), this runs as (nobody|user 65534)$"
    with pytest.raises(RefusedPlaceError, match=said):
        raise error
    assert "bad " in (rig.directory / "todo").read_text()
    assert (rig.directory / "state").read_text() == before
    assert any(not request.is_from_this_process for request in pypi.page_requests()) == (tuning is IN_PROCESSES)
    give_away(rig.folder)
    assert run(rig, tuning).failures == []
    rig.assert_matches()
    assert not (rig.directory / "todo").exists()


@needs_root
@in_both_ways
def test_a_right_file_of_another_user_is_no_failure(rig: Rig, pypi: FakePyPI, tuning: Tuning) -> None:
    held(rig, pypi, tuning)
    change_all(pypi)
    file = take(next((rig.web / "packages").rglob("bad-1.0*.whl")), 0o644)
    os.utime(file, (1, 1))  # which only its owner can mend
    report = run(rig, tuning)
    assert (report.failures, report.updated) == ([], 10)
    rig.assert_matches(times=False)


@needs_root
def test_the_time_of_a_file_of_another_user_says_nothing_of_the_filesystem(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    held(rig, pypi, HURRIED)
    ours, *theirs = (next((rig.web / "packages").rglob(f"{name}-*")) for name in ("good_1", "bad", "good_2"))
    for file in (ours, *theirs):
        os.utime(file, (1, 1))
    for file in theirs:
        take(file, 0o644)
    rig.resync()
    with caplog.at_level("INFO"):
        assert run(rig, HURRIED).failures == []
    assert "this filesystem" not in caplog.text
    told = [record.levelname for record in caplog.records if "a wrong time is left as it is" in record.getMessage()]
    assert told == ["WARNING"]
    assert "belongs to root (mode 0644), this runs as" in caplog.text
    assert ours.stat().st_mtime > 1
    rig.assert_matches(times=False)


@needs_root
@in_both_ways
def test_a_project_that_can_not_be_removed_stays_on_the_list(rig: Rig, pypi: FakePyPI, tuning: Tuning) -> None:
    held(rig, pypi, tuning)
    pypi.remove_project("bad")
    pypi.remove_project("good-1")
    folder = take(rig.web / "simple/bad", 0o755)
    report = run(rig, tuning)
    assert [failure.project for failure in report.failures] == ["bad"]
    assert f"{folder} belongs to root (mode 0755)" in str(report.failures[0].error)
    assert report.removed == 1
    assert "bad " in (rig.directory / "todo").read_text()
    give_away(rig.folder)
    assert run(rig, tuning).failures == []
    rig.assert_matches()
    assert not (rig.directory / "todo").exists()


@needs_root
@in_both_ways
@pytest.mark.parametrize("place", ["web/simple", "web/packages", "web", "state", "."])
def test_a_place_that_all_need_ends_the_run(rig: Rig, pypi: FakePyPI, place: str, tuning: Tuning) -> None:
    held(rig, pypi, tuning)
    change_all(pypi)
    pypi.add_file("new", "1.0", kind="sdist")
    refused = rig.directory / place
    take(refused, 0o600 if refused.is_file() else 0o700)
    with pytest.raises(StorageError, match="belongs to root") as raised:
        run(rig, tuning)
    assert raised.value.stops_run
    give_away(rig.folder)
    assert run(rig, tuning).failures == []
    rig.assert_matches()


@needs_root
def test_a_command_of_another_user_exits_with_status_1(rig: Rig, pypi: FakePyPI) -> None:
    """The whole command in a process whose real user is another: no seteuid of ours is left to go back to."""
    held(rig, pypi, HURRIED)
    change_all(pypi)
    folder = take(rig.web / "simple/bad", 0o755)
    rig.start = start_as_nobody(rig.folder)
    result = rig.command("mirror")
    assert result.returncode == 1, result.stderr
    assert f"bad failed: {folder}" in result.stderr
    assert f"{folder} belongs to root (mode 0755), this runs as" in result.stderr
    assert "9 updated, 0 removed, 1 failed" in result.stderr


@needs_root
def test_a_closed_folder_of_a_letter_is_no_reason_to_make_the_inventory_anew(rig: Rig, pypi: FakePyPI) -> None:
    rig.options["hash-index"] = "true"
    held(rig, pypi, HURRIED)
    touch_inventory(rig)
    give_away(rig.folder)
    change_all(pypi)
    folder = take(rig.web / "simple/b", 0o700)
    report = run(rig, HURRIED)
    assert [failure.project for failure in report.failures] == ["bad"]
    assert f"{folder} belongs to root (mode 0700)" in str(report.failures[0].error)
    assert report.updated == 9


CLOSED_FOR_THE_INVENTORY: dict[str, tuple[dict[str, str], Callable[[Rig], Path]]] = {
    "page folder": ({}, lambda rig: take(rig.web / "simple/bad", 0o700)),
    "page": ({}, lambda rig: take(rig.web / "simple/bad/index.v1_json", 0o600)),
    "folder of a letter": ({"hash-index": "true"}, lambda rig: take(rig.web / "simple/b", 0o700)),
    "page folder of HTML alone": ({"simple-format": "HTML"}, lambda rig: take(rig.web / "simple/bad", 0o700)),
}


@needs_root
@pytest.mark.parametrize("has_changed", [True, False], ids=["with changes", "without"])
@pytest.mark.parametrize("place", CLOSED_FOR_THE_INVENTORY)
def test_an_inventory_is_made_anew_beside_a_project_that_may_not_be_read(
    rig: Rig, pypi: FakePyPI, place: str, has_changed: bool
) -> None:
    options, refuse = CLOSED_FOR_THE_INVENTORY[place]
    rig.options |= options
    held(rig, pypi, HURRIED)
    if has_changed:
        change_all(pypi)
    (rig.directory / "inventory.sqlite").unlink()
    refused = refuse(rig)
    for _ in range(2):  # it stays on the todo list
        report = run(rig, HURRIED)
        assert [failure.project for failure in report.failures] == ["bad"]
        assert f"{refused} belongs to root" in str(report.failures[0].error)
        assert '"bad/"' in (rig.web / "simple/index.html").read_text().replace('"b/bad/"', '"bad/"')
    give_away(rig.folder)
    assert run(rig, HURRIED).failures == []
    assert not (rig.directory / "todo").exists()
    (page,) = (rig.web / "simple").rglob("bad/index.html")
    assert pypi.files("bad")[-1].filename in page.read_text()


@needs_root
def test_without_any_list_a_closed_folder_of_a_letter_ends_the_run(rig: Rig, pypi: FakePyPI) -> None:
    """Nothing tells which projects are in it, and the root index would lose them without a word."""
    rig.options |= {"hash-index": "true", "simple-format": "HTML"}
    held(rig, pypi, HURRIED)
    (rig.directory / "inventory.sqlite").unlink()
    folder = take(rig.web / "simple/b", 0o700)
    with pytest.raises(StorageError, match=f"{folder} belongs to root"):
        run(rig, HURRIED)
    assert "bad" in (rig.web / "simple/index.html").read_text()


@needs_root
@pytest.mark.parametrize("has_root_index", [True, False])
def test_another_programs_tree_is_taken_over_beside_a_project_that_may_not_be_read(
    rig: Rig, pypi: FakePyPI, has_root_index: bool, caplog: pytest.LogCaptureFixture
) -> None:
    held(rig, pypi, HURRIED)
    change_all(pypi)
    for name in ("state", "inventory.sqlite", "fingerprint"):
        (rig.directory / name).unlink()
    (rig.directory / "status").write_text("0")
    if not has_root_index:
        for page in (rig.web / "simple").glob("index.*"):
            page.unlink()
    leftover = rig.web / "simple/good-1/.index.html.abcdefgh"
    leftover.write_bytes(b"half of it")
    give_away(rig.folder)
    take(rig.web / "simple/good-1", 0o755)
    folder = take(rig.web / "simple/bad", 0o700)
    report = run(rig, HURRIED)
    assert sorted(failure.project for failure in report.failures) == ["bad", "good-1"]
    assert report.updated == 8
    assert f"{folder} belongs to root (mode 0700), this runs as" in caplog.text
    assert "it is left as it is" in caplog.text
    give_away(rig.folder)
    assert run(rig, HURRIED).failures == []
    leftover.unlink()
    rig.assert_matches()


@needs_root
@pytest.mark.parametrize("mode", [0o700, 0o755], ids=["closed", "read-only"])
def test_delete_goes_on_with_the_others_and_the_root_index_keeps_the_refused_one(
    rig: Rig, pypi: FakePyPI, mode: int
) -> None:
    held(rig, pypi, HURRIED)
    folder = take(rig.web / "simple/bad", mode)
    rig.start = start_as_nobody(rig.folder)
    result = rig.command("delete", "--yes", "bad", "good-1")
    assert result.returncode == 1, result.stderr
    assert f"bad: not deleted: {folder}" in result.stderr
    assert f"{folder} belongs to root (mode {mode:04o}), this runs as" in result.stderr
    assert "good-1: deleted, with 1 file" in result.stderr
    assert "no project of that name" not in result.stderr
    index = (rig.web / "simple/index.html").read_text()
    assert ("bad" in index, "good-1" in index) == (True, False)
    assert (folder / "index.html").exists()
    give_away(rig.folder)
    assert rig.command("delete", "--yes", "bad").returncode == 0
    assert "bad" not in (rig.web / "simple/index.html").read_text()


@needs_root
def test_unlisted_files_are_not_sought_beside_a_closed_page_and_its_owner_is_told(rig: Rig, pypi: FakePyPI) -> None:
    held(rig, pypi, HURRIED)
    stray = rig.web / "packages/stray-1.0.tar.gz"
    stray.write_bytes(b"stray")
    folder = take(rig.web / "simple/bad", 0o700)
    rig.start = start_as_nobody(rig.folder)
    result = rig.command("verify", "--delete")
    assert result.returncode == 1, result.stderr
    (line,) = (line for line in result.stderr.splitlines() if "files that no page lists are not deleted" in line)
    assert f"Permission denied: {folder} belongs to root (mode 0700), this runs as" in line
    assert stray.exists()


@needs_root
def test_verify_mends_the_others(rig: Rig, pypi: FakePyPI) -> None:
    held(rig, pypi, HURRIED)
    pages = [rig.web / "simple" / name / "index.html" for name in ("bad", "good-1")]
    for page in pages:
        page.write_bytes(page.read_bytes().replace(b"1.0", b"1.9"))
    folder = take(rig.web / "simple/bad", 0o755)
    rig.start = start_as_nobody(rig.folder)
    result = rig.command("verify")
    assert result.returncode == 1, result.stderr
    assert f"{folder} belongs to root (mode 0755), this runs as" in result.stderr
    assert [b"1.9" in page.read_bytes() for page in pages] == [True, False]
