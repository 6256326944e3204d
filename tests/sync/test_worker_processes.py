"""Workers in processes: the mirror is the same with them."""

import logging
import os
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from logging.handlers import MemoryHandler

import pytest

from bandersnatch.errors import StorageError
from tests.support.fakepypi import Call, FakePyPI, Fault, Stall, Status, UploadedFile, WrongBytes
from tests.support.rig import HURRIED, IN_PROCESSES, Rig
from tests.support.umask import umask
from tests.support.worker_processes import add_projects, reserved, stored, workers

CORES = os.sched_getaffinity(0) if sys.platform == "linux" else {0}
pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="worker processes need Linux and two cores")


def test_the_mirror_is_the_same_in_processes(rig: Rig, pypi: FakePyPI) -> None:
    files = add_projects(pypi)
    report = rig.run(tuning=IN_PROCESSES)
    assert report.failures == []
    assert (report.files, report.size_bytes) == (len(files), sum(file.size for file in files))
    assert sorted(request.path for request in pypi.file_requests()) == sorted(file.url_path for file in files)
    assert pypi.metadata_requests() == []
    rig.assert_matches()
    before = rig.tree()
    rig.resync()
    rig.run(tuning=HURRIED)
    assert rig.tree() == before


def test_a_mirror_is_kept_up_to_date_in_processes(rig: Rig, pypi: FakePyPI) -> None:
    files = add_projects(pypi)
    rig.run(tuning=IN_PROCESSES)
    pypi.remove_file("project-1", files[9].filename)
    pypi.add_file("project-2", "9.0", metadata_in_wheel=False)
    pypi.remove_project("project-3")
    rig.run(tuning=IN_PROCESSES)
    rig.assert_matches()
    stored(rig, files[0]).write_bytes(b"damaged")
    rig.resync()
    rig.run(tuning=IN_PROCESSES)
    rig.assert_matches()


def test_all_workers_together_have_as_many_requests_in_flight_as_the_option_says(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(20):
        pypi.add_file(f"project-{number}", "1.0", kind="sdist")
    under_way = most = 0
    guard, five, one_too_many = threading.Lock(), threading.Event(), threading.Event()

    def count() -> None:
        nonlocal under_way, most
        with guard:
            under_way += 1
            most = max(most, under_way)
            for number, event in ((5, five), (6, one_too_many)):
                event.set() if under_way == number else None
        five.wait(30)
        one_too_many.wait(0.5)  # for what must not come
        with guard:
            under_way -= 1

    pypi.fault("/packages/*", Call(count), times=None)
    assert rig.run(tuning=IN_PROCESSES, workers="5").failures == []
    assert len({request.asker for request in pypi.file_requests()}) == 2
    assert most == 5


@pytest.mark.parametrize("fault", [Status(404), Status(503), Status(302, {"Location": "/x"}), WrongBytes()])
def test_what_a_worker_does_not_get_is_fetched_all_the_same(rig: Rig, pypi: FakePyPI, fault: Fault) -> None:
    pypi.fault(add_projects(pypi)[0].url_path, fault)
    report = rig.run(tuning=IN_PROCESSES)
    assert len(report.failures) <= 1  # where another file's turn came first, and the host rested
    if report.failures:
        rig.run(tuning=IN_PROCESSES)
    rig.assert_matches()


def test_metadata_that_is_not_in_the_wheel_is_fetched(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(9):
        pypi.add_file("project", f"{number}.0", metadata_in_wheel=number % 2 == 0)
    pypi.fault(f"{pypi.files('project')[1].url_path}.metadata", Status(503))
    assert rig.run(tuning=IN_PROCESSES).failures == []
    rig.assert_matches()


def test_all_that_workers_have_written_is_listed_once(rig: Rig, pypi: FakePyPI) -> None:
    files = add_projects(pypi)
    changes = rig.folder / "changes"
    rig.run(tuning=IN_PROCESSES, diff_file=str(changes))
    listed = changes.read_text().splitlines()
    assert sorted(set(listed)) == sorted(str(path) for path in rig.web.rglob("*") if path.is_file())
    assert all(listed.count(str(stored(rig, file))) == 1 for file in files)


@contextmanager
def logging_with(handler: logging.Handler) -> Iterator[None]:
    """Give all that we log to a handler too, which a log-config can give to any logger."""
    ours = logging.getLogger("bandersnatch")
    before = ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        ours.setLevel(before)
        ours.removeHandler(handler)
        handler.close()


class TellsWhoWrites(logging.FileHandler):
    """Writes before each line which process does that."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{os.getpid()} {record.process} {record.getMessage()}"


def promise_metadata_that_there_is_not(pypi: FakePyPI) -> UploadedFile:
    """Upload a file of which workers have to warn."""
    file = pypi.add_file("project-1", "9.0", metadata_in_wheel=False)
    pypi.fault(f"{file.url_path}.metadata", Status(404), times=None)
    return file


def test_what_workers_log_is_written_by_the_main_process(rig: Rig, pypi: FakePyPI) -> None:
    files = [*add_projects(pypi), promise_metadata_that_there_is_not(pypi)]
    path = rig.folder / "log"
    with logging_with(TellsWhoWrites(path)):
        assert rig.run(tuning=IN_PROCESSES).failures == []
    lines = [line.split(" ", 2) for line in path.read_text().splitlines()]
    assert {writer for writer, _, _ in lines} == {str(os.getpid())}
    assert {process for _, process, _ in lines} > {str(os.getpid())}
    for file in files:
        assert sum(text.startswith(f"GET {pypi.url}{file.url_path}: 200") for _, _, text in lines) == 1
    assert sum("upstream's page promises it" in text for _, _, text in lines) == 1


def test_what_the_main_process_has_yet_to_write_is_not_written_by_workers_too(rig: Rig, pypi: FakePyPI) -> None:
    add_projects(pypi)
    promise_metadata_that_there_is_not(pypi)
    path = rig.folder / "log"
    with closing(logging.FileHandler(path)) as target, logging_with(MemoryHandler(9999, logging.WARNING, target)):
        logging.getLogger("bandersnatch").info("before the fork")
        rig.run(tuning=IN_PROCESSES)
    assert path.read_text().count("before the fork") == 1


@pytest.mark.parametrize(("manages", "mode"), [("true", 0o644), ("false", 0o600)])
def test_permissions_are_those_that_the_option_wants(rig: Rig, pypi: FakePyPI, manages: str, mode: int) -> None:
    files = add_projects(pypi)
    with umask(0o077):
        rig.run(tuning=IN_PROCESSES, storage_filesystem_manage_permissions=manages)
    assert {stat.S_IMODE(stored(rig, file).stat().st_mode) for file in files} == {mode}


def test_the_reserve_is_kept(rig: Rig, pypi: FakePyPI) -> None:
    files = add_projects(pypi)
    with pytest.raises(StorageError, match="would not leave the reserve"):
        rig.run(tuning=IN_PROCESSES, reserve="1000000T")
    assert not any(stored(rig, file).exists() for file in files)
    rig.run(tuning=IN_PROCESSES, reserve="1")
    rig.assert_matches()


def kill_workers() -> None:
    for pid in workers():
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [0, 17, 34])
def test_the_run_goes_on_without_workers_that_were_killed(rig: Rig, pypi: FakePyPI, number: int) -> None:
    file = add_projects(pypi)[number]
    pypi.fault(file.url_path, Call(kill_workers, Stall()))
    changes = rig.folder / "changes"
    assert rig.run(tuning=IN_PROCESSES, diff_file=str(changes)).failures == []
    rig.assert_matches()
    assert reserved(rig) == []
    assert {str(path) for path in rig.web.rglob("*") if path.is_file()} == set(changes.read_text().splitlines())
