"""A pool has workers in processes: how many, what becomes of them, and how the command ends them."""

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event

import pytest

from bandersnatch.errors import StorageError
from bandersnatch.operations.tuning import Tuning
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.package import work_on_project
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath
from bandersnatch.workers.link import MAX_JOBS, SPARE_PROCESSES
from bandersnatch.workers.pool import WorkerLostError, workers_wanted
from tests.support.fakepypi import Call, FakePyPI, Stall
from tests.support.processes import awaited_end, children
from tests.support.rig import HURRIED, IN_PROCESSES, Rig
from tests.support.worker_processes import add_projects, half_written, told, workers
from tests.support.working import make_job, pool_of, working_context

CORES = os.sched_getaffinity(0) if sys.platform == "linux" else {0}
pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="worker processes need Linux and two cores")


@pytest.fixture
def context(rig: Rig) -> Iterator[JobContext]:
    with working_context(rig) as context:
        yield context


@contextmanager
def one_core() -> Iterator[None]:
    """Let this thread, and the processes that it starts, have one core only."""
    os.sched_setaffinity(0, {min(CORES)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


# How many there are


@pytest.mark.parametrize(("in_flight", "expected"), [(1, 1), (3, 1), (4, 2), (10, min(len(CORES), 4))])
def test_there_is_a_process_for_each_core_but_none_for_few_requests_in_flight(in_flight: int, expected: int) -> None:
    assert workers_wanted(in_flight) == expected


def test_one_core_is_worth_no_processes() -> None:
    with one_core():
        assert workers_wanted(10) == 1


def test_one_worker_is_a_thread(pypi: FakePyPI, context: JobContext) -> None:
    with pool_of(context, pypi, 1) as pool:
        assert pool.number == 1
        assert workers() == []


def test_several_workers_are_processes_which_end_with_the_pool(pypi: FakePyPI, context: JobContext) -> None:
    with pool_of(context, pypi, 3) as pool:
        assert pool.number == len(workers()) == 3
    assert workers() == []


@pytest.mark.without_processes("none can be started")
def test_a_run_does_without_processes_that_can_not_be_started(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    add_projects(pypi)
    monkeypatch.setattr(os, "fork", refuse)
    assert rig.run(tuning=IN_PROCESSES).failures == []
    assert pypi.pages_for_others == 0
    reason = "[Errno 11] Resource temporarily unavailable"
    assert f"a worker process can't be started: {reason}; the run goes on without it" in caplog.messages
    rig.assert_matches()


@pytest.mark.parametrize(("tuning", "expected"), [(IN_PROCESSES, 2), (HURRIED, 0)])
def test_a_long_todo_list_has_processes_and_a_short_one_a_thread(
    rig: Rig, pypi: FakePyPI, tuning: Tuning, expected: int
) -> None:
    there: list[int] = []
    pypi.fault(add_projects(pypi)[3].url_path, Call(lambda: there.append(len(workers()))))
    rig.run(tuning=tuning)
    assert there == [expected]
    assert workers() == []


def test_no_worker_keeps_what_another_could_begin_when_few_projects_are_left(
    pypi: FakePyPI, context: JobContext
) -> None:
    stall = Stall(Event())
    assert stall.event is not None
    names = [f"foo-{number}" for number in range(15)]
    for name in names:
        pypi.add_file(name, "1.0")
    in_flight = 5
    for name in names[:in_flight]:
        pypi.fault(f"/simple/{name}/", stall)
    with pool_of(context, pypi, 2) as pool:
        with pool._changed:  # no worker gets any before all wait
            futures = [pool.submit(work_on_project, make_job(pypi, name)) for name in names]
        try:
            for future in futures[in_flight:]:
                assert future.result(timeout=30).outcome.changed
            assert not any(future.done() for future in futures[:in_flight])
        finally:
            stall.event.set()


# What becomes of them


def kill_workers() -> None:
    for pid in workers():
        os.kill(pid, signal.SIGKILL)


def kill_all() -> None:
    """Kill the workers, and those that wait to replace them."""
    for process in multiprocessing.active_children():
        process.kill()


def test_a_job_of_a_killed_worker_ends_with_an_error_that_says_so_when_its_traces_are_taken_up(
    pypi: FakePyPI, context: JobContext
) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Call(kill_workers, Stall()))
    taken_up: list[str] = []
    with pool_of(context, pypi, 2, taken_up.append) as pool:
        future = pool.submit(work_on_project, make_job(pypi, "foo"))
        error = future.exception(timeout=30)
        assert len(taken_up) == 1
    assert isinstance(error, WorkerLostError)


def test_an_error_while_traces_are_taken_up_is_that_of_the_lost_jobs(pypi: FakePyPI, context: JobContext) -> None:
    refused = StorageError("inventory", "use the inventory", "database is locked")

    def fail(_: str) -> None:
        raise refused

    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Call(kill_workers, Stall()))
    with pool_of(context, pypi, 2, fail) as pool:
        assert pool.submit(work_on_project, make_job(pypi, "foo")).exception(timeout=30) is refused


def test_workers_that_are_lost_are_replaced_with_all_that_they_may_do(pypi: FakePyPI, context: JobContext) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Call(kill_workers, Stall()))
    with pool_of(context, pypi, 2) as pool:
        before, window = workers(), pool.window
        assert isinstance(pool.submit(work_on_project, make_job(pypi, "foo")).exception(timeout=30), WorkerLostError)
        while (error := pool.submit(work_on_project, make_job(pypi, "foo")).exception(30)) is not None:
            assert isinstance(error, WorkerLostError)  # it was given to the other one
        assert (pool.number, pool.window) == (2, window)
        assert len(set(workers()) - set(before)) == 2
    assert multiprocessing.active_children() == []


def test_where_few_processes_can_be_started_they_share_all_requests(
    pypi: FakePyPI, context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork, left = os.fork, [1]

    def fork_once() -> int:
        if not left:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        left.pop()
        return fork()

    monkeypatch.setattr(os, "fork", fork_once)
    with pool_of(context, pypi, 2) as pool:
        assert pool.number == len(workers()) == 1
        assert pool.window == 2 * MAX_JOBS


def test_when_all_processes_are_lost_a_thread_goes_on(pypi: FakePyPI, context: JobContext) -> None:
    for name in ("foo", "bar"):
        pypi.add_file(name, "1.0")
    pypi.fault("/simple/foo/", Call(kill_all, Stall()))
    with pool_of(context, pypi, 2) as pool:
        lost = pool.submit(work_on_project, make_job(pypi, "foo"))
        assert isinstance(lost.exception(timeout=30), WorkerLostError)
        while isinstance(
            error := (job := pool.submit(work_on_project, make_job(pypi, "bar"))).exception(30), WorkerLostError
        ):
            pass  # it was given to the other one, of which is not known yet that it is dead
        assert error is None
        assert job.result().outcome.changed
        assert pool.number == 1
        assert workers() == []


def test_a_pool_that_is_shut_down_takes_no_job(pypi: FakePyPI, context: JobContext) -> None:
    with pool_of(context, pypi, 1) as pool:
        pool.shutdown()
        with pytest.raises(RuntimeError, match="the pool was shut down"):
            pool.submit(work_on_project, None)


@pytest.mark.parametrize("number", [1, 2])
def test_jobs_that_were_given_before_the_end_of_the_pool_are_done(
    pypi: FakePyPI, context: JobContext, number: int
) -> None:
    names = [f"project-{each}" for each in range(100)]
    for name in names:
        pypi.add_file(name, "1.0", kind="sdist")
    with pool_of(context, pypi, number) as pool:
        futures = [pool.submit(work_on_project, make_job(pypi, name)) for name in names]
    assert [future.result(timeout=0).outcome.project for future in futures] == names


def test_a_folder_that_another_process_deletes_as_empty_is_made_again(storage: FilesystemStorage) -> None:
    """A worker that publishes "foo" looks whether ``simple/f`` is empty, which is the folder of a project "f"."""
    page, other = StoredPath("web/simple/f/index.html"), StoredPath("web/simple/f/foo/index.html")
    (storage.root / "web/simple").mkdir(parents=True)

    def publish() -> None:
        twin = storage.twin()
        for number in itertools.count():
            twin.write_bytes(StoredPath("web/simple/foo/index.html"), str(number).encode())
            twin.delete(other)

    process = multiprocessing.get_context("fork").Process(target=publish, daemon=True)
    process.start()
    try:
        for number in range(2_000):
            storage.write_bytes(page, str(number).encode())
            storage.delete(page)
    finally:
        process.kill()
        process.join()


# The command


@pytest.fixture
def many(rig: Rig, pypi: FakePyPI) -> Rig:
    """A mirror of so many projects that the command has worker processes."""
    for number in range(Tuning().projects_for_processes):
        pypi.add_file(f"project-{number}", "1.0", kind="wheel" if number % 2 else "sdist")
    rig.options["timeout"] = "60"
    return rig


def test_the_command_has_processes_and_mirrors_all(many: Rig, pypi: FakePyPI) -> None:
    seen: list[int] = []
    pypi.fault(pypi.files("project-400")[0].url_path, Call(lambda: seen.extend(children(process.pid))))
    with many.start_command("mirror") as process:
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert len(seen) == 2 + SPARE_PROCESSES
    many.assert_matches()


def test_workers_of_a_killed_command_end_and_the_next_one_mends_all(many: Rig, pypi: FakePyPI) -> None:
    stall = Stall()
    pypi.fault(pypi.files("project-400")[0].url_path, stall, times=None)
    with many.start_command("mirror") as process:
        assert stall.started.wait(30)
        pids = children(process.pid)
        assert len(pids) == 2 + SPARE_PROCESSES
        with awaited_end(pids):
            process.kill()
        process.communicate(timeout=30)
    pypi.clear_faults()
    assert many.command_again("mirror").returncode == 0
    many.assert_matches()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_command_and_its_workers(
    many: Rig, pypi: FakePyPI, number: signal.Signals, status: int
) -> None:
    stall = Stall()
    pypi.fault(pypi.files("project-200")[0].url_path, Stall(after_bytes=50), times=None)
    pypi.fault(pypi.files("project-400")[0].url_path, stall, times=None)
    with many.start_command("mirror") as process:
        assert stall.started.wait(30)
        with awaited_end(children(process.pid)):
            process.send_signal(number)
            _, stderr = process.communicate(timeout=30)
    assert process.returncode == status
    assert "the next run goes on from here" in stderr
    assert "Traceback" not in stderr
    assert half_written(many) == []
    pypi.clear_faults()
    assert many.command_again("mirror").returncode == 0
    many.assert_matches()


@pytest.mark.parametrize("is_typed", [False, True], ids=["to the command", "to its workers too, as from a terminal"])
def test_a_worker_that_hangs_in_the_middle_of_a_file_ends_with_the_command(
    many: Rig, pypi: FakePyPI, is_typed: bool
) -> None:
    pypi.add_file("project-77", "2.0", kind="sdist", size=200_000)
    command = [sys.executable, "-m", "tests.support.waiting_worker"]
    with (
        told(many) as (fifo, stopped),
        subprocess.Popen(
            [*command, str(fifo), "-c", str(many.write_config()), "mirror"], stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        stopped.join(30)
        assert half_written(many) != []
        pids = children(process.pid)
        with awaited_end(pids):
            for pid in [process.pid, *pids] if is_typed else [process.pid]:
                with suppress(ProcessLookupError):  # the first one has ended it already
                    os.kill(pid, signal.SIGINT)
            _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert {path.parent for path in half_written(many)} == {many.directory / ".unfinished"}  # and never below web/
    assert many.command_again("mirror").returncode == 0
    assert half_written(many) == []
    many.assert_matches()
