"""What workers write down before they touch it: outlives them, and is believed only where it is proven to be theirs."""

import logging
import os
import resource
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandersnatch.errors import StorageError
from bandersnatch.names import NormalizedName
from bandersnatch.operations.dry_storage import DryStorage
from bandersnatch.state.inventory import Inventory
from bandersnatch.state.reservations import Reservation, forget, recover_reservations
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import INVENTORY, LEFTOVERS, StoredPath
from bandersnatch.storage.unfinished_folder import UNFINISHED_FOLDER
from tests.support.builders import SAMPLE, named
from tests.support.fakepypi import FakePyPI, Status
from tests.support.killed_runs import Point, killed_at, run_until_killed
from tests.support.rig import Rig

OTHER = named("other")
FILE, PAGE = StoredPath("web/packages/aa/bb/sample-1.0.tar.gz"), StoredPath("web/simple/sample")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes owners")

segments = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\"), min_size=1, max_size=40
).filter(lambda name: not name.startswith("."))
paths = st.lists(segments, min_size=1, max_size=5).map(lambda names: StoredPath("/".join(["web", *names])))
tags = st.text("abcdef0123456789-", min_size=1, max_size=20).map(lambda text: f'"{text}"')
reserved = st.lists(
    st.tuples(st.sampled_from([SAMPLE, OTHER]), st.lists(paths, max_size=5), st.none() | tags), max_size=8
)


@contextmanager
def opened(directory: Path) -> Iterator[Inventory]:
    directory.mkdir(exist_ok=True)
    with closing(Inventory(directory / INVENTORY)) as inventory:
        if not inventory.open():
            inventory.put_all([])
        yield inventory


@pytest.fixture
def inventory(storage: FilesystemStorage) -> Iterator[Inventory]:
    with opened(storage.root) as inventory:
        yield inventory


@contextmanager
def reserving(storage: FilesystemStorage, name: str = "one") -> Iterator[Reservation]:
    with closing(Reservation(storage, name)) as reservation:
        yield reservation


def record(storage: FilesystemStorage, name: str = "one") -> Path:
    return storage.root / UNFINISHED_FOLDER / f"{name}.reserved"


@given(reserved)
@settings(max_examples=40, deadline=None)
def test_all_that_was_reserved_is_noted(
    jobs: list[tuple[NormalizedName, list[StoredPath], str | None]],
) -> None:
    expected: set[tuple[NormalizedName, StoredPath]] = set()
    partial: dict[StoredPath, str] = {}
    with TemporaryDirectory() as folder, opened(Path(folder)) as inventory:
        storage = FilesystemStorage(Path(folder))
        with reserving(storage) as reservation:
            for project, touched, etag in jobs:
                reservation.reserve(project, touched)
                expected.update((project, path) for path in touched)
                if touched and etag is not None:
                    reservation.note_partial(project, touched[0], etag)
                    partial[touched[0]] = etag
        assert recover_reservations(storage, inventory)
        assert set(inventory.all_unsettled()) == expected
        noted = inventory.unsettled_of({project for project, _ in expected})
        found = {path: etag for etags in noted.values() for path, etag in etags.items() if etag is not None}
        assert found == partial
        assert storage.unfinished.records() == []


def test_what_was_reserved_outlives_a_worker_that_is_killed(storage: FilesystemStorage, inventory: Inventory) -> None:
    def work() -> None:
        Reservation(storage.twin(), "one").reserve(SAMPLE, [FILE])
        os.kill(os.getpid(), signal.SIGKILL)

    worker = get_context("fork").Process(target=work)
    worker.start()
    worker.join()
    assert recover_reservations(storage, inventory)
    assert inventory.all_unsettled() == [(SAMPLE, FILE)]


def test_nothing_is_written_before_something_is_reserved(storage: FilesystemStorage, inventory: Inventory) -> None:
    with reserving(storage) as reservation:
        reservation.reserve(SAMPLE, [])
        assert not record(storage).exists()
    assert recover_reservations(storage, inventory)


def test_many_paths_take_several_lines(storage: FilesystemStorage, inventory: Inventory) -> None:
    many = [StoredPath(f"web/packages/aa/{number}") for number in range(2_500)]
    with reserving(storage) as reservation:
        reservation.reserve(SAMPLE, many)
    assert record(storage).read_bytes().count(b"\n") == 3
    recover_reservations(storage, inventory)
    assert inventory.unsettled(SAMPLE) == set(many)


def test_only_what_is_asked_for_is_taken_up(storage: FilesystemStorage, inventory: Inventory) -> None:
    for name, project in (("one", SAMPLE), ("two", OTHER)):
        with reserving(storage, name) as reservation:
            reservation.reserve(project, [FILE])
    recover_reservations(storage, inventory, ["two", "three"])
    assert inventory.all_unsettled() == [(OTHER, FILE)]
    assert storage.unfinished.records() == ["one"]


def test_a_batch_that_is_recorded_leaves_nothing(storage: FilesystemStorage, inventory: Inventory) -> None:
    with reserving(storage) as reservation:
        reservation.reserve(SAMPLE, [FILE])
    forget(storage, ["one", "never made"])
    recover_reservations(storage, inventory)
    assert inventory.all_unsettled() == []
    storage.tidy()
    assert not (storage.root / UNFINISHED_FOLDER).exists()


def test_records_stay_until_they_are_taken_up(storage: FilesystemStorage, inventory: Inventory) -> None:
    with reserving(storage) as reservation:
        reservation.reserve(SAMPLE, [FILE])
    storage.sweep_all([FILE], ())
    storage.tidy()
    assert recover_reservations(FilesystemStorage(storage.root), inventory)
    assert inventory.all_unsettled() == [(SAMPLE, FILE)]


def test_a_dry_run_leaves_them_alone(storage: FilesystemStorage, inventory: Inventory) -> None:
    with reserving(storage) as reservation:
        reservation.reserve(SAMPLE, [FILE])
    assert recover_reservations(DryStorage(storage.root), inventory)
    assert storage.unfinished.records() == ["one"]


@pytest.mark.parametrize("name", ["", "../one", "a/b", "a.b", "x" * 200])
def test_a_record_has_a_plain_name(storage: FilesystemStorage, name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        Reservation(storage, name)


# Torn lines


@given(st.integers(0, 60))
@settings(deadline=None)
def test_of_a_torn_record_all_whole_lines_count(cut: int) -> None:
    with TemporaryDirectory() as folder, opened(Path(folder)) as inventory:
        storage = FilesystemStorage(Path(folder))
        with reserving(storage) as reservation:
            reservation.reserve(OTHER, [PAGE])
            whole = record(storage).stat().st_size
            reservation.reserve(SAMPLE, [FILE])
        end = min(whole + cut, record(storage).stat().st_size)
        os.truncate(record(storage), end)
        is_torn = not record(storage).read_bytes().endswith(b"]\n") or end == whole
        assert recover_reservations(storage, inventory)
        assert set(inventory.all_unsettled()) == {(OTHER, PAGE), *(() if is_torn else ((SAMPLE, FILE),))}


def test_a_line_of_which_the_disk_takes_a_part_spoils_no_other(
    storage: FilesystemStorage, inventory: Inventory
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with reserving(storage) as reservation:
        reservation.reserve(OTHER, [PAGE])
        resource.setrlimit(resource.RLIMIT_FSIZE, (record(storage).stat().st_size + 10, before[1]))
        try:
            with pytest.raises(StorageError, match=r"one\.reserved: can't write: the disk took 10 of"):
                reservation.reserve(SAMPLE, [FILE])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        reservation.reserve(OTHER, [FILE])
    assert recover_reservations(storage, inventory)
    assert set(inventory.all_unsettled()) == {(OTHER, PAGE), (OTHER, FILE)}


# What others may have put there


SOUND = b'["sample",["web/packages/aa/bb/sample-1.0.tar.gz"],null]\n'
GARBAGE = {
    "no JSON": b"garbage\n",
    "zeros": bytes(100) + b"\n",
    "no UTF-8": b'["sample",["\xff"],null]\n',
    "another kind": b'{"project":"sample"}\n',
    "numbers": b'["sample",[1],null]\n',
    "no project": b'["../..",["web/packages/aa"],null]\n',
    "no normalized name": b'["Sample",["web/packages/aa"],null]\n',
    "more": b'["sample",["web/packages/aa"],null,1]\n',
    "an empty line": b"\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_told_of_and_not_used(
    storage: FilesystemStorage, inventory: Inventory, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (storage.root / UNFINISHED_FOLDER).mkdir(mode=0o700)
    record(storage).write_bytes(garbage + SOUND)
    assert not recover_reservations(storage, inventory)
    assert inventory.all_unsettled() == [(SAMPLE, FILE)]
    assert caplog.messages == [f"{record(storage)}: 1 lines are none of ours; they are not used"]
    assert storage.unfinished.records() == []


@given(st.binary(max_size=200))
@settings(max_examples=40, deadline=None)
def test_no_bytes_do_harm(data: bytes) -> None:
    with TemporaryDirectory() as folder, opened(Path(folder)) as inventory:
        storage = FilesystemStorage(Path(folder))
        (Path(folder) / UNFINISHED_FOLDER).mkdir(mode=0o700)
        record(storage).write_bytes(data + b"\n" + SOUND)
        recover_reservations(storage, inventory)
        assert (SAMPLE, FILE) in inventory.all_unsettled()


@pytest.mark.parametrize(
    "path", ["state", "/etc/passwd", "web/../state", "web/packages/../../x", "web/.x", "web/a\\nb", "web/a/"]
)
def test_paths_that_lead_out_of_the_mirror_are_not_used(
    storage: FilesystemStorage, inventory: Inventory, path: str
) -> None:
    (storage.root / UNFINISHED_FOLDER).mkdir(mode=0o700)
    record(storage).write_text(f'["sample",["{path}","{FILE}"],"\\"etag\\""]\n')
    recover_reservations(storage, inventory)
    with closing(sqlite3.connect(storage.root / INVENTORY)) as database:
        assert database.execute("SELECT project, path FROM unsettled").fetchall() == [(SAMPLE, FILE)]
        assert database.execute("SELECT path, etag FROM partial").fetchall() == [(FILE, '"etag"')]


def test_what_is_no_entity_tag_is_not_used(storage: FilesystemStorage, inventory: Inventory) -> None:
    with reserving(storage) as reservation:
        reservation.note_partial(SAMPLE, FILE, "*")
    assert recover_reservations(storage, inventory)
    assert inventory.unsettled_of([SAMPLE]) == {SAMPLE: {FILE: None}}


@pytest.mark.parametrize("plant", [os.symlink, os.link], ids=["symbolic link", "hard link"])
def test_a_link_in_its_place_is_not_followed(
    storage: FilesystemStorage, inventory: Inventory, tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    (storage.root / UNFINISHED_FOLDER).mkdir(mode=0o700)
    victim = tmp_path / "victim"
    victim.write_bytes(SOUND)
    plant(victim, record(storage))
    assert not recover_reservations(storage, inventory)
    assert inventory.all_unsettled() == []
    assert victim.read_bytes() == SOUND
    assert storage.unfinished.records() == []
    plant(victim, record(storage))
    with pytest.raises(StorageError, match="File exists"), reserving(storage) as reservation:
        reservation.reserve(SAMPLE, [FILE])
    assert victim.read_bytes() == SOUND


def test_a_fifo_in_its_place_holds_nothing_up(storage: FilesystemStorage, inventory: Inventory) -> None:
    (storage.root / UNFINISHED_FOLDER).mkdir(mode=0o700)
    os.mkfifo(record(storage))
    assert not recover_reservations(storage, inventory)
    assert storage.unfinished.records() == []


def test_a_folder_in_its_place_is_no_record(storage: FilesystemStorage, inventory: Inventory) -> None:
    record(storage).mkdir(parents=True)
    assert recover_reservations(storage, inventory)


def test_a_huge_one_is_not_read_to_its_end(storage: FilesystemStorage, inventory: Inventory) -> None:
    (storage.root / UNFINISHED_FOLDER).mkdir(mode=0o700)
    record(storage).touch()
    os.truncate(record(storage), 3_000_000_000)
    assert not recover_reservations(storage, inventory)
    assert storage.unfinished.records() == []


@needs_root
def test_another_users_is_not_believed(storage: FilesystemStorage, inventory: Inventory) -> None:
    with reserving(storage) as reservation:
        reservation.reserve(SAMPLE, [FILE])
    os.chown(record(storage), 12345, 12345)
    assert not recover_reservations(storage, inventory)
    assert inventory.all_unsettled() == []


def test_nothing_in_a_folder_to_which_others_could_write_is_believed(
    storage: FilesystemStorage, inventory: Inventory
) -> None:
    with reserving(storage) as reservation:
        reservation.reserve(SAMPLE, [FILE])
    (storage.root / UNFINISHED_FOLDER).chmod(0o777)
    assert not recover_reservations(FilesystemStorage(storage.root), inventory)
    assert inventory.all_unsettled() == []


# The next start


def noted(rig: Rig) -> set[StoredPath]:
    """Return what the inventory itself has noted; a worker that was killed has told only its record."""
    with opened(rig.directory) as inventory:
        return {path for _, path in inventory.all_unsettled()}


def test_a_file_of_which_only_a_worker_has_told_is_found_again(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist")
    pypi.add_file("foo", "2.0")
    run_until_killed(rig, killed_at(Point.PUBLISHED, lambda path: path == f"web{file.url_path}"))
    assert (rig.web / file.url_path[1:]).exists()
    assert noted(rig) == set()
    pypi.remove_release("foo", "1.0")
    assert rig.run().failures == []
    rig.assert_matches()
    assert not (rig.directory / UNFINISHED_FOLDER).exists()


def test_where_a_record_can_not_be_believed_the_next_run_searches(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist")
    pypi.add_file("foo", "2.0")
    run_until_killed(rig, killed_at(Point.PUBLISHED, lambda path: path == f"web{file.url_path}"))
    assert noted(rig) == set()
    (found,) = (rig.directory / UNFINISHED_FOLDER).glob("*.reserved")
    found.write_bytes(bytes(100) + b"\n")
    pypi.remove_release("foo", "1.0")
    pypi.fault("/simple/foo/", Status(500), times=None)
    rig.run()
    assert (rig.directory / LEFTOVERS).exists()
    pypi.clear_faults()
    with caplog.at_level(logging.INFO):
        assert rig.run().failures == []
    assert "deleted 1 file that an unfinished run had left, and no page lists" in caplog.text
    rig.assert_matches()
