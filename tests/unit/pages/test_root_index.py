"""A run writes the lines of the root index that have changed, where it stands as it was left; else it writes all of them."""

import os
import sqlite3
from pathlib import Path

import pytest

from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig
from tests.support.verifying import NAMES, filled, verify

PAGES = ("index.html", "index.v1_html", "index.v1_json")
OTHER = "project_2"


@pytest.fixture
def held(rig: Rig, pypi: FakePyPI) -> Rig:
    return filled(rig, pypi)


def forge(held: Rig, *, is_noticed: bool) -> list[Path]:
    """Change a line that no run has a reason to write; a stamp that is as it was hides that."""
    pages = [held.web / "simple" / name for name in PAGES]
    for page in pages:
        stat = page.stat()
        page.write_bytes(page.read_bytes().replace(b"project-2", OTHER.encode()))
        if not is_noticed:
            os.utime(page, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return pages


@pytest.mark.parametrize("is_noticed", [False, True])
def test_lines_of_others_are_copied_where_the_file_is_as_it_was_left(
    held: Rig, pypi: FakePyPI, *, is_noticed: bool
) -> None:
    pages = forge(held, is_noticed=is_noticed)
    pypi.add_file("new", "1.0")
    held.run()
    assert all(b">new<" in page.read_bytes() or b'"new"' in page.read_bytes() for page in pages)
    assert [OTHER.encode() in page.read_bytes() for page in pages] == [not is_noticed] * 3
    if not is_noticed:
        verify(held, status=6)
    held.assert_matches()


def test_resync_writes_all_lines(held: Rig, pypi: FakePyPI) -> None:
    forge(held, is_noticed=False)
    pypi.add_file(NAMES[0], "3.0")
    held.resync()
    held.run()
    held.assert_matches()


@pytest.mark.parametrize("change", ["update", "new", "removed", "removed and back", "quarantined", "out of quarantine"])
def test_each_kind_of_change_shows(held: Rig, pypi: FakePyPI, change: str) -> None:
    pages = forge(held, is_noticed=False)
    match change:
        case "update":
            pypi.add_file(NAMES[0], "3.0")
        case "new":
            pypi.add_file("a-new-one", "1.0")
        case "quarantined" | "out of quarantine":
            pypi.quarantine_project(NAMES[5])
        case _:
            pypi.remove_project(NAMES[5])
    held.run()
    if change == "out of quarantine":
        pypi.clear_quarantine(NAMES[5])
        held.run()
    if change == "removed and back":
        pypi.add_file(NAMES[5], "4.0")
        held.run()
    assert all(OTHER.encode() in page.read_bytes() for page in pages), "they were written as a whole"
    for page in pages:
        page.write_bytes(page.read_bytes().replace(OTHER.encode(), b"project-2"))
    held.assert_matches()


@pytest.mark.parametrize("loss", ["record", "changes", "line"])
def test_record_that_does_not_agree_is_not_gone_by(held: Rig, pypi: FakePyPI, loss: str) -> None:
    forge(held, is_noticed=False)
    with sqlite3.connect(held.directory / "inventory.sqlite") as connection:
        match loss:
            case "record":
                connection.execute("DELETE FROM indexed")
            case "changes":
                connection.execute("DROP TABLE unindexed")
            case _:
                connection.execute("UPDATE indexed SET lines = lines + 1")
    connection.close()
    pypi.add_file("new", "1.0")
    held.run()
    held.assert_matches()


def test_many_changes_write_all_lines(held: Rig, pypi: FakePyPI) -> None:
    forge(held, is_noticed=False)
    for number in range(11):
        pypi.add_file(f"new-{number}", "1.0")
    held.run()
    held.assert_matches()
