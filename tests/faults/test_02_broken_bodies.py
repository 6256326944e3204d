"""2. Broken bodies: never visible, resumed if that is possible, and else requested from the beginning."""

import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from bandersnatch.cli.invocation import end_process
from bandersnatch.errors import InterruptedRunError, MirrorError
from bandersnatch.main import main
from bandersnatch.operations.tuning import Tuning
from bandersnatch.project.file_receiver import RESUME_MIN_BYTES
from bandersnatch.stop import StopFlag
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath
from bandersnatch.storage.unfinished_folder import UNFINISHED_FOLDER
from bandersnatch.storage.unfinished_names import name_inside
from tests.support.fakepypi import (
    Body,
    Call,
    ExtraBytes,
    FakePyPI,
    Fault,
    Reset,
    ShortBody,
    Stall,
    Status,
    UploadedFile,
    WrongBytes,
)
from tests.support.killed_runs import Point, acting_storage, arrived_bytes, run_apart
from tests.support.rig import HURRIED, IN_PROCESSES, Rig
from tests.support.sample_file import half_written

SIZE = 3_000_000
HALF = 1_500_000


@pytest.fixture
def large(pypi: FakePyPI) -> UploadedFile:
    return pypi.add_file("foo", "1.0", size=SIZE)


def part_of(rig: Rig, file: UploadedFile) -> Path:
    """Return where what was kept of a file lies."""
    return rig.directory / UNFINISHED_FOLDER / name_inside(StoredPath(f"web{file.url_path}"))


def ranges(pypi: FakePyPI) -> list[str | None]:
    return [request.headers.get("Range") for request in pypi.file_requests()]


@pytest.mark.parametrize("fault", [ShortBody(HALF), Reset(HALF)])
def test_download_goes_on_where_it_broke_off(rig: Rig, pypi: FakePyPI, large: UploadedFile, fault: Fault) -> None:
    pypi.fault(large.url_path, fault)
    assert rig.run().failures == []
    first, second = ranges(pypi)
    assert first is None
    assert second is not None
    assert second.startswith("bytes=")
    assert second != "bytes=0-"
    assert pypi.file_requests()[1].status == 206
    assert pypi.file_requests()[1].headers.get("If-Range") is not None
    rig.assert_matches()


def test_silence_in_the_middle_is_gone_on_with(rig: Rig, pypi: FakePyPI, large: UploadedFile) -> None:
    pypi.fault(large.url_path, Stall(after_bytes=HALF))
    assert rig.run(timeout="1.5").failures == []
    assert [request.status for request in pypi.file_requests()] == [200, 206]
    rig.assert_matches()


def test_next_run_goes_on_with_a_partial_file(rig: Rig, pypi: FakePyPI, large: UploadedFile) -> None:
    pypi.fault(large.url_path, ShortBody(HALF), ShortBody(10), ShortBody(10))
    report = rig.run()
    assert len(report.failures) == 1
    assert part_of(rig, large).stat().st_size == HALF + 20
    assert not (rig.web / large.url_path.lstrip("/")).exists()
    pypi.clear_faults()
    pypi.clear_requests()
    rig.run()
    (requested,) = ranges(pypi)
    assert requested is not None
    rig.assert_matches()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_download_of_a_run_that_a_signal_ends_is_gone_on_with(
    rig: Rig, pypi: FakePyPI, large: UploadedFile, number: signal.Signals
) -> None:
    pypi.fault(large.url_path, Stall(after_bytes=HALF), times=None)
    config, is_sent = rig.write_config(timeout="60"), threading.Event()

    def send_once(point: Point, _path: StoredPath) -> None:
        if point is Point.ARRIVED and arrived_bytes(rig) >= HALF // 2 and not is_sent.is_set():
            is_sent.set()
            os.kill(os.getpid(), number)

    code = run_apart(rig, acting_storage(send_once), lambda: end_process(main(["-c", str(config), "mirror"])))
    assert code == (-number if number is signal.SIGKILL else 128 + number)
    pypi.clear_faults()
    pypi.clear_requests()
    assert rig.command("mirror").returncode == 0
    assert [request.status for request in pypi.file_requests()] == [206]
    rig.assert_matches()


@pytest.mark.parametrize("tuning", [HURRIED, IN_PROCESSES], ids=["by a thread", "by a process"])
def test_download_of_a_stopped_run_is_gone_on_with(
    rig: Rig, pypi: FakePyPI, large: UploadedFile, tuning: Tuning
) -> None:
    stop = StopFlag()
    reader, writer = multiprocessing.Pipe(duplex=False)

    def tell(point: Point, _path: StoredPath) -> None:
        if point is Point.ARRIVED and arrived_bytes(rig) >= HALF // 2:
            writer.send(None)

    def stop_when_some_has_come() -> None:
        with suppress(EOFError):
            reader.recv()
        stop.set()

    pypi.fault(large.url_path, Stall(after_bytes=HALF), times=None)
    rig.make_storage = acting_storage(tell)
    stopping = threading.Thread(target=stop_when_some_has_come)
    stopping.start()
    with reader:
        with writer, pytest.raises(InterruptedRunError):
            rig.run(stop=stop, tuning=tuning, timeout="60")
        stopping.join()
    rig.make_storage = FilesystemStorage
    assert part_of(rig, large).stat().st_size >= HALF // 2
    pypi.clear_faults()
    pypi.clear_requests()
    rig.run(tuning=tuning)
    assert [request.status for request in pypi.file_requests()] == [206]
    rig.assert_matches()


def test_interrupted_download_of_a_small_file_leaves_nothing(rig: Rig, pypi: FakePyPI) -> None:
    stop = StopFlag()
    small = pypi.add_file("foo", "1.0", size=RESUME_MIN_BYTES // 2)
    pypi.fault(small.url_path, Call(stop.set))
    with pytest.raises(InterruptedRunError):
        rig.run(stop=stop)
    assert half_written(rig.directory) == []
    rig.run()
    rig.assert_matches()


MISANSWERS: list[tuple[str, Fault]] = [
    ("the whole file", Status(200)),
    ("another range", Status(206, headers={"Content-Range": f"bytes 5-{SIZE}/{SIZE + 1}"}, body=b"x" * 10)),
    ("no range", Status(206, body=b"x" * 10)),
    ("another document", Status(206, headers={"Content-Range": "bytes 0-9/10", "ETag": '"other"'}, body=b"x" * 10)),
    ("not satisfiable", Status(416)),
]


@pytest.mark.parametrize("misanswer", [pytest.param(fault, id=name) for name, fault in MISANSWERS[1:]])
def test_misanswered_range_begins_the_file_anew(
    rig: Rig, pypi: FakePyPI, large: UploadedFile, misanswer: Fault
) -> None:
    pypi.fault(large.url_path, Reset(HALF), misanswer)
    assert rig.run().failures == []
    assert [request.headers.get("Range") is None for request in pypi.file_requests()] == [True, False, True]
    rig.assert_matches()


def test_server_that_ignores_the_range_sends_the_file_anew(rig: Rig, pypi: FakePyPI, large: UploadedFile) -> None:
    pypi.fault(large.url_path, Reset(HALF), Body(large.content))
    assert rig.run().failures == []
    assert len(pypi.file_requests()) == 2
    rig.assert_matches()


def test_partial_file_of_another_content_is_not_gone_on_with(rig: Rig, pypi: FakePyPI, large: UploadedFile) -> None:
    pypi.fault(large.url_path, ShortBody(HALF), ShortBody(10), ShortBody(10))
    rig.run()
    part_of(rig, large).write_bytes(b"x" * HALF)
    pypi.clear_faults()
    assert rig.run().failures == []
    rig.assert_matches()


def test_small_files_begin_anew(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", size=50_000)
    pypi.fault(file.url_path, Reset(20_000))
    assert rig.run().failures == []
    assert ranges(pypi) == [None, None]
    rig.assert_matches()


def test_partial_file_that_nobody_wants_any_more_is_deleted(rig: Rig, pypi: FakePyPI, large: UploadedFile) -> None:
    pypi.add_file("foo", "2.0")
    pypi.fault(large.url_path, ShortBody(HALF), ShortBody(10), ShortBody(10))
    rig.run()
    assert part_of(rig, large).exists()
    pypi.clear_faults()
    pypi.remove_release("foo", "1.0")
    rig.run()
    rig.assert_matches()


def test_partial_file_of_a_removed_project_is_deleted(rig: Rig, pypi: FakePyPI, large: UploadedFile) -> None:
    pypi.fault(large.url_path, ShortBody(HALF), ShortBody(10), ShortBody(10))
    rig.run()
    pypi.clear_faults()
    pypi.remove_project("foo")
    rig.run()
    rig.assert_matches()


@pytest.mark.parametrize("fault", [WrongBytes(), ExtraBytes(1), ExtraBytes(SIZE)])
def test_wrong_file_is_tried_once_more_from_zero_and_then_fails(
    rig: Rig, pypi: FakePyPI, large: UploadedFile, fault: Fault
) -> None:
    pypi.fault(large.url_path, fault, times=None)
    report = rig.run()
    assert "wrong" in str(report.failures[0].error)
    assert ranges(pypi) in ([None] * 2, [None] * 3)  # a wrong length is seen before the first attempt has begun
    assert not list(rig.web.rglob("*.whl"))
    assert half_written(rig.directory) == []
    assert "foo" in (rig.directory / "todo").read_text()
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()


@pytest.mark.parametrize("last", [WrongBytes(), Status(206)])
def test_wrong_body_at_the_last_attempt_is_no_bug(rig: Rig, pypi: FakePyPI, last: Fault) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist", size=3_000_000)
    pypi.fault(file.url_path, ShortBody(2_000_000), ShortBody(500_000), last)
    report = rig.run()
    assert all(isinstance(failure.error, MirrorError) for failure in report.failures), report.failures
    assert report.failures == []


@pytest.mark.parametrize("path", ["/simple/foo/", "rpc:changelog_last_serial"])
def test_compressed_garbage_is_asked_for_again(rig: Rig, pypi: FakePyPI, path: str) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault(path, Body(b"this is not gzip", headers={"Content-Encoding": "gzip"}))
    assert rig.run().failures == []
    rig.assert_matches()


@pytest.mark.parametrize("fault", [ShortBody(50), Reset(50)])
@pytest.mark.parametrize("path", ["/simple/foo/", "rpc:list_packages_with_serial"])
def test_page_that_breaks_off_is_asked_for_again(rig: Rig, pypi: FakePyPI, path: str, fault: Fault) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault(path, fault)
    assert rig.run().failures == []
    rig.assert_matches()
