"""Whatever has happened to a record, the next run has the right tree again, or the one after it; nothing else is touched."""

import os
import random
import re
import socket
import sqlite3
from collections.abc import Callable
from contextlib import chdir, closing, suppress
from pathlib import Path

import pytest

from bandersnatch.errors import StorageError
from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig

DATABASE = "inventory.sqlite"
RECORDS = ["state", "changelog", "fingerprint", "todo", "unconfirmed", "own-projects", DATABASE]
OTHERS = ["removals", "removals-of-verify", "followed", "upstream", "leftovers", "shared-tree", "status"]
TABLES = ["project", "unsettled", "partial", "refreshed", "stranger", "quarantined", "awaited", "tally", "closed"]
COLUMNS = {
    "project": ["name", "display_name", "serial", "etag", "files", "bytes", "pages_digest", "looked_at"],
    "tally": ["projects"],
    "closed": ["at"],
    "refreshed": ["up_to"],
    "indexed": ["path", "stamp", "lines"],
}
HOSTILE = ["x", "", "../../../victim", b"\xff\x00", -1, 2**63 - 1, 0, 1.5, "9" * 400, float("inf")]
"""And NULL, which most columns refuse."""


@pytest.fixture
def victim(rig: Rig, pypi: FakePyPI) -> Path:
    """A file outside of a mirror that is there, and that has more to do."""
    for number in range(4):
        pypi.add_file(f"Some.Project-{number}", "1.0")
    rig.run()
    pypi.add_file("Some.Project-1", "2.0")
    path = rig.folder / "victim"
    path.write_bytes(b"somebody's")
    return path


def assert_recovers(rig: Rig, victim: Path) -> None:
    """Assert that a run, or at the latest the one after it, is a success, and has the right tree."""
    try:
        report = rig.run()
    except StorageError as error:
        assert "the next run rebuilds it" in str(error)  # noqa: PT017 - most times there is none
        report = rig.run()
    assert report.failures == []
    rig.assert_matches()
    assert victim.read_bytes() == b"somebody's"


def execute(rig: Rig, statement: str, *parameters: object) -> None:
    with closing(sqlite3.connect(rig.directory / DATABASE)) as database, database:
        database.execute(statement, parameters)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_is_gone(rig: Rig, victim: Path, table: str) -> None:
    execute(rig, f"DROP TABLE {table}")
    assert_recovers(rig, victim)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_another_name(rig: Rig, victim: Path, table: str) -> None:
    execute(rig, f"ALTER TABLE {table} RENAME TO something")
    assert_recovers(rig, victim)


@pytest.mark.parametrize("column", ["etag", "bytes", "display_name", "pages_digest", "looked_at"])
def test_a_column_that_is_gone(rig: Rig, victim: Path, column: str) -> None:
    execute(rig, "DROP INDEX project_looked_at")
    of_index = ("project_added", "project_changed", "project_removed", "quarantine_added", "quarantine_removed")
    of_journal = ("journal_put", "journal_changed", "journal_removed", "journal_quarantined", "journal_released")
    for trigger in (*of_index, *of_journal):
        execute(rig, f"DROP TRIGGER {trigger}")
    execute(rig, f"ALTER TABLE project DROP COLUMN {column}")
    assert_recovers(rig, victim)


def test_a_trigger_that_nobody_of_us_has_made(rig: Rig, victim: Path) -> None:
    execute(
        rig, "CREATE TRIGGER evil AFTER INSERT ON unsettled BEGIN INSERT INTO partial VALUES ('../../victim', 'x'); END"
    )
    result = rig.call("mirror")
    assert (result.returncode, "the trigger evil is" in result.stderr) == (0, True), result.stderr
    rig.assert_matches()


@pytest.mark.parametrize(("table", "column"), [(table, column) for table in COLUMNS for column in COLUMNS[table]])
def test_values_that_can_be_none_of_ours(rig: Rig, pypi: FakePyPI, victim: Path, table: str, column: str) -> None:
    for number, value in enumerate((*HOSTILE, None)):
        with suppress(sqlite3.IntegrityError):
            where = " WHERE name LIKE '%2'" if table == "project" else ""
            execute(rig, f"UPDATE {table} SET {column} = ?{where}", value)
        pypi.add_file("Some.Project-2", f"3.{number}")
        assert_recovers(rig, victim)


@pytest.mark.parametrize("is_all", [True, False], ids=["all", "one"])
def test_projects_that_are_lost_come_back_in_one_run_that_has_nothing_else_to_do(
    rig: Rig, victim: Path, is_all: bool
) -> None:
    rig.run()
    execute(rig, "DELETE FROM project" if is_all else "DELETE FROM project WHERE name LIKE '%2'")
    (rig.web / "simple" / "index.html").write_text("without it")
    result = rig.call("mirror")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("is damaged (projects are missing, or were added)") == 1
    rig.assert_matches()


def test_a_project_that_nobody_holds_is_not_believed(rig: Rig, victim: Path) -> None:
    columns = "(name, display_name, serial, files, bytes)"
    execute(rig, f"INSERT INTO project {columns} VALUES ('made-up', 'made-up', 5, 0, 0)")
    assert_recovers(rig, victim)
    assert "made-up" not in (rig.web / "simple" / "index.html").read_text()


@pytest.mark.parametrize("has_work", [True, False])
def test_a_quarantine_of_which_no_page_tells_is_not_believed(rig: Rig, victim: Path, has_work: bool) -> None:
    if not has_work:
        rig.run()
    execute(rig, "INSERT INTO quarantined VALUES ('some-project-2')")
    assert_recovers(rig, victim)


def test_what_an_unfinished_run_has_noted_outlives_an_inventory_that_is_made_anew(rig: Rig, victim: Path) -> None:
    leftover = rig.web / "packages" / "aa" / "some-project-0-9.tar.gz"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"left behind")
    execute(rig, "INSERT INTO unsettled VALUES ('some-project-1', 'web/packages/aa/some-project-0-9.tar.gz')")
    execute(rig, "DROP TABLE refreshed")
    assert_recovers(rig, victim)
    assert not leftover.exists()


@pytest.mark.parametrize("seed", range(12))
def test_flipped_and_lost_bytes(rig: Rig, victim: Path, seed: int) -> None:
    chance = random.Random(seed)
    name = DATABASE if seed % 3 else chance.choice(RECORDS)
    path = rig.directory / name
    data = bytearray(path.read_bytes() if path.exists() else b"")
    if data and seed % 2:
        for _ in range(chance.choice((1, 20, 400))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    else:
        del data[chance.randrange(len(data) + 1) :]
    path.write_bytes(data)
    assert_recovers(rig, victim)


def make_sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(3 * 1024**3)


def make_link(path: Path) -> None:
    path.symlink_to(path.parent.parent / "victim")


def make_folder(path: Path) -> None:
    path.mkdir()
    (path / "file").touch()


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made, chdir(path.parent):  # the path of a socket must be short
        made.bind(path.name)


def make_link_to_folder(path: Path) -> None:
    path.symlink_to(path.parent.parent)


def make_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


KINDS = [os.mkfifo, make_folder, make_link, make_sparse, make_socket, make_link_to_folder, make_link_to_itself]
LOGS = [f"{DATABASE}{end}" for end in ("-wal", "-shm", "-journal")]


@pytest.mark.parametrize("name", [*RECORDS, *OTHERS, *LOGS])
@pytest.mark.parametrize("make", KINDS)
def test_something_else_in_its_place(
    rig: Rig, pypi: FakePyPI, victim: Path, name: str, make: Callable[[Path], None]
) -> None:
    (rig.directory / name).unlink(missing_ok=True)
    make(rig.directory / name)
    pypi.remove_project("Some.Project-3")
    assert_recovers(rig, victim)


def test_whoever_owns_what_lay_in_a_records_place_finds_it_beside(rig: Rig, victim: Path) -> None:
    (rig.directory / DATABASE).unlink()
    make_folder(rig.directory / DATABASE)
    result = rig.call("mirror")
    assert re.search(rf"{DATABASE} was not a plain file; it was renamed to {DATABASE}.set-aside", result.stderr)
    assert (rig.directory / f"{DATABASE}.set-aside" / "file").exists()


@pytest.mark.parametrize("make", [os.mkfifo, make_folder, make_link, make_sparse])
def test_verify_with_something_else_in_place_of_what_it_has_found(
    rig: Rig, victim: Path, make: Callable[[Path], None]
) -> None:
    rig.run()
    make(rig.directory / "unlisted.sqlite")
    result = rig.call("verify", "--delete")
    assert (result.returncode, "Traceback" in result.stderr) == (0, False), result.stderr
    assert victim.read_bytes() == b"somebody's"


@pytest.mark.parametrize("page", ["simple/some-project-2/index.v1_json", "simple/index.v1_json", "last-modified"])
@pytest.mark.parametrize("make", [os.mkfifo, make_sparse])
def test_pages_that_can_be_none_are_not_read(rig: Rig, victim: Path, page: str, make: Callable[[Path], None]) -> None:
    (rig.web / page).unlink()
    make(rig.web / page)
    (rig.directory / DATABASE).unlink()
    (rig.directory / "state").unlink()
    assert_recovers(rig, victim)
