"""One file and its core metadata come onto the disk: whole and checked, or not at all."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from bandersnatch.errors import (
    BrokenBodyError,
    IntegrityError,
    InterruptedRunError,
    NotFoundError,
    OversizedFileError,
    PathConflictError,
    StorageError,
    UpstreamError,
)
from bandersnatch.http.retry_rules import MAX_BROKEN_BODIES
from bandersnatch.plan.file_plan import FileWork
from bandersnatch.project import file_growth
from bandersnatch.project.files import CONCURRENT_FILES, ProjectFiles, SyncedFile
from bandersnatch.storage.layout import metadata_path
from tests.faults.failing_storage import FailingStorage
from tests.support.builders import named
from tests.support.fakepypi import Body, ExtraBytes, FakePyPI, Fault, Reset, ShortBody, Status, WrongBytes
from tests.support.file_bench import Bench, make_bench


@pytest.fixture
def bench(pypi: FakePyPI, tmp_path: Path) -> Iterator[Bench]:
    yield from make_bench(pypi, tmp_path / "mirror", lambda: False)


# Fetching


def test_a_file_is_fetched_whole_and_gets_its_upload_time(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = pypi.add_file("sample", "1.0", kind="sdist", size=200_000)
    task = bench.task(uploaded)
    assert bench.sync.sync(task) == SyncedFile(
        uploaded.size, was_fetched=True, has_metadata=True, sha256=uploaded.sha256
    )
    assert bench.stored() == {uploaded.filename: uploaded.content}
    stored = bench.storage.stat(task.path)
    assert stored is not None
    assert stored.mtime == pytest.approx(uploaded.upload_time.timestamp(), abs=0.001)
    assert sum(bench.progress.pieces) == uploaded.size >= 200_000


def test_a_full_disk_counts_although_files_failed_before(pypi: FakePyPI, bench: Bench, tmp_path: Path) -> None:
    uploaded = [pypi.add_file("sample", f"{number}.0", kind="sdist") for number in range(100)]
    for file in uploaded[:CONCURRENT_FILES]:
        pypi.fault(file.url_path, Status(404), times=None)
    tasks = [bench.task(file) for file in uploaded]
    context = structs.replace(bench.sync.context, storage=FailingStorage(tmp_path / "mirror", 1))
    with pytest.raises(StorageError):
        bench.sync.upstream.finish(ProjectFiles(named("sample"), context, {}).sync(tasks))
    assert len(pypi.file_requests()) <= 3 * CONCURRENT_FILES


def test_an_empty_file_is_a_file(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = pypi.add_file("sample", "1.0", kind="sdist", content=b"")
    assert bench.sync.sync(bench.task(uploaded)).was_fetched
    assert bench.stored() == {uploaded.filename: b""}


@pytest.mark.parametrize("fault", [WrongBytes(), ExtraBytes(1), ExtraBytes(10**6), Body(b""), Body(b"short")])
def test_wrong_bytes_are_tried_once_more_and_never_appear(pypi: FakePyPI, bench: Bench, fault: Fault) -> None:
    task = bench.task(pypi.add_file("sample", "1.0", kind="sdist", size=100_000))
    pypi.fault("/packages/*", fault, times=None)
    with pytest.raises(IntegrityError, match=f"^{pypi.url}/packages/.*: wrong (size|SHA-256): the page says "):
        bench.sync.sync(task)
    assert bench.stored() == {}
    assert len(pypi.file_requests()) == 2


def test_right_bytes_after_wrong_ones_are_taken(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = pypi.add_file("sample", "1.0", kind="sdist")
    task = bench.task(uploaded)
    pypi.fault("/packages/*", WrongBytes())
    assert bench.sync.sync(task).was_fetched
    assert bench.stored() == {uploaded.filename: uploaded.content}


def test_a_file_that_never_ends_is_given_up_at_its_size(pypi: FakePyPI, bench: Bench) -> None:
    task = bench.task(pypi.add_file("sample", "1.0", kind="sdist", content=b"x" * 1000))
    pypi.fault("/packages/*", ExtraBytes(5_000_000), times=None)
    with pytest.raises(IntegrityError, match=r"wrong size: the page says 1000, got [0-9]+ or more"):
        bench.sync.sync(task)
    assert sum(bench.progress.pieces) < 5_000_000


@pytest.mark.parametrize("fault", [ShortBody(1000), Reset(after_bytes=1000), ShortBody(0)])
def test_a_download_that_breaks_off_is_tried_again(pypi: FakePyPI, bench: Bench, fault: Fault) -> None:
    uploaded = pypi.add_file("sample", "1.0", kind="sdist", size=100_000)
    task = bench.task(uploaded)
    pypi.fault("/packages/*", *[fault] * (MAX_BROKEN_BODIES - 1))
    assert bench.sync.sync(task).was_fetched
    assert bench.stored() == {uploaded.filename: uploaded.content}


def test_a_small_download_that_always_breaks_off_leaves_nothing(pypi: FakePyPI, bench: Bench) -> None:
    task = bench.task(pypi.add_file("sample", "1.0", kind="sdist", size=100_000))
    pypi.fault("/packages/*", ShortBody(1000), times=None)
    with pytest.raises(BrokenBodyError):
        bench.sync.sync(task)
    assert bench.stored() == {}
    assert len(pypi.file_requests()) == MAX_BROKEN_BODIES


@pytest.mark.parametrize("status", [404, 403, 500])
def test_a_file_that_can_not_be_had_leaves_nothing(pypi: FakePyPI, bench: Bench, status: int) -> None:
    task = bench.task(pypi.add_file("sample", "1.0", kind="sdist"))
    pypi.fault("/packages/*", Status(status), times=None)
    with pytest.raises(UpstreamError):
        bench.sync.sync(task)
    assert bench.stored() == {}


def test_the_old_file_stays_when_the_new_one_can_not_be_had(pypi: FakePyPI, bench: Bench) -> None:
    task = bench.task(pypi.add_file("sample", "1.0", kind="sdist"))
    bench.storage.write_bytes(task.path, b"old")
    pypi.fault("/packages/*", WrongBytes(), times=None)
    with pytest.raises(IntegrityError):
        bench.sync.sync(task)
    assert bench.storage.read(task.path) == b"old"


# Checking and keeping


def test_a_file_that_is_right_is_kept(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = pypi.add_file("sample", "1.0", kind="sdist")
    task = bench.task(uploaded, FileWork.CHECK)
    bench.storage.write_bytes(task.path, uploaded.content, mtime=5.0)
    assert bench.sync.sync(task) == SyncedFile(0, was_fetched=False, has_metadata=True, sha256=uploaded.sha256)
    assert pypi.requests == []
    stored = bench.storage.stat(task.path)
    assert stored is not None
    assert stored.mtime == pytest.approx(uploaded.upload_time.timestamp(), abs=0.001)


def test_a_file_that_is_wrong_is_fetched(pypi: FakePyPI, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    uploaded = pypi.add_file("sample", "1.0", kind="sdist")
    task = bench.task(uploaded, FileWork.CHECK)
    bench.storage.write_bytes(task.path, b"x" * uploaded.size)
    assert bench.sync.sync(task).was_fetched
    assert bench.stored() == {uploaded.filename: uploaded.content}
    assert caplog.messages == [f"{task.path}: its SHA-256 is wrong; it is fetched again"]


def test_a_file_at_the_wrong_time_only_gets_its_time(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = pypi.add_file("sample", "1.0", kind="sdist")
    task = bench.task(uploaded, FileWork.KEEP)
    bench.storage.write_bytes(task.path, b"not looked at", mtime=5.0)
    assert not bench.sync.sync(task).was_fetched
    stored = bench.storage.stat(task.path)
    assert stored is not None
    assert stored.mtime != 5.0
    assert pypi.requests == []


# Core metadata


def test_metadata_is_read_out_of_the_wheel(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = pypi.add_file("sample", "1.0")
    assert bench.sync.sync(bench.task(uploaded, wants_metadata=True)).has_metadata
    assert bench.stored() == {uploaded.filename: uploaded.content, f"{uploaded.filename}.metadata": uploaded.metadata}
    assert pypi.metadata_requests() == []


def test_metadata_that_differs_from_the_wheels_is_fetched(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = pypi.add_file("sample", "1.0", metadata_in_wheel=False)
    assert bench.sync.sync(bench.task(uploaded, wants_metadata=True)).has_metadata
    assert bench.stored()[f"{uploaded.filename}.metadata"] == uploaded.metadata
    assert len(pypi.metadata_requests()) == 1


def test_missing_metadata_of_a_file_that_stays_is_made(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = pypi.add_file("sample", "1.0")
    task = bench.task(uploaded, FileWork.KEEP, wants_metadata=True)
    bench.storage.write_bytes(task.path, uploaded.content)
    assert bench.sync.sync(task) == SyncedFile(0, was_fetched=False, has_metadata=True, sha256=uploaded.sha256)
    assert bench.stored()[f"{uploaded.filename}.metadata"] == uploaded.metadata
    assert pypi.requests == []


def test_metadata_that_upstream_promises_but_has_not_is_told_and_not_kept(
    pypi: FakePyPI, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    uploaded = pypi.add_file("sample", "1.0", metadata_in_wheel=False)
    task = bench.task(uploaded, wants_metadata=True)
    bench.storage.write_bytes(metadata_path(task.path), b"old")
    pypi.fault(f"{uploaded.url_path}.metadata", Status(404), times=None)
    assert bench.sync.sync(task) == SyncedFile(
        uploaded.size, was_fetched=True, has_metadata=False, sha256=uploaded.sha256
    )
    assert bench.stored() == {uploaded.filename: uploaded.content}
    assert caplog.messages[0].endswith(".metadata: not found: upstream's page promises it; it is not advertised here")


def test_metadata_that_is_wrong_is_an_error(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = pypi.add_file("sample", "1.0", metadata_in_wheel=False)
    task = bench.task(uploaded, wants_metadata=True)
    pypi.fault(f"{uploaded.url_path}.metadata", WrongBytes(), times=None)
    with pytest.raises(IntegrityError, match=r"\.metadata: wrong SHA-256: the page says "):
        bench.sync.sync(task)
    assert f"{uploaded.filename}.metadata" not in bench.stored()


def test_a_file_that_is_no_wheel_at_all_may_have_metadata(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = pypi.add_file("sample", "1.0", kind="sdist")
    task = bench.task(uploaded)
    metadata = b"Name: sample\n"
    file = structs.replace(task.file, core_metadata_sha256=hashlib.sha256(metadata).hexdigest())
    pypi.fault(f"{uploaded.url_path}.metadata", Status(200, {}, metadata))
    assert bench.sync.sync(structs.replace(task, file=file, wants_metadata=True)).has_metadata
    assert bench.stored()[f"{uploaded.filename}.metadata"] == metadata


def test_a_wheel_that_is_no_zip_file_gets_upstreams_metadata(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = pypi.add_file("sample", "1.0", content=b"no zip file")
    task = bench.task(uploaded)
    metadata = b"Name: sample\n"
    file = structs.replace(task.file, core_metadata_sha256=hashlib.sha256(metadata).hexdigest())
    pypi.fault(f"{uploaded.url_path}.metadata", Status(200, {}, metadata))
    assert bench.sync.sync(structs.replace(task, file=file, wants_metadata=True)).has_metadata


# Stopping, and the disk


def test_nothing_is_begun_when_the_run_was_asked_to_stop(pypi: FakePyPI, tmp_path: Path) -> None:
    uploaded = pypi.add_file("sample", "1.0")
    for bench in make_bench(pypi, tmp_path / "mirror", lambda: True):
        task = bench.task(uploaded)
        with pytest.raises(InterruptedRunError):
            bench.sync.sync(task)
        assert pypi.requests == []


def test_a_download_is_given_up_in_the_middle(pypi: FakePyPI, tmp_path: Path) -> None:
    answers = iter([False, False])
    uploaded = pypi.add_file("sample", "1.0", kind="sdist", size=500_000)
    for bench in make_bench(pypi, tmp_path / "mirror", lambda: next(answers, True)):
        with pytest.raises(InterruptedRunError):
            bench.sync.sync(bench.task(uploaded))
        assert bench.stored() == {}
        assert 0 < sum(bench.progress.pieces) < 500_000


def test_a_disk_without_room_for_the_file_and_the_reserve_stops_it(pypi: FakePyPI, tmp_path: Path) -> None:
    uploaded = pypi.add_file("sample", "1.0", kind="sdist")
    for bench in make_bench(pypi, tmp_path / "mirror", lambda: False, reserve=2**60):
        task = bench.task(uploaded)
        with pytest.raises(StorageError, match="would not leave the reserve"):
            bench.sync.sync(task)
        assert pypi.requests == []


def test_a_place_that_is_taken_by_a_folder_is_a_conflict(pypi: FakePyPI, bench: Bench) -> None:
    task = bench.task(pypi.add_file("sample", "1.0", kind="sdist"))
    bench.storage.root.joinpath(task.path, "x").mkdir(parents=True)
    with pytest.raises(PathConflictError):
        bench.sync.sync(task)
    assert bench.stored() == {}


def test_a_place_that_another_projects_file_has_taken_meanwhile_is_a_conflict(pypi: FakePyPI, bench: Bench) -> None:
    task = structs.replace(bench.task(pypi.add_file("sample", "1.0", kind="sdist")), is_new=True)
    bench.storage.write_bytes(task.path, b"another file")
    with pytest.raises(PathConflictError, match="another project of this run has put another file there"):
        bench.sync.sync(task)
    assert bench.stored() == {task.file.filename: b"another file"}


def test_a_file_that_is_gone_upstream_is_not_found(pypi: FakePyPI, bench: Bench) -> None:
    task = bench.task(pypi.add_file("sample", "1.0", kind="sdist"))
    pypi.fault("/packages/*", Status(410), times=None)
    with pytest.raises(NotFoundError):
        bench.sync.sync(task)


def test_empty_metadata_is_not_taken_for_present(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = pypi.add_file("sample", "1.0", kind="sdist")
    task = bench.task(uploaded, FileWork.KEEP)
    bench.storage.write_bytes(task.path, uploaded.content)
    file = structs.replace(task.file, core_metadata_sha256=hashlib.sha256(b"").hexdigest())
    pypi.fault(f"{uploaded.url_path}.metadata", Status(200, {}, b""))
    assert bench.sync.sync(structs.replace(task, file=file, wants_metadata=True)).has_metadata
    assert bench.stored()[f"{uploaded.filename}.metadata"] == b""


def test_a_file_of_unknown_size_has_a_bound(pypi: FakePyPI, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_growth, "MAX_UNKNOWN_BYTES", 3_000_000)
    task = bench.task(pypi.add_file("sample", "1.0", kind="sdist", size=4_000_000))
    with pytest.raises(OversizedFileError, match=r"gets too large: more than 3\.0 MB"):
        bench.sync.sync(structs.replace(task, file=structs.replace(task.file, size=None)))
    assert bench.stored() == {}
    assert len(pypi.file_requests()) == 1
