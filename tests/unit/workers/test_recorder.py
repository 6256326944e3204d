"""What workers have done is recorded: deletions first, and the reservations go last."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from bandersnatch.config.option_groups import PagesConfig
from bandersnatch.errors import InterruptedRunError, StorageError
from bandersnatch.model import ProjectPage
from bandersnatch.pages.publisher import Publication, Publisher
from bandersnatch.pages.remover import Remover
from bandersnatch.project.job import Result
from bandersnatch.project.report import Failure, Gone, Settled
from bandersnatch.state.inventory import HeldProject, Inventory
from bandersnatch.state.reservations import Reservation
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import INVENTORY, StoredPath, file_path
from bandersnatch.upstream.journal_end import JournalEnd
from bandersnatch.workers.recorder import Recorder
from tests.support.builders import SAMPLE, make_file, make_page, named

FOO, BAR = named("foo"), named("bar")
OLD, NEW = StoredPath("web/packages/aa/foo-1.0.tar.gz"), StoredPath("web/packages/bb/foo-2.0.tar.gz")
INTERRUPTED = Failure(FOO, InterruptedRunError())


class LockedFolder(FilesystemStorage):
    """Deletes nothing below one folder."""

    def delete(self, path: StoredPath) -> bool:
        if path.startswith("web/packages/aa/"):
            raise StorageError(path, "delete", PermissionError(13, "Permission denied"))
        return super().delete(path)


class LoggedInventory(Inventory):
    """Looks, each time that projects are recorded, whether a file is there."""

    def __init__(self, path: Path, watched: Path) -> None:
        super().__init__(path)
        self._watched = watched
        self.was_there: list[bool] = []

    def put(self, *held: HeldProject) -> None:
        self.was_there.append(self._watched.exists())
        super().put(*held)


@pytest.fixture
def storage(tmp_path: Path) -> FilesystemStorage:
    (tmp_path / "mirror").mkdir()
    return FilesystemStorage(tmp_path / "mirror")


@pytest.fixture
def inventory(storage: FilesystemStorage) -> Iterator[LoggedInventory]:
    with closing(LoggedInventory(storage.root / INVENTORY, storage.root / OLD)) as inventory:
        inventory.open()
        yield inventory


@pytest.fixture
def recorder(storage: FilesystemStorage, inventory: Inventory) -> Recorder:
    return recorder_of(storage, inventory)


def recorder_of(storage: FilesystemStorage, inventory: Inventory) -> Recorder:
    return Recorder(storage, inventory, Remover(storage, inventory, PagesConfig()))


def held(project: str) -> HeldProject:
    return HeldProject(named(project), project, 7, None, 0, 0)


def settled(project: str, **fields: object) -> Result:
    return Result(Settled(named(project), 7, changed=False), held(project), **fields)  # type: ignore[arg-type]  # any of them


def reserve(storage: FilesystemStorage, project: str, *paths: StoredPath, name: str = "batch") -> Path:
    """Write down what is about to be touched, as a worker does; return where that stands."""
    with closing(Reservation(storage, name)) as reservation:
        reservation.reserve(named(project), paths)
    return Path(storage.unfinished.path_of(name))


def publish(storage: FilesystemStorage, page: ProjectPage) -> None:
    journal_end = JournalEnd(lambda: 99)
    publication = Publication(page, page.name, None, None, set(), set())
    Publisher(storage, PagesConfig(), journal_end, lambda: False).publish(publication)


# What is recorded


def test_a_settled_project_is_recorded_and_its_notes_go(inventory: Inventory, recorder: Recorder) -> None:
    inventory.note_unsettled([(FOO, NEW)])
    (outcome,) = recorder.record([settled("foo")])
    assert outcome == Settled(FOO, 7, changed=False)
    assert inventory.get(FOO) == held("foo")
    assert inventory.unsettled(FOO) == set()


@pytest.mark.parametrize("outcome", [INTERRUPTED, Gone(FOO)])
def test_what_was_touched_and_is_not_settled_is_noted_with_its_etags(
    inventory: Inventory, recorder: Recorder, outcome: Failure | Gone
) -> None:
    result = Result(outcome, unsettled=frozenset({OLD, NEW}), partials={NEW: '"etag"'})
    assert recorder.record([result]) == [outcome]
    assert inventory.unsettled_of([FOO]) == {FOO: {OLD: None, NEW: '"etag"'}}
    assert inventory.get(FOO) is None


def test_nothing_to_record_is_no_error(recorder: Recorder) -> None:
    assert recorder.record([]) == []


# Deletions


def test_deletions_come_before_the_record(
    storage: FilesystemStorage, inventory: LoggedInventory, recorder: Recorder
) -> None:
    storage.write_bytes(OLD, b"old")
    (outcome,) = recorder.record([settled("foo", deletions=frozenset({OLD}))])
    assert outcome == Settled(FOO, 7, changed=True)
    assert inventory.was_there == [False]


def test_a_deletion_of_what_is_not_there_is_no_change(recorder: Recorder) -> None:
    (outcome,) = recorder.record([settled("foo", deletions=frozenset({OLD}))])
    assert outcome == Settled(FOO, 7, changed=False)


def test_what_failed_deletes_nothing(storage: FilesystemStorage, recorder: Recorder) -> None:
    storage.write_bytes(OLD, b"old")
    recorder.record([Result(INTERRUPTED, deletions=frozenset({OLD}))])
    assert storage.stat(OLD) is not None


def test_a_deletion_that_is_refused_fails_its_project_alone(storage: FilesystemStorage, inventory: Inventory) -> None:
    locked = LockedFolder(storage.root)
    storage.write_bytes(OLD, b"old")
    outcomes = recorder_of(locked, inventory).record([settled("foo", deletions=frozenset({OLD})), settled("bar")])
    assert isinstance(outcomes[0], Failure)
    assert isinstance(outcomes[0].error, StorageError)
    assert outcomes[1] == Settled(BAR, 7, changed=False)
    assert inventory.get(FOO) is None
    assert inventory.unsettled(FOO) == {OLD}
    assert inventory.get(BAR) == held("bar")


def test_a_file_that_another_worker_has_reserved_is_left_to_it(
    storage: FilesystemStorage, inventory: Inventory, recorder: Recorder
) -> None:
    """Its page, which lists the file too, is about to be published."""
    storage.write_bytes(OLD, b"old")
    own, other = reserve(storage, "foo", OLD, name="own"), reserve(storage, "foo-bar", OLD, name="other")
    recorder.record([settled("foo", deletions=frozenset({OLD}), reservations=("own",))])
    assert storage.stat(OLD) is not None
    assert (own.exists(), other.exists()) == (False, True)
    assert inventory.get(FOO) == held("foo")


def test_a_file_of_a_page_that_is_not_recorded_yet_is_not_deleted(
    storage: FilesystemStorage, recorder: Recorder
) -> None:
    """A worker publishes a page some time before its project is recorded."""
    file = make_file()
    publish(storage, make_page(file))
    storage.write_bytes(file_path(file), b"content")
    recorder.record([settled(f"other-than-{SAMPLE}", deletions=frozenset({file_path(file)}))])
    assert storage.stat(file_path(file)) is not None


def test_what_is_reserved_is_read_once_and_what_comes_later_counts(
    storage: FilesystemStorage, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[str] = Counter()
    open_record = storage.unfinished.open_record

    def open_counted(name: str) -> int:
        read[name] += 1
        return open_record(name)

    def drop(number: int) -> None:
        file = StoredPath(f"web/packages/dd/{number}.tar.gz")
        storage.write_bytes(file, b"old")
        reserve(storage, f"foo-{number}", file, name=f"own-{number}")
        recorder.record([settled(f"foo-{number}", deletions=frozenset({file}), reservations=(f"own-{number}",))])
        assert storage.stat(file) is None

    monkeypatch.setattr(storage.unfinished, "open_record", open_counted)
    for number in range(20):
        reserve(storage, f"other-{number}", NEW, name=f"other-{number}")
    with closing(Reservation(storage, "growing")) as growing:
        growing.reserve(named("bar"), [NEW])
        for number in range(20):
            drop(number)
        assert read == dict.fromkeys([*(f"other-{number}" for number in range(20)), "growing"], 1)
        growing.reserve(named("bar"), [OLD])
        storage.write_bytes(OLD, b"old")
        recorder.record([settled("foo", deletions=frozenset({OLD, NEW}))])
    assert storage.stat(OLD) is not None
    assert read["growing"] == 2


def test_a_file_that_two_projects_give_up_at_once_goes(storage: FilesystemStorage, recorder: Recorder) -> None:
    storage.write_bytes(OLD, b"old")
    for name in ("foo", "foo-bar"):
        reserve(storage, name, OLD, name=name)
    both = [settled(name, deletions=frozenset({OLD}), reservations=(name,)) for name in ("foo", "foo-bar")]
    recorder.record(both)
    assert storage.stat(OLD) is None


# Reservations


def test_reservations_go_when_all_is_recorded(
    storage: FilesystemStorage, inventory: Inventory, recorder: Recorder
) -> None:
    path = reserve(storage, "foo", NEW)
    assert path.exists()
    recorder.record([settled("foo", reservations=("batch",))])
    assert not path.exists()


def test_reservations_stay_where_the_inventory_can_not_be_written(
    storage: FilesystemStorage, inventory: Inventory, recorder: Recorder
) -> None:
    path = reserve(storage, "foo", NEW)
    inventory.close()
    (storage.root / INVENTORY).unlink()
    (storage.root / INVENTORY).mkdir()
    with suppress(StorageError):
        recorder.record([settled("foo", reservations=("batch",))])
        pytest.fail("it was recorded")
    assert path.exists()
