"""Files of which the page tells no size, or a wrong one: what their answers tell counts, and a part is never a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from bandersnatch.errors import BrokenBodyError, IntegrityError, MalformedResponseError, MirrorError, OversizedFileError
from bandersnatch.plan.file_plan import FileTask
from bandersnatch.project import file_growth
from tests.support.fakepypi import Chunked, Dialect, FakePyPI, Fault, ShortBody, Unframed
from tests.support.file_bench import Bench, large, make_bench

DIALECTS = {"SHA-256": ("sha256",), "MD5": ("md5",), "no digest": ()}
HASHED = ["SHA-256", "MD5"]


@pytest.fixture(params=DIALECTS)
def dialect(pypi: FakePyPI, request: pytest.FixtureRequest) -> None:
    pypi.dialect = Dialect(is_html_only=True, hashes=DIALECTS[request.param])


@pytest.fixture
def bench(pypi: FakePyPI, tmp_path: Path) -> Iterator[Bench]:
    yield from make_bench(pypi, tmp_path / "mirror", lambda: False)


def of_a_later_run(task: FileTask) -> FileTask:
    return structs.replace(task, may_be_half_written=True)


@pytest.mark.usefixtures("dialect")
@pytest.mark.parametrize("size", [0, 500, 1_500_000])
@pytest.mark.parametrize("way", [Fault(), Chunked()], ids=["with a length", "in chunks"])
def test_a_whole_file_is_taken(pypi: FakePyPI, bench: Bench, size: int, way: Fault) -> None:
    uploaded = pypi.add_file("sample", "1.0", kind="sdist", content=b"x" * size)
    task = bench.task(uploaded)
    assert task.file.size is None
    pypi.fault("/packages/*", way, times=None)
    synced = bench.sync.sync(task)
    assert (synced.sha256, synced.size_bytes) == (uploaded.sha256, size)
    assert bench.stored() == {uploaded.filename: uploaded.content}


@pytest.mark.usefixtures("dialect")
@pytest.mark.parametrize("way", [ShortBody(499), Chunked(499), Chunked(0), ShortBody(0)])
def test_a_part_of_a_file_is_not_taken(pypi: FakePyPI, bench: Bench, way: Fault) -> None:
    task = bench.task(pypi.add_file("sample", "1.0", kind="sdist", content=b"x" * 500))
    pypi.fault("/packages/*", way, times=None)
    with pytest.raises(BrokenBodyError):
        bench.sync.sync(task)
    assert bench.stored() == {}


@pytest.mark.parametrize("dialect", HASHED, indirect=True)
@pytest.mark.usefixtures("dialect")
def test_what_ends_with_its_connection_is_checked_by_its_digest(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = pypi.add_file("sample", "1.0", kind="sdist", content=b"x" * 500)
    task = bench.task(uploaded)
    pypi.fault("/packages/*", Unframed(499), times=None)
    with pytest.raises(IntegrityError):
        bench.sync.sync(task)
    assert bench.stored() == {}
    pypi.clear_faults()
    pypi.fault("/packages/*", Unframed())
    assert bench.sync.sync(task).sha256 == uploaded.sha256


@pytest.mark.parametrize("way", [Unframed(), Unframed(499)], ids=["whole", "cut off"])
def test_what_ends_with_its_connection_and_has_no_digest_is_refused(pypi: FakePyPI, bench: Bench, way: Fault) -> None:
    pypi.dialect = Dialect(is_html_only=True, hashes=())
    task = bench.task(pypi.add_file("sample", "1.0", kind="sdist", content=b"x" * 500))
    pypi.fault("/packages/*", way, times=None)
    with pytest.raises(MalformedResponseError, match="nothing would show that it is not whole"):
        bench.sync.sync(task)
    assert bench.stored() == {}


@pytest.mark.usefixtures("dialect")
def test_a_large_one_goes_on_where_it_broke_off_in_this_run_and_in_the_next(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = large(pypi)
    task = bench.task(uploaded)
    pypi.fault("/packages/*", ShortBody(500_000), ShortBody(100_000), ShortBody(100_000))
    with pytest.raises(BrokenBodyError):
        bench.sync.sync(task)
    assert bench.sync.sync(of_a_later_run(task)).sha256 == uploaded.sha256
    assert bench.stored() == {uploaded.filename: uploaded.content}
    asked = [request.headers.get("Range") for request in pypi.file_requests()]
    assert asked == [None, "bytes=500000-", "bytes=600000-", "bytes=700000-"]


@pytest.mark.usefixtures("dialect")
def test_a_part_that_was_whole_when_the_run_was_killed_is_not_lost_for_good(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = large(pypi)
    task = bench.task(uploaded)
    pypi.fault("/packages/*", ShortBody(500_000), ShortBody(1), ShortBody(1))
    with pytest.raises(BrokenBodyError):
        bench.sync.sync(task)
    (part,) = bench.storage.root.rglob("*.part")
    part.write_bytes(uploaded.content)
    assert bench.sync.sync(of_a_later_run(task)).sha256 == uploaded.sha256
    assert bench.stored() == {uploaded.filename: uploaded.content}


@pytest.mark.usefixtures("dialect")
def test_what_promises_too_much_is_refused_at_its_head(
    pypi: FakePyPI, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_growth, "MAX_UNKNOWN_BYTES", 3_000_000)
    task = bench.task(pypi.add_file("sample", "1.0", kind="sdist", size=4_000_000))
    with pytest.raises(OversizedFileError, match=r"more than 3\.0 MB"):
        bench.sync.sync(task)
    assert (bench.stored(), bench.progress.pieces) == ({}, [])


def test_what_promises_nothing_is_refused_when_it_becomes_too_large(
    pypi: FakePyPI, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_growth, "MAX_UNKNOWN_BYTES", 3_000_000)
    pypi.dialect = Dialect(is_html_only=True)
    task = bench.task(pypi.add_file("sample", "1.0", kind="sdist", size=4_000_000))
    pypi.fault("/packages/*", Chunked(), times=None)
    with pytest.raises(OversizedFileError, match=r"more than 3\.0 MB"):
        bench.sync.sync(task)
    assert bench.stored() == {}
    assert 0 < sum(bench.progress.pieces) <= 3_000_000 + file_growth.STEP_BYTES


@pytest.mark.parametrize("told", [499, 501, 0, 2_000_000])
@pytest.mark.parametrize("hashes", DIALECTS.values())
@pytest.mark.parametrize("way", [Fault(), Chunked(), Unframed()], ids=["with a length", "in chunks", "to the end"])
def test_a_file_of_another_size_than_its_page_tells_is_refused(
    pypi: FakePyPI, bench: Bench, told: int, hashes: tuple[str, ...], way: Fault
) -> None:
    pypi.dialect = Dialect(hashes=hashes)
    task = bench.task(pypi.add_file("sample", "1.0", kind="sdist", content=b"x" * 500))
    pypi.fault("/packages/*", way, times=None)
    with pytest.raises(MirrorError, match="size"):
        bench.sync.sync(structs.replace(task, file=structs.replace(task.file, size=told)))
    assert bench.stored() == {}
