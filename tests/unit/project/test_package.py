"""One project, from its page to its result: reserved before it is touched, and whatever goes wrong is its outcome."""

import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bandersnatch.errors import (
    IntegrityError,
    InterruptedRunError,
    MirrorError,
    ProjectNotFoundError,
    StorageError,
    UpstreamError,
)
from bandersnatch.names import NormalizedName
from bandersnatch.plan.file_plan import FilePlan, FileTask, FileWork
from bandersnatch.project.files import SyncedFile
from bandersnatch.project.job import Result
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.package import (
    SHARED_BYTES,
    SHARED_FILES,
    Planned,
    failure,
    is_worth_sharing,
    plan_project,
    publish_project,
    share_of,
    shares_of,
    work_on_files,
    work_on_project,
)
from bandersnatch.project.prepared import Prepared
from bandersnatch.project.report import Failure, Gone, Settled, Shrinks
from bandersnatch.state.reservations import Reservation
from bandersnatch.state.todo import TodoEntry
from bandersnatch.storage.layout import ALL_PAGES, StoredPath, file_path
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.index import Upstream
from tests.support.builders import make_file, named
from tests.support.counting_storage import CountingStorage
from tests.support.fakepypi import Call, FakePyPI, Status, WrongBytes
from tests.support.rig import Rig
from tests.support.working import make_job, working_context

FOO = named("foo")


class LookingReservation(Reservation):
    """Looks what lies below ``web`` each time that something is reserved."""

    def __init__(self, context: JobContext, name: str = "batch") -> None:
        super().__init__(context.storage, name)
        self._web = context.storage.root / "web"
        self.reserved: set[StoredPath] = set()
        self.was_there: list[list[Path]] = []

    def reserve(self, project: NormalizedName, paths: Iterable[StoredPath]) -> None:
        paths = list(paths)
        self.was_there.append(files_below(self._web))
        self.reserved.update(paths)
        super().reserve(project, paths)


class FullDisk(LookingReservation):
    """Nothing can be written down."""

    def reserve(self, project: NormalizedName, paths: Iterable[StoredPath]) -> None:
        super().reserve(project, paths)
        raise StorageError("batch", "write", "the disk is full")


@pytest.fixture
def context(rig: Rig) -> Iterator[JobContext]:
    with working_context(rig) as context:
        yield replace(context, reservation=LookingReservation(context))


def reservation_of(context: JobContext) -> LookingReservation:
    assert isinstance(context.reservation, LookingReservation)
    return context.reservation


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def work(upstream: Upstream, context: JobContext, pypi: FakePyPI, project: str = "foo", **fields: Any) -> Result:
    """Work on a project to its end; it must not be shared out."""
    result = upstream.finish(work_on_project(context, make_job(pypi, project, **fields)))
    assert isinstance(result, Result)
    return result


def error_of(result: Result) -> Exception:
    assert isinstance(result.outcome, Failure)
    return result.outcome.error


# Reserved before it is touched


def test_all_that_is_touched_was_reserved_before(
    rig: Rig, pypi: FakePyPI, upstream: Upstream, context: JobContext
) -> None:
    for number in range(20):
        pypi.add_file("foo", f"{number}.0", kind="wheel" if number % 2 else "sdist")
    result = work(upstream, context, pypi)
    reservation = reservation_of(context)
    assert reservation.was_there == [[]]
    assert result.reservations == ("batch",)
    touched = {str(path.relative_to(rig.directory)) for path in files_below(rig.web)}
    pages = {path for path in touched if path.startswith("web/simple/foo/")}
    assert pages
    assert touched - pages <= reservation.reserved
    assert "web/simple/foo" in reservation.reserved


def test_what_can_not_be_reserved_is_not_touched(
    rig: Rig, pypi: FakePyPI, upstream: Upstream, context: JobContext
) -> None:
    pypi.add_file("foo", "1.0")
    result = work(upstream, replace(context, reservation=FullDisk(context)), pypi)
    assert isinstance(error_of(result), StorageError)
    assert files_below(rig.web) == []
    assert pypi.file_requests() == []


def test_what_is_only_looked_at_is_not_reserved(pypi: FakePyPI, upstream: Upstream, context: JobContext) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Status(404))
    assert isinstance(error_of(work(upstream, context, pypi)), ProjectNotFoundError)
    assert reservation_of(context).was_there == []


def test_a_plan_touches_nothing(rig: Rig, pypi: FakePyPI, upstream: Upstream, context: JobContext) -> None:
    pypi.add_file("foo", "1.0")
    planned = upstream.finish(plan_project(replace(context, reservation=None), make_job(pypi, "foo")))
    assert isinstance(planned, Prepared)
    assert len(planned.plan.tasks) == 1
    assert files_below(rig.directory) == []


# What it comes to


def test_a_project_is_brought_to_its_serial(rig: Rig, pypi: FakePyPI, upstream: Upstream, context: JobContext) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist")
    result = work(upstream, context, pypi)
    assert result.outcome == Settled(
        FOO, pypi.project_serial("foo"), changed=True, files=1, size_bytes=file.size, is_incomplete=False
    )
    assert result.record is not None
    assert (result.record.name, result.record.serial, result.record.files) == (FOO, pypi.project_serial("foo"), 1)
    assert (rig.web / file.url_path[1:]).read_bytes() == file.content


def test_what_is_held_is_checked_with_one_look_at_each_document(
    rig: Rig, pypi: FakePyPI, upstream: Upstream, context: JobContext
) -> None:
    pypi.add_file("foo", "1.0")
    record = work(upstream, context, pypi).record
    pypi.clear_requests()
    storage = CountingStorage(rig.directory)
    counting = replace(context, storage=storage, publisher=replace(context.publisher, storage=storage))
    outcome = work(upstream, counting, pypi, record=record, recheck=True).outcome
    assert outcome == Settled(FOO, pypi.project_serial("foo"), changed=False)
    assert [request.status for request in pypi.page_requests()] == [304]
    pages = {f"web/simple/foo/{name}" for name in ALL_PAGES}
    assert pages <= storage.reads.keys()
    assert set(storage.reads.values()) == {1}


def test_what_was_prepared_is_not_asked_for_again(pypi: FakePyPI, upstream: Upstream, context: JobContext) -> None:
    first = pypi.add_file("foo", "1.0", kind="sdist")
    pypi.add_file("foo", "2.0", kind="sdist")
    record = work(upstream, context, pypi).record
    pypi.remove_file("foo", first.filename)
    shrinks = work(upstream, context, pypi, record=record).outcome
    assert isinstance(shrinks, Shrinks)
    assert shrinks.files == (f"web{first.url_path}",)
    pypi.clear_requests()
    result = work(upstream, context, pypi, record=record, may_remove=True, prepared=shrinks.prepared)
    assert isinstance(result.outcome, Settled)
    assert result.deletions >= set(shrinks.files)
    assert pypi.requests == []


def test_files_that_a_page_no_longer_lists_are_left_to_who_keeps_the_records(
    rig: Rig, pypi: FakePyPI, upstream: Upstream, context: JobContext
) -> None:
    first = pypi.add_file("foo", "1.0", kind="sdist")
    pypi.add_file("foo", "2.0", kind="sdist")
    record = work(upstream, context, pypi).record
    pypi.remove_file("foo", first.filename)
    result = work(upstream, context, pypi, record=record, may_remove=True)
    assert result.deletions == {f"web{first.url_path}"}
    assert (rig.web / first.url_path[1:]).exists()
    assert first.filename not in (rig.web / "simple/foo/index.html").read_text()


def test_a_removed_project_is_gone(pypi: FakePyPI, upstream: Upstream, context: JobContext) -> None:
    pypi.add_file("foo", "1.0")
    record = work(upstream, context, pypi).record
    job = replace(make_job(pypi, "foo", record=record), entry=TodoEntry("foo", 99, Expectation.REMOVED))
    pypi.remove_project("foo")
    result = upstream.finish(work_on_project(context, job))
    assert isinstance(result, Result)
    assert result.outcome == Gone(FOO)
    assert result.record is None


# Errors


def test_an_error_is_the_outcome_and_tells_what_was_touched(
    rig: Rig, pypi: FakePyPI, upstream: Upstream, context: JobContext
) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist")
    pypi.fault(file.url_path, WrongBytes(), times=None)
    result = work(upstream, context, pypi)
    assert isinstance(error_of(result), IntegrityError)
    assert result.record is None
    assert result.unsettled == reservation_of(context).reserved >= {f"web{file.url_path}"}
    assert result.reservations == ("batch",)
    assert not (rig.web / "simple").exists()


def test_the_other_files_come_in_spite_of_one_that_does_not(
    rig: Rig, pypi: FakePyPI, upstream: Upstream, context: JobContext
) -> None:
    files = [pypi.add_file("foo", f"{number}.0", kind="sdist") for number in range(10)]
    pypi.fault(files[3].url_path, Status(404), times=None)
    assert isinstance(error_of(work(upstream, context, pypi)), UpstreamError)
    assert [(rig.web / file.url_path[1:]).exists() for file in files] == [number != 3 for number in range(10)]
    assert not (rig.web / "simple").exists()


def test_a_stopped_run_begins_nothing(pypi: FakePyPI, upstream: Upstream, context: JobContext) -> None:
    pypi.add_file("foo", "1.0")
    result = work(upstream, replace(context, is_stopped=lambda: True), pypi)
    assert isinstance(error_of(result), InterruptedRunError)
    assert pypi.requests == []


def test_a_run_that_is_stopped_on_the_way_publishes_nothing(
    rig: Rig, pypi: FakePyPI, upstream: Upstream, context: JobContext
) -> None:
    is_stopped = False

    def stop() -> None:
        nonlocal is_stopped
        is_stopped = True

    pypi.fault(pypi.add_file("foo", "1.0").url_path, Call(stop))
    result = work(upstream, replace(context, is_stopped=lambda: is_stopped), pypi)
    assert isinstance(error_of(result), InterruptedRunError)
    assert files_below(rig.web) == []


def test_a_bug_of_ours_keeps_its_traceback_in_another_process(
    pypi: FakePyPI, upstream: Upstream, context: JobContext
) -> None:
    class Broken(LookingReservation):
        def reserve(self, project: NormalizedName, paths: Iterable[StoredPath]) -> None:
            raise KeyError("a bug of ours")

    pypi.add_file("foo", "1.0")
    result = pickle.loads(pickle.dumps(work(upstream, replace(context, reservation=Broken(context)), pypi)))
    error = error_of(result)
    assert "KeyError('a bug of ours')" in str(error)
    assert "in reserve" in "".join(error.__notes__)


def test_an_error_of_ours_that_is_told_has_no_traceback() -> None:
    error = failure(FOO, StorageError("file", "write", "why")).error
    assert isinstance(error, MirrorError)
    assert not hasattr(error, "__notes__")


# Shared out


def task(number: int, size: int | None, work: FileWork = FileWork.FETCH) -> FileTask:
    file = make_file(f"sample-{number}.0.tar.gz", size=size)
    return FileTask(file, file_path(file), work, wants_metadata=False)


def plan_of(*tasks: FileTask) -> FilePlan:
    return FilePlan(tasks, frozenset())


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (plan_of(*(task(number, 1) for number in range(SHARED_FILES))), False),
        (plan_of(*(task(number, 1) for number in range(SHARED_FILES + 1))), True),
        (plan_of(*(task(number, 1, FileWork.KEEP) for number in range(SHARED_FILES + 1))), False),
        (plan_of(task(1, SHARED_BYTES * 9)), False),
        (plan_of(task(1, SHARED_BYTES), task(2, None)), False),
        (plan_of(task(1, SHARED_BYTES), task(2, 1)), True),
    ],
    ids=["many", "too many", "many are there", "one large", "one large and one unknown", "two large"],
)
def test_a_project_with_many_files_or_bytes_is_shared_among_workers(plan: FilePlan, expected: bool) -> None:
    assert is_worth_sharing(plan) == expected


def test_shares_have_all_files_once_and_none_is_too_much() -> None:
    tasks = [
        task(number, size) for number, size in enumerate([1, SHARED_BYTES, 1, *[SHARED_BYTES // 4] * 9, *[1] * 200])
    ]
    shares = list(shares_of(tasks))
    assert [each for share in shares for each in share] == tasks
    assert max(map(len, shares)) == SHARED_FILES // 2
    assert all(sum(each.file.size or 0 for each in share[:-1]) < SHARED_BYTES // 2 for share in shares)


def test_a_share_knows_the_half_written_files_of_its_own_only(pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    tasks = (task(1, 1), task(2, 1))
    job = make_job(pypi, "foo", partials={tasks[0].path: '"one"', StoredPath("web/packages/other"): '"other"'})
    assert share_of(job, tasks).partials == {tasks[0].path: '"one"'}


def test_plan_shares_and_page_come_to_the_same_as_one_job(
    rig: Rig, pypi: FakePyPI, upstream: Upstream, context: JobContext
) -> None:
    files = [pypi.add_file("foo", f"{number}.0", kind="sdist") for number in range(SHARED_FILES + 1)]
    job = make_job(pypi, "foo")
    planned = upstream.finish(work_on_project(replace(context, workers=2), job))
    assert isinstance(planned, Planned)
    assert planned.touched == reservation_of(context).reserved
    assert planned.reservations == ("batch",)
    assert files_below(rig.web) == []
    synced: dict[str, SyncedFile] = {}
    for tasks in shares_of(planned.prepared.plan.tasks):
        reservation_of(context).reserved.clear()  # another worker may do it, with a record of its own
        share = upstream.finish(work_on_files(context, share_of(job, tasks)))
        assert share.error is None
        assert {each.path for each in tasks} <= reservation_of(context).reserved
        synced.update(share.synced)
    assert not (rig.web / "simple").exists()
    result = upstream.finish(publish_project(context, planned.prepared, synced))
    assert "web/simple/foo" in reservation_of(context).reserved
    assert result.reservations == ("batch",)
    assert isinstance(result.outcome, Settled)
    assert result.outcome.files == len(files)
    assert len(pypi.page_requests()) == 1
    alone = work(upstream, context, pypi)
    assert isinstance(alone.outcome, Settled)
    assert not alone.outcome.changed
    assert alone.record == result.record


def test_the_error_of_a_share_is_told_with_it(pypi: FakePyPI, upstream: Upstream, context: JobContext) -> None:
    files = [pypi.add_file("foo", f"{number}.0", kind="sdist") for number in range(SHARED_FILES + 1)]
    pypi.fault(files[0].url_path, Status(404), times=None)
    job = make_job(pypi, "foo")
    planned = upstream.finish(work_on_project(replace(context, workers=2), job))
    assert isinstance(planned, Planned)
    shares = [
        upstream.finish(work_on_files(context, share_of(job, tasks)))
        for tasks in shares_of(planned.prepared.plan.tasks)
    ]
    assert [type(share.error).__name__ for share in shares].count("NotFoundError") == 1
    assert sum(share.error is None for share in shares) == len(shares) - 1
