"""What the mirror holds, in SQLite: survives a kill, and is made anew where it can't be read."""

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bandersnatch.errors import StorageError
from bandersnatch.names import NormalizedName
from bandersnatch.state.database_errors import cause_of
from bandersnatch.state.inventory import HeldProject, Inventory
from bandersnatch.storage.layout import StoredPath
from tests.support.builders import SAMPLE, named

HELD = HeldProject(SAMPLE, "Sample", 7, '"etag"', 2, 300)
OTHER = HeldProject(named("other"), "other", 9, None, 0, 0)
THIRD = StoredPath("web/packages/aa/z.whl")
PATHS = {StoredPath("web/packages/aa/x.whl"), StoredPath("web/simple/sample")}

WRITE_AND_DIE = """
import os, sys
from pathlib import Path
from bandersnatch.state.inventory import HeldProject, Inventory
inventory = Inventory(Path(sys.argv[1]))
inventory.open()
inventory.put_all([])
inventory.put(HeldProject("sample", "Sample", 7, None, 0, 0))
inventory.note_unsettled([("other", "web/packages/aa/x.whl")])
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inventory.sqlite"


@pytest.fixture
def inventory(path: Path) -> Iterator[Inventory]:
    with closing(Inventory(path)) as inventory:
        inventory.open()
        inventory.put_all([])
        yield inventory


def reopened(path: Path) -> bool:
    """Open the inventory and close it; return whether it was there."""
    with closing(Inventory(path)) as inventory:
        return inventory.open()


def test_a_new_inventory_is_empty(path: Path) -> None:
    with closing(Inventory(path)) as inventory:
        assert not inventory.open()
        assert list(inventory.projects()) == []
        assert inventory.serials() == {}
        assert inventory.all_unsettled() == []
        assert inventory.get(SAMPLE) is None


def test_an_inventory_that_was_filled_is_there_the_next_time(path: Path) -> None:
    with closing(Inventory(path)) as inventory:
        inventory.open()
        inventory.put_all([HELD])
    with closing(Inventory(path)) as inventory:
        assert inventory.open()
        assert list(inventory.projects()) == [HELD]


def test_an_inventory_that_was_never_filled_is_not_taken_for_that_of_an_empty_mirror(path: Path) -> None:
    assert not reopened(path)
    assert not reopened(path), "a run that was killed before it had rebuilt the inventory would lose all projects"


def test_a_project_is_recorded(inventory: Inventory) -> None:
    inventory.put(HELD)
    assert inventory.get(SAMPLE) == HELD
    assert inventory.serials() == {SAMPLE: 7}


def test_a_project_is_replaced(inventory: Inventory) -> None:
    newer = HeldProject(SAMPLE, "SAMPLE", 8, None, 3, 400)
    inventory.put(HELD)
    inventory.put(newer)
    assert list(inventory.projects()) == [newer]


def test_projects_come_in_the_order_of_their_names(inventory: Inventory) -> None:
    inventory.put_all([HELD, OTHER])
    assert list(inventory.projects()) == [OTHER, HELD]


def test_very_many_projects_come_each_once_and_in_order(inventory: Inventory) -> None:
    names = sorted(f"p{number}" for number in range(20_001))
    inventory.put_all(HeldProject(named(name), name, 1, None, 1, 1) for name in names)
    assert [project.name for project in inventory.projects()] == names
    assert inventory.totals() == (20_001, 20_001)


def test_projects_may_be_changed_while_they_come(inventory: Inventory) -> None:
    inventory.put_all([HELD, OTHER])
    for project in inventory.projects():
        inventory.remove(project.name)
    assert inventory.serials() == {}
    assert inventory.totals() == (0, 0)


def test_the_tallied_number_of_projects_is_that_of_the_rows(inventory: Inventory) -> None:
    inventory.put_all([OTHER])
    for change in (partial(inventory.put, HELD), partial(inventory.put, HELD, OTHER)):
        change()
        assert inventory.project_count() == inventory.totals()[0] == 2
    inventory.drop_record(OTHER.name)
    assert inventory.project_count() == inventory.totals()[0] == 1
    for _ in range(2):
        inventory.remove(HELD.name)
        assert inventory.project_count() == inventory.totals()[0] == 0


def test_a_dropped_record_leaves_what_is_noted_of_its_project(inventory: Inventory) -> None:
    inventory.put(HELD)
    inventory.note_unsettled((HELD.name, path) for path in PATHS)
    inventory.drop_record(HELD.name)
    assert inventory.get(HELD.name) is None
    assert inventory.unsettled(HELD.name) == PATHS


def test_the_etag_of_a_half_written_file_is_noted_until_its_project_is_settled(inventory: Inventory) -> None:
    (path, other) = sorted(PATHS)
    inventory.note_unsettled([(SAMPLE, path), (SAMPLE, THIRD), (OTHER.name, other)])
    inventory.note_partial(path, '"one"')
    inventory.note_partial(path, '"two"')
    inventory.note_partial(other, '"three"')
    projects = (SAMPLE, OTHER.name)
    assert inventory.unsettled_of(projects) == {
        SAMPLE: {path: '"two"', THIRD: None},
        OTHER.name: {other: '"three"'},
    }
    inventory.put(HELD)
    inventory.note_unsettled([(SAMPLE, path)])
    assert inventory.unsettled_of(projects) == {SAMPLE: {path: None}, OTHER.name: {other: '"three"'}}


def test_a_project_that_is_removed_is_forgotten(inventory: Inventory) -> None:
    inventory.put_all([HELD, OTHER])
    inventory.note_unsettled((SAMPLE, path) for path in PATHS)
    inventory.remove(SAMPLE)
    assert list(inventory.projects()) == [OTHER]
    assert inventory.unsettled(SAMPLE) == set()


def test_removing_what_is_not_held_is_no_error(inventory: Inventory) -> None:
    inventory.remove(SAMPLE)
    assert list(inventory.projects()) == []


def test_etags_can_be_forgotten_all_at_once(inventory: Inventory) -> None:
    inventory.put(HELD)
    inventory.forget_etags()
    assert list(inventory.projects()) == [HeldProject(SAMPLE, "Sample", 7, None, 2, 300)]


def test_unsettled_files_are_noted_until_their_project_is_put(inventory: Inventory) -> None:
    inventory.note_unsettled((SAMPLE, path) for path in PATHS)
    inventory.note_unsettled((SAMPLE, path) for path in PATHS)
    inventory.note_unsettled([(OTHER.name, StoredPath("web/packages/bb/y.whl"))])
    assert inventory.unsettled(SAMPLE) == PATHS
    inventory.put(HELD)
    assert inventory.unsettled(SAMPLE) == set()
    assert inventory.all_unsettled() == [(OTHER.name, "web/packages/bb/y.whl")]


def test_notes_are_not_lost_by_recording_many_projects(inventory: Inventory) -> None:
    inventory.note_unsettled((SAMPLE, path) for path in PATHS)
    inventory.put_all([HELD])
    assert inventory.unsettled(SAMPLE) == PATHS


def test_recording_many_projects_is_all_or_nothing(inventory: Inventory) -> None:
    def broken() -> Iterator[HeldProject]:
        yield HELD
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        inventory.put_all(broken())
    assert list(inventory.projects()) == []


def test_a_killed_process_loses_nothing_that_was_recorded(path: Path) -> None:
    subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(path)], check=False, timeout=60)
    with closing(Inventory(path)) as inventory:
        assert inventory.open()
        assert inventory.serials() == {SAMPLE: 7}
        assert inventory.unsettled(OTHER.name) == {"web/packages/aa/x.whl"}


@pytest.mark.parametrize("garbage", [b"", b"garbage", b"SQLite format 3\0" + b"\xff" * 4096, b"\0" * 8192])
def test_a_file_that_is_no_inventory_is_made_anew(path: Path, garbage: bytes) -> None:
    path.write_bytes(garbage)
    with closing(Inventory(path)) as inventory:
        assert not inventory.open()
        inventory.put(HELD)
        assert list(inventory.projects()) == [HELD]


def test_garbage_beside_it_does_no_harm(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").write_bytes(b"garbage")
    with closing(Inventory(path)) as inventory:
        assert not inventory.open()
        inventory.put(HELD)
    with closing(Inventory(path)) as inventory:
        inventory.open()
        assert list(inventory.projects()) in ([HELD], [])


def test_an_inventory_of_another_version_is_made_anew(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("CREATE TABLE project (something TEXT)")
    with closing(Inventory(path)) as inventory:
        assert not inventory.open()
        assert list(inventory.projects()) == []


def test_an_inventory_of_the_version_before_goes_on_with_all_that_it_knows(path: Path) -> None:
    with closing(Inventory(path)) as inventory:
        inventory.open()
        inventory.put_all([HELD, OTHER])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX project_looked_at")
        connection.execute("ALTER TABLE project DROP COLUMN looked_at")
        for table in ("refreshed", "tally", "closed", "awaited"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("PRAGMA user_version = 2")
    with closing(Inventory(path, lambda: 50.0)) as inventory:
        assert inventory.open()
        assert list(inventory.projects()) == [OTHER, HELD]
        inventory.put(OTHER)
        assert [name for name, _, _ in inventory.longest_not_looked_at(9, 51.0)] == [HELD.name, OTHER.name]
        assert inventory.refreshed_up_to() == (None, 2)


def test_an_inventory_that_broke_within_is_made_anew_by_the_next_run(path: Path) -> None:
    with closing(Inventory(path)) as inventory:
        inventory.open()
        inventory.put_all(replace(HELD, name=NormalizedName(f"sample-{n}")) for n in range(5000))
    closed = path.stat().st_mtime_ns
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE project SET serial = -5 WHERE name = 'sample-77'")
    os.utime(path, ns=(closed, closed))  # as where the disk has rotted
    with closing(Inventory(path)) as inventory:
        assert inventory.open()
        with pytest.raises(StorageError, match=r"a row is invalid: .*; the next run rebuilds it from the pages"):
            list(inventory.projects())
    with closing(Inventory(path)) as inventory:
        assert not inventory.open()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_an_error_of_the_disk_has_the_words_of_the_disk(code: int) -> None:
    names = {errno.ENOSPC: sqlite3.SQLITE_FULL, errno.EROFS: sqlite3.SQLITE_READONLY, errno.EIO: sqlite3.SQLITE_IOERR}
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = names[code]
    cause = cause_of(error)
    assert isinstance(cause, OSError)
    assert cause.strerror == os.strerror(code)


def test_full_inventory_names_its_cause(inventory: Inventory) -> None:
    assert inventory._connection is not None
    pages = inventory._connection.execute("PRAGMA page_count").fetchone()[0]
    inventory._connection.execute(f"PRAGMA max_page_count = {pages}")
    paths = [StoredPath(f"packages/{number:05}/{'x' * 200}") for number in range(5000)]
    with pytest.raises(StorageError, match="No space left on device"):
        inventory.note_unsettled((SAMPLE, path) for path in paths)


def test_an_inventory_that_can_not_be_made_is_a_storage_error(path: Path) -> None:
    path.parent.joinpath("file").touch()
    inaccessible = Inventory(path.parent / "file" / path.name)
    with closing(inaccessible) as inventory, pytest.raises(StorageError, match="can't make the inventory"):
        inventory.open()


def test_an_inventory_in_a_folder_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    with closing(Inventory(tmp_path / "no" / "inventory")) as inventory, pytest.raises(StorageError):
        inventory.open()


def test_a_late_thread_gets_an_error_of_ours(inventory: Inventory) -> None:
    inventory.close()
    with pytest.raises(StorageError, match="the run has ended"):
        inventory.get(SAMPLE)


def test_closing_twice_is_no_error(inventory: Inventory) -> None:
    inventory.close()
    inventory.close()


@given(
    times=st.dictionaries(
        st.sampled_from([f"project-{n}" for n in range(8)]), st.none() | st.integers(1, 99), min_size=1
    )
)
def test_verification_begins_with_what_was_never_verified_and_goes_on_with_the_oldest(
    tmp_path_factory: pytest.TempPathFactory, times: dict[str, int | None]
) -> None:
    with closing(Inventory(tmp_path_factory.mktemp("mirror") / "inventory.sqlite")) as inventory:
        inventory.open()
        inventory.put_all(HeldProject(NormalizedName(name), name, 1, None, 0, 0) for name in times)
        inventory.begin_verification(50)
        for name, at in times.items():
            if at is not None:
                inventory.mark_verified([NormalizedName(name)], at)
        expected = sorted((at or 0, name) for name, at in times.items() if at is None or at < 50)
        assert [held.name for held in inventory.verified_before(50)] == [name for _, name in expected]
        inventory.begin_verification(60)
        assert {held.name for held in inventory.verified_before(60)} == set(times)


def test_times_of_verification_survive_a_sync_and_go_with_the_project(tmp_path: Path) -> None:
    path = tmp_path / "inventory.sqlite"
    foo, bar = NormalizedName("foo"), NormalizedName("bar")
    with closing(Inventory(path)) as inventory:
        inventory.open()
        inventory.put_all(HeldProject(name, name, 1, None, 0, 0) for name in (foo, bar))
        inventory.begin_verification(10)
        inventory.mark_verified([foo, bar], 5)
        inventory.put(HeldProject(foo, "Foo", 2, None, 0, 0))
        inventory.remove(bar)
    with closing(Inventory(path)) as inventory:
        assert inventory.open()
        inventory.begin_verification(10)
        assert [held.serial for held in inventory.verified_before(10)] == [2]
        assert list(inventory.verified_before(5)) == []
        inventory.put(HeldProject(bar, "Bar", 3, None, 0, 0))
        assert [held.name for held in inventory.verified_before(5)] == [bar]


def test_the_time_of_closing_survives_a_filesystem_without_nanoseconds(path: Path) -> None:
    with closing(Inventory(path)) as inventory:
        inventory.open()
        inventory.put_all([HELD])
    assert path.stat().st_mtime_ns % 1_000_000_000 == 0  # so exFAT and NTFS, which round times, give it back as it was
    with closing(Inventory(path)) as inventory:
        assert inventory.open()
        assert inventory.is_as_closed
