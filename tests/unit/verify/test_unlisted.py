"""``verify --delete``: files that no page lists go; what could not be read deletes nothing."""

import os
import re
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path
from threading import get_ident

import pytest
from msgspec.structs import replace

from bandersnatch.config.config import Config
from bandersnatch.errors import InterruptedRunError
from bandersnatch.operations.unlisted import UnlistedFiles
from bandersnatch.state.inventory import Inventory
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.verify.findings import VerifyReport, VerifySettings
from bandersnatch.verify.verification import Verification
from tests.support.fakepypi import FakePyPI, Stall, Status
from tests.support.rig import HURRIED, Rig
from tests.support.verifying import NAMES, filled, path_of, verify


@pytest.fixture
def held(rig: Rig, pypi: FakePyPI) -> Rig:
    return filled(rig, pypi)


def orphans(rig: Rig) -> list[Path]:
    """Files that no page lists, of all kinds: in known folders and new ones, old layouts, odd names, leftovers."""
    packages = rig.web / "packages"
    some = next(path for path in packages.rglob("*.whl"))
    made = [
        packages / "top.whl",
        packages / "source" / "f" / "foo" / "foo-1.0.tar.gz",
        packages / "aa" / "bb" / ("c" * 60) / "foo-1.0-py3-none-any.whl",
        some.with_name("second.whl"),
        some.with_name("second.whl.metadata"),
        some.with_name(f".{some.name}.part"),
        packages / "aa" / os.fsdecode(b"caf\xe9.whl"),
    ]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"orphan")
    return made


def test_files_that_no_page_lists_are_deleted(held: Rig, pypi: FakePyPI) -> None:
    made = orphans(held)
    held.call("verify")
    assert all(path.exists() for path in made)
    document = verify(held, "--delete", status=6)
    assert document["problems"]["listed by no page"] == {"found": 6, "repaired": 0, "deleted": 6}
    assert not any(path.exists() for path in made)
    held.assert_matches()


def test_too_many_unlisted_files_need_leave(held: Rig) -> None:
    made = orphans(held)
    document = verify(held, "--delete", status=5, max_removals="5")
    assert "this would remove 6 files that no page lists, beside 12 that pages list" in document["withheld"]
    assert all(path.exists() for path in made)
    assert len((held.directory / "removals-of-verify").read_bytes().splitlines()) == 7
    verify(held, "--delete", "--allow-removals", status=6, max_removals="5")
    assert not (held.directory / "removals-of-verify").exists()
    assert not any(path.exists() for path in made)


def test_both_kinds_of_removals_that_are_withheld_are_listed(held: Rig, pypi: FakePyPI) -> None:
    made = orphans(held)
    removed = pypi.files(NAMES[0])[0].filename
    pypi.remove_file(NAMES[0], removed)
    assert "lists it all" not in verify(held, "--delete", "--dry-run", status=5, max_removals="0")["withheld"]
    assert not (held.directory / "removals-of-verify").exists()
    document = verify(held, "--delete", status=5, max_removals="0")
    assert re.fullmatch(r"this would remove .* and .*, which max-removals forbids: .*", document["withheld"])
    listed = (held.directory / "removals-of-verify").read_text(errors="surrogateescape")
    assert made[0].name in listed
    assert removed in listed


@pytest.mark.parametrize("damage", ["broken", "missing", "unreadable"])
def test_page_that_cannot_be_read_and_not_be_mended_forbids_the_deletion(
    held: Rig, pypi: FakePyPI, damage: str
) -> None:
    made = orphans(held)
    page = held.web / "simple" / NAMES[0] / "index.v1_json"
    for path in page.parent.iterdir():
        path.unlink()
    if damage == "broken":
        page.write_text('{"files": [')
    elif damage == "unreadable":
        page.mkdir()
    pypi.fault(f"/simple/{NAMES[0]}/", Status(500), times=None)
    document = verify(held, "--delete", status=1)
    assert document["projects"] == {"held": 6, "verified": 5, "failed": 1}
    assert "so it is unknown which files are on no page" in document["unlisted_error"]
    assert document["unlisted_sought"] is False
    assert all(path.exists() for path in made)
    assert path_of(held, pypi, 0).exists()


def test_page_of_no_project_that_is_held_forbids_the_deletion_too(held: Rig) -> None:
    made = orphans(held)
    (held.web / "simple" / "stray").mkdir()
    (held.web / "simple" / "stray" / "index.html").write_text("cut off")
    document = verify(held, "--delete", status=1)
    assert document["projects"] == {"held": 6, "verified": 6, "failed": 0}
    assert "web/simple/stray" in document["unlisted_error"]
    assert all(path.exists() for path in made)


def test_broken_page_is_mended_and_then_the_deletion_is_allowed(held: Rig, pypi: FakePyPI) -> None:
    made = orphans(held)
    (held.web / "simple" / NAMES[0] / "index.v1_json").write_text('{"files": [')
    verify(held, "--delete", status=6)
    assert not any(path.exists() for path in made)
    held.assert_matches()


def test_files_of_an_unfinished_run_stay(held: Rig, pypi: FakePyPI) -> None:
    for version in ("3.0", "4.0", "5.0"):
        pypi.add_file(NAMES[0], version, size=5000)
    first, _, third = pypi.files(NAMES[0])[-3:]
    stall = Stall()
    pypi.fault(third.url_path, stall, times=None)  # asked for while the second is written, and so after the first
    with held.start_command("mirror", timeout="60", workers="1") as process:
        assert stall.started.wait(30)
        process.kill()
        process.communicate()
    assert (held.web / first.url_path[1:]).exists()
    pypi.clear_faults()
    pypi.fault(f"/simple/{NAMES[0]}/", Status(500), times=None)
    verify(held, "--delete", status=1)
    assert (held.web / first.url_path[1:]).exists()


@pytest.mark.parametrize("deleted", ["hide", "keep"])
def test_deletion_is_refused_where_files_are_kept_on_purpose(held: Rig, pypi: FakePyPI, deleted: str) -> None:
    held.run(deleted=deleted)
    result = held.call("verify", "--delete", deleted=deleted)
    assert result.returncode == 2
    assert f"[mirror] deleted = {deleted}" in result.stderr


# With a budget


def kept_search(rig: Rig) -> Path:
    return rig.directory / "unlisted.sqlite"


def position(rig: Rig) -> tuple[int, str, int]:
    """Return how far a search has come: its step, the last folder, and how many pages were read."""
    with closing(sqlite3.connect(kept_search(rig))) as database:
        query = "SELECT step, place, (SELECT count(*) FROM page) FROM position"
        step, place, pages = database.execute(query).fetchone()
    return step, os.fsdecode(place), pages


def search_on(rig: Rig, *, is_stopped: bool) -> int:
    """Go on with a search, and return how many files it has found; a stopped one does as little as it can."""
    storage = FilesystemStorage(rig.directory)
    with closing(Inventory(rig.directory / "inventory.sqlite")) as inventory:
        inventory.open()
        with closing(UnlistedFiles(storage, inventory, kept_search(rig))) as unlisted:
            return unlisted.find(lambda: is_stopped)


def search_to_the_check(rig: Rig) -> None:
    """Search in as many goes as there are pages and folders."""
    before: tuple[int, str, int] = (0, "", 0)
    while before[0] < 2:
        with pytest.raises(InterruptedRunError):
            search_on(rig, is_stopped=True)
        assert position(rig) > before or position(rig)[2] > before[2]
        before = position(rig)


def test_with_a_budget_the_deletion_comes_first(held: Rig, pypi: FakePyPI) -> None:
    made = orphans(held)
    document = verify(held, "--delete", "--budget", "1h", status=6)
    assert document["unlisted_sought"]
    assert not any(path.exists() for path in made)
    assert not kept_search(held).exists()
    held.assert_matches()


def test_a_search_gets_on_however_often_it_is_stopped(held: Rig) -> None:
    orphans(held)
    search_to_the_check(held)
    assert search_on(held, is_stopped=False) == 6


def test_a_search_that_was_begun_is_finished_and_what_it_found_deleted(held: Rig) -> None:
    made = orphans(held)
    search_to_the_check(held)
    verify(held, "--delete", "--budget", "1h", status=6)
    assert not any(path.exists() for path in made)
    assert not kept_search(held).exists()
    held.assert_matches()


def test_a_file_that_came_onto_a_page_while_it_was_searched_for_stays(held: Rig, pypi: FakePyPI) -> None:
    made = orphans(held)
    file = pypi.add_file(NAMES[0], "9.0", kind="sdist")
    path = held.web / file.url_path[1:]
    path.parent.mkdir(parents=True)
    path.write_bytes(file.content)
    search_to_the_check(held)
    held.run()
    assert verify(held, "--delete", "--budget", "1h", status=6)["problems"]["listed by no page"]["found"] == 6
    assert path.exists()
    assert not any(path.exists() for path in made)
    held.assert_matches()


@pytest.mark.parametrize("damage", ["broken", "missing"])
def test_a_page_that_broke_while_files_were_searched_for_forbids_the_deletion(
    held: Rig, pypi: FakePyPI, damage: str
) -> None:
    made = orphans(held)
    search_to_the_check(held)
    for page in (held.web / "simple" / NAMES[0]).iterdir():
        page.write_text('{"files": [') if damage == "broken" else page.unlink()
    pypi.fault(f"/simple/{NAMES[0]}/", Status(500), times=None)
    document = verify(held, "--delete", "--budget", "1h", status=1)
    assert document["unlisted_sought"] is False
    assert all(path.exists() for path in made)
    pypi.clear_faults()
    verify(held, "--delete", "--budget", "1h", status=6)
    assert not any(path.exists() for path in made)


def test_with_a_budget_too_a_broken_page_is_mended_and_then_the_deletion_is_allowed(held: Rig) -> None:
    made = orphans(held)
    (held.web / "simple" / NAMES[0] / "index.v1_json").write_text('{"files": [')
    verify(held, "--delete", "--budget", "1h", status=6)
    assert not any(path.exists() for path in made)
    held.assert_matches()


def test_without_a_budget_the_search_begins_anew(held: Rig) -> None:
    search_to_the_check(held)
    made = orphans(held)
    assert verify(held, "--delete", status=6)["unlisted_sought"]
    assert not any(path.exists() for path in made)
    assert not kept_search(held).exists()


def test_a_search_whose_record_is_garbage_begins_anew(held: Rig) -> None:
    made = orphans(held)
    kept_search(held).write_bytes(b"garbage" * 1000)
    verify(held, "--delete", "--budget", "1h", status=6)
    assert not any(path.exists() for path in made)


def test_withheld_files_need_no_second_search(held: Rig) -> None:
    made = orphans(held)
    verify(held, "--delete", "--budget", "1h", status=5, max_removals="5")
    assert position(held)[0] == 2
    verify(held, "--delete", "--budget", "1h", "--allow-removals", status=6, max_removals="5")
    assert not any(path.exists() for path in made)


def test_a_dry_run_keeps_no_record_of_its_search(held: Rig) -> None:
    made = orphans(held)
    before = held.stamps()
    document = verify(held, "--delete", "--budget", "1h", "--dry-run", status=1)
    assert document["problems"]["listed by no page"] == {"found": 6, "repaired": 0, "deleted": 0}
    held.assert_same_tree(before)
    assert all(path.exists() for path in made)


def verify_for(rig: Rig, ticks: int) -> VerifyReport:
    """Verify with a clock that goes on by one whenever this thread looks at it, and a budget of so much."""
    ticks_so_far, ours = count(), get_ident()
    last = 0

    def clock() -> float:
        nonlocal last
        last = next(ticks_so_far) if get_ident() == ours else last
        return last

    config = Config.load(rig.write_config())
    settings = VerifySettings(delete_unlisted=True, budget_seconds=ticks)
    with rig.resources(config) as made:
        tuning = replace(HURRIED, clock=clock)
        return Verification(config, made, settings, lambda *_: None, tuning).run()


def test_a_small_budget_is_shared_so_that_both_the_search_and_the_projects_get_on(held: Rig) -> None:
    made = orphans(held)
    made.pop().unlink()  # pytest-xdist can't send the log of a name that is no UTF-8
    wheels = sorted((held.web / "packages").rglob("project_*.whl"))
    for wheel in wheels:
        wheel.write_bytes(b"short")
    made = [path for path in made if path.suffix != ".part"]  # that may be of a wheel that is written anew first
    first = verify_for(held, 20)
    assert "the search for unlisted files is incomplete" in first.summary()
    assert not first.unlisted_sought
    assert all(path.exists() for path in made)
    runs = (verify_for(held, 20) for _ in range(30))
    assert any(run.unlisted_sought and not any(path.read_bytes() == b"short" for path in wheels) for run in runs)
    assert not any(path.exists() for path in made)
    assert verify_for(held, 100_000).is_complete  # the last one may have left what it was about to touch
    held.assert_matches()


def test_file_that_any_form_of_a_page_lists_is_kept(held: Rig, pypi: FakePyPI) -> None:
    page = held.web / "simple" / NAMES[0] / "index.v1_json"
    file = path_of(held, pypi, 0)
    other = f"{'0' * 8}{file.parent.name[8:]}"
    page.write_text(page.read_text().replace(file.parent.name, other))  # it can be read, and is wrong
    pypi.fault(f"/simple/{NAMES[0]}/", Status(503), times=None)
    verify(held, "--delete", status=1)
    assert file.exists()


def test_core_metadata_without_its_file_counts(held: Rig, pypi: FakePyPI) -> None:
    lonely = path_of(held, pypi, 0).with_name("lonely-1.0-py3-none-any.whl.metadata")
    lonely.write_bytes(b"Name: lonely")
    document = verify(held, "--delete", "--dry-run", status=1)
    assert document["problems"]["listed by no page"] == {"found": 1, "repaired": 0, "deleted": 0}
    assert verify(held, "--delete", status=5, max_removals="0")["withheld"] is not None
    assert lonely.exists()
    verify(held, "--delete", status=6)
    assert not lonely.exists()


def test_a_file_that_goes_is_called_deleted(held: Rig) -> None:
    (held.web / "packages/stray-1.0.tar.gz").write_bytes(b"stray")
    result = held.call("verify", "--delete")
    assert "web/packages/stray-1.0.tar.gz: listed by no page, deleted" in result.stderr
    assert "repaired" not in result.stderr.replace("0 repaired", "")
    assert "1 found, 0 repaired, 1 deleted, 0 left, 0 failed in" in result.stderr
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["problem", "found", "repaired", "deleted", "left"],
        ["listed", "by", "no", "page", "1", "0", "1", "0"],
    ]
    assert result.returncode == 6


def test_deleted_files_are_counted_apart_from_repaired_ones(held: Rig, pypi: FakePyPI) -> None:
    (held.web / "packages/stray-1.0.tar.gz").write_bytes(b"stray")
    path_of(held, pypi, 0).unlink()
    document = verify(held, "--delete", status=6)
    assert [document[name] for name in ("found", "repaired", "deleted", "left")] == [2, 1, 1, 0]
    assert document["fetched"] == {"files": 1, "bytes": path_of(held, pypi, 0).stat().st_size}
    told = {finding["path"]: (finding["repaired"], finding["deleted"]) for finding in document["findings"]}
    assert set(told.values()) == {(True, False), (False, True)}
    assert told["web/packages/stray-1.0.tar.gz"] == (False, True)


def test_a_percentage_brakes_the_deletion_of_unlisted_files_at_any_size(held: Rig) -> None:
    for number in range(7):
        (held.web / f"packages/stray-{number}.tar.gz").write_bytes(b"stray")
    document = verify(held, "--delete", status=5, max_removals="5% or 1000")
    assert "this would remove 7 files that no page lists, beside 12 that pages list" in document["withheld"]
    verify(held, "--delete", status=6, max_removals="60%")
