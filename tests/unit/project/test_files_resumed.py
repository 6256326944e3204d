"""A download that broke off goes on, or begins anew where it can't."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bandersnatch.errors import BrokenBodyError
from tests.support.fakepypi import Dialect, FakePyPI, Fault, ShortBody, Status
from tests.support.file_bench import Bench, large, make_bench
from tests.support.sample_file import half_written


@pytest.fixture
def bench(pypi: FakePyPI, tmp_path: Path) -> Iterator[Bench]:
    yield from make_bench(pypi, tmp_path / "mirror", lambda: False)


def test_a_large_download_goes_on_where_it_broke_off(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = large(pypi)
    task = bench.task(uploaded)
    pypi.fault("/packages/*", ShortBody(500_000))
    assert bench.sync.sync(task).was_fetched
    assert bench.stored() == {uploaded.filename: uploaded.content}
    assert [request.headers.get("Range") for request in pypi.file_requests()] == [None, "bytes=500000-"]
    assert sum(bench.progress.pieces) == uploaded.size


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = large(pypi)
    task = bench.task(uploaded)
    pypi.fault("/packages/*", ShortBody(500_000), ShortBody(100_000), ShortBody(100_000))
    with pytest.raises(BrokenBodyError):
        bench.sync.sync(task)
    assert bench.stored() == {}
    assert len(half_written(bench.storage.root)) == 1
    pypi.clear_requests()
    assert bench.sync.sync(task).was_fetched
    assert bench.stored() == {uploaded.filename: uploaded.content}
    assert [request.headers.get("Range") for request in pypi.file_requests()] == ["bytes=700000-"]


def test_a_part_that_is_wrong_is_thrown_away_and_the_file_begun_anew(pypi: FakePyPI, bench: Bench) -> None:
    uploaded = large(pypi)
    task = bench.task(uploaded)
    pypi.fault("/packages/*", ShortBody(500_000), ShortBody(1), ShortBody(1))
    with pytest.raises(BrokenBodyError):
        bench.sync.sync(task)
    (part,) = half_written(bench.storage.root)
    part.write_bytes(b"x" * 500_000)
    assert bench.sync.sync(task).was_fetched
    assert bench.stored() == {uploaded.filename: uploaded.content}


@pytest.mark.parametrize("algorithm", ["md5", "sha512"])
@pytest.mark.parametrize("is_part_right", [True, False])
def test_any_digest_is_that_of_the_whole_file(
    pypi: FakePyPI, bench: Bench, algorithm: str, *, is_part_right: bool
) -> None:
    pypi.dialect = Dialect(hashes=(algorithm,))
    uploaded = large(pypi)
    task = bench.task(uploaded)
    pypi.fault("/packages/*", ShortBody(500_000), ShortBody(1), ShortBody(1))
    with pytest.raises(BrokenBodyError):
        bench.sync.sync(task)
    (part,) = half_written(bench.storage.root)
    if not is_part_right:
        part.write_bytes(b"x" * part.stat().st_size)
    pypi.clear_requests()
    assert bench.sync.sync(task).sha256 == uploaded.sha256
    assert bench.stored() == {uploaded.filename: uploaded.content}
    asked = [request.headers.get("Range") for request in pypi.file_requests()]
    assert asked == (["bytes=500002-"] if is_part_right else ["bytes=500002-", None])


@pytest.mark.parametrize("fault", [Status(416), Status(206, {"Content-Range": "bytes 0-1/2"}, b"xx")])
def test_an_upstream_that_can_not_go_on_is_asked_for_the_whole(pypi: FakePyPI, bench: Bench, fault: Fault) -> None:
    uploaded = large(pypi)
    task = bench.task(uploaded)
    pypi.fault("/packages/*", ShortBody(500_000), fault)
    assert bench.sync.sync(task).was_fetched
    assert bench.stored() == {uploaded.filename: uploaded.content}


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_etag_a_download_begins_anew(pypi: FakePyPI, bench: Bench, etag: str | None) -> None:
    uploaded = large(pypi)
    task = bench.task(uploaded)
    bench.storage.root.joinpath(task.path).parent.mkdir(parents=True)
    part = bench.storage.root.joinpath(task.path).with_name(f".{uploaded.filename}.part")
    part.write_bytes(uploaded.content[:500_000])
    bench.storage.sweep_all((), [task.path])
    if etag is not None:
        bench.sync.partials[task.path] = etag
    bench.sync.sync(task)
    assert [request.headers.get("Range") for request in pypi.file_requests()] == [None]
    assert bench.stored() == {uploaded.filename: uploaded.content}
