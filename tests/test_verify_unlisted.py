"""``verify --delete``: files that no page lists go; what could not be read deletes nothing."""

import os
import re
from pathlib import Path

import pytest

from tests.fakepypi import FakePyPI, Stall, Status
from tests.rig import Rig
from tests.verifying import NAMES, filled, path_of, verify


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
    held.command("verify")
    assert all(path.exists() for path in made)
    document = verify(held, "--delete", status=6)
    assert document["problems"]["listed by no page"] == {"found": 6, "repaired": 6}
    assert not any(path.exists() for path in made)
    held.assert_matches()


def test_too_many_unlisted_files_need_leave(held: Rig) -> None:
    made = orphans(held)
    document = verify(held, "--delete", status=5, max_removals="5")
    assert "6 of 12 files" in document["withheld"]
    assert all(path.exists() for path in made)
    assert len((held.directory / "removals").read_bytes().splitlines()) == 7
    verify(held, "--delete", "--allow-removals", status=6, max_removals="5")
    held.run()
    assert not any(path.exists() for path in made)


def test_both_kinds_of_removals_that_are_withheld_are_listed(held: Rig, pypi: FakePyPI) -> None:
    made = orphans(held)
    removed = pypi.files(NAMES[0])[0].filename
    pypi.remove_file(NAMES[0], removed)
    document = verify(held, "--delete", status=5, max_removals="0")
    assert re.fullmatch(r"this would remove .* and .*, which max-removals forbids: .*", document["withheld"])
    listed = (held.directory / "removals").read_text(errors="surrogateescape")
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
    result = held.command("verify", "--delete")
    assert result.returncode == 1
    assert "files that no page lists are not deleted" in result.stderr
    assert all(path.exists() for path in made)
    assert path_of(held, pypi, 0).exists()


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
    result = held.command("verify", "--delete", deleted=deleted)
    assert result.returncode == 2
    assert f"[mirror] deleted = {deleted}" in result.stderr


def test_with_a_budget_the_deletion_comes_first(held: Rig, pypi: FakePyPI) -> None:
    made = orphans(held)
    verify(held, "--delete", "--budget", "1h", status=6)
    assert not any(path.exists() for path in made)
    held.assert_matches()
