"""Several processes write to one mirror, and some of them are lost or come back: nothing is mixed, lost or harmed."""

from shutil import rmtree

import pytest

from bandersnatch.errors import InterruptedRunError, PartGoneError
from bandersnatch.storage.file_writer import Partial
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import STATE, StoredPath
from bandersnatch.storage.unfinished_folder import UNFINISHED_FOLDER
from tests.support.sample_file import CONTENT, KEPT, PATH, break_off, files, half_written

PAGE = StoredPath("web/simple/sample/index.html")


class Unended:
    """A writer in the middle of a file: a worker that was killed, or has stopped and may come back."""

    def __init__(self, storage: FilesystemStorage, data: bytes, partial: Partial = KEPT) -> None:
        self._block = storage.write(PATH, partial=partial)
        self._writer = self._block.__enter__()
        self._writer.write(data)

    def come_back(self, data: bytes) -> None:
        """Write the rest, and publish."""
        try:
            self._writer.write(data)
        except BaseException as error:
            self._block.__exit__(type(error), error, error.__traceback__)
            raise
        self._block.__exit__(None, None, None)


@pytest.fixture(params=["in our folder", "beside its place"])
def shared(request: pytest.FixtureRequest, storage: FilesystemStorage) -> FilesystemStorage:
    """A mirror that several processes write to."""
    if request.param == "beside its place":
        request.getfixturevalue("split")
    return storage


def test_two_that_write_one_file_at_a_time_have_each_their_own(shared: FilesystemStorage) -> None:
    first, second = Unended(shared.twin(), b"con"), Unended(shared.twin(), b"cont")
    assert len(half_written(shared.root)) == 2
    first.come_back(b"tent")
    inode = (shared.root / PATH).stat().st_ino
    assert shared.read(PATH) == CONTENT
    second.come_back(b"ent")
    assert shared.read(PATH) == CONTENT
    assert (shared.root / PATH).stat().st_ino != inode
    assert half_written(shared.root) == []


def test_one_that_was_thought_dead_and_comes_back_changes_nothing(shared: FilesystemStorage) -> None:
    token = shared.admit()
    lost = Unended(shared.twin(token), b"old con")
    shared.give_up(token, [PATH])
    assert half_written(shared.root) == []
    shared.twin().write_bytes(PATH, CONTENT)
    inode = (shared.root / PATH).stat().st_ino
    with pytest.raises(InterruptedRunError):
        lost.come_back(b"tent")
    assert shared.read(PATH) == CONTENT
    assert (shared.root / PATH).stat().st_ino == inode
    assert half_written(shared.root) == []


def test_one_that_was_thought_dead_publishes_nothing_that_it_begins_later(shared: FilesystemStorage) -> None:
    token = shared.admit()
    lost = shared.twin(token)
    lost.write_bytes(PATH, b"before")
    shared.give_up(token)
    for act in (
        lambda: lost.write_bytes(PATH, b"later"),
        lambda: lost.save(STATE, [b"later"]),
        lambda: lost.link(StoredPath("web/packages/aa/link"), "there"),
    ):
        with pytest.raises(InterruptedRunError):
            act()
    assert {path for path in files(shared) if not path.startswith(UNFINISHED_FOLDER)} == {PATH}
    assert shared.read(PATH) == b"before"
    assert half_written(shared.root) == []


def test_one_that_was_thought_dead_leaves_no_folder_behind(shared: FilesystemStorage) -> None:
    token = shared.admit()
    lost = Unended(shared.twin(token), b"con")
    shared.give_up(token, [PATH])
    with pytest.raises(InterruptedRunError):
        lost.come_back(b"tent")
    assert not (shared.root / "web/packages/aa").exists()


@pytest.mark.parametrize("kept", [(), (PATH,)], ids=["not known to be dead", "dead"])
def test_only_what_the_dead_have_left_is_kept(shared: FilesystemStorage, kept: tuple[StoredPath, ...]) -> None:
    token = shared.admit()
    lost = Unended(shared.twin(token), b"cont")
    shared.give_up(token, [PATH, PAGE], kept)
    assert shared.partial_size(PATH) == (4 if kept else 0)
    assert len(half_written(shared.root)) == len(kept)
    if kept:
        with shared.twin().write(PATH, partial=Partial(4)) as writer:
            writer.write(b"ent")
        assert shared.read(PATH) == CONTENT
    del lost


def test_exactly_one_resumes_what_was_kept(shared: FilesystemStorage) -> None:
    break_off(shared.twin())
    first = Unended(shared.twin(), b"", Partial(4))
    with pytest.raises(PartGoneError), shared.twin().write(PATH, partial=Partial(4)):
        pytest.fail("the block was entered")
    first.come_back(b"ent")
    assert shared.read(PATH) == CONTENT


def test_the_next_run_keeps_the_most_of_what_dead_writers_have_left(shared: FilesystemStorage) -> None:
    dead = [Unended(shared.twin(), CONTENT[:length]) for length in (2, 5, 3)]
    dead.append(Unended(shared, CONTENT[:4]))
    later = FilesystemStorage(shared.root)
    assert later.sweep_all([PATH], [PATH]) == 0
    assert len(half_written(shared.root)) == 1
    assert later.partial_size(PATH) == 5
    with pytest.raises(InterruptedRunError):
        dead[1].come_back(b"")
    assert later.partial_size(PATH) == 5


def test_the_next_run_deletes_what_nobody_resumes_of_dead_writers(shared: FilesystemStorage) -> None:
    dead = [Unended(shared.twin(), b"cont"), Unended(shared, b"cont")]
    later = FilesystemStorage(shared.root)
    assert later.sweep_all([PATH], ()) > 0
    later.tidy()
    assert files(later) == {}
    assert not (later.root / UNFINISHED_FOLDER).exists()
    del dead


def test_what_a_killed_worker_has_left_outlives_the_end_of_the_run(shared: FilesystemStorage) -> None:
    """Beside its place its name is made by the key, which must stay."""
    killed = Unended(shared.twin(), b"cont")
    shared.tidy()
    later = FilesystemStorage(shared.root)
    later.sweep_all([PATH], [PATH])
    assert later.partial_size(PATH) == 4
    with later.write(PATH, partial=Partial(4)) as writer:
        writer.write(b"ent")
    assert later.read(PATH) == CONTENT
    later.tidy()
    last = FilesystemStorage(shared.root)
    last.sweep_all((), ())
    last.tidy()
    assert files(last) == {PATH: CONTENT}
    del killed


def test_what_a_worker_that_was_given_up_has_left_beside_its_place_is_found_by_the_next_run(
    split: FilesystemStorage,
) -> None:
    """Nobody has told where it wrote."""
    token = split.admit()
    killed = Unended(split.twin(token), b"cont")
    split.give_up(token)
    split.tidy()
    later = FilesystemStorage(split.root)
    later.sweep_all([PATH], [PATH])
    assert later.partial_size(PATH) == 4
    later.sweep_all([PATH], ())
    assert half_written(later.root) == []
    del killed


def test_what_a_worker_has_kept_outlives_the_end_of_the_run(shared: FilesystemStorage) -> None:
    worker = shared.twin()
    break_off(worker)
    worker.tidy()
    shared.tidy()
    later = FilesystemStorage(shared.root)
    later.sweep_all([PATH], [PATH])
    assert later.partial_size(PATH) == 4


def test_workers_that_have_ended_well_leave_nothing(shared: FilesystemStorage) -> None:
    worker, silent = shared.twin(), shared.twin()
    worker.write_bytes(PATH, CONTENT)
    worker.tidy()
    assert len(list((shared.root / UNFINISHED_FOLDER).glob("*.writer"))) == 1
    shared.tidy()
    assert not (shared.root / UNFINISHED_FOLDER).exists()
    with pytest.raises(InterruptedRunError):
        silent.write_bytes(PATH, b"later")


def test_what_all_have_half_written_goes_when_the_run_is_abandoned(shared: FilesystemStorage) -> None:
    worker = Unended(shared.twin(), b"cont")
    shared.abandon()
    FilesystemStorage(shared.root).sweep_all([PATH], [])  # what lies beside its place is found by the next run
    assert half_written(shared.root) == []
    with pytest.raises(InterruptedRunError):
        worker.come_back(b"ent")
    assert not (shared.root / PATH).exists()


def test_where_the_folder_is_deleted_meanwhile_the_main_process_goes_on(storage: FilesystemStorage) -> None:
    break_off(storage)
    rmtree(storage.root / UNFINISHED_FOLDER)
    storage.write_bytes(PATH, CONTENT)
    assert storage.read(PATH) == CONTENT
