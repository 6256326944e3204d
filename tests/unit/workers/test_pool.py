"""Workers in processes: the mirror is the same with them, and whatever becomes of them."""

import itertools
import logging
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from logging.handlers import MemoryHandler
from multiprocessing.popen_fork import Popen
from pathlib import Path

import pytest

from bandersnatch.errors import InterruptedRunError, StorageError
from bandersnatch.operations.tuning import Tuning
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.package import work_on_project
from bandersnatch.project.report import Failure
from bandersnatch.stop import StopFlag
from bandersnatch.storage.file_writer import FileWriter, Partial
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath
from bandersnatch.workers import link, worker
from bandersnatch.workers.link import MAX_JOBS, SPARE_PROCESSES, WORKER
from bandersnatch.workers.pool import WorkerLostError, workers_wanted
from tests.support.fakepypi import Call, FakePyPI, Fault, Stall, Status, UploadedFile, WrongBytes
from tests.support.processes import awaited_end, children
from tests.support.rig import HURRIED, IN_PROCESSES, Rig
from tests.support.umask import umask
from tests.support.waiting_worker import waiting_storage
from tests.support.working import make_job, pool_of, working_context

CORES = os.sched_getaffinity(0) if sys.platform == "linux" else {0}
pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="worker processes need Linux and two cores")


@pytest.fixture
def context(rig: Rig) -> Iterator[JobContext]:
    with working_context(rig) as context:
        yield context


def add_projects(pypi: FakePyPI) -> list[UploadedFile]:
    return [
        pypi.add_file(f"project-{name}", f"{number}.0", kind="wheel" if number % 2 else "sdist")
        for name in range(5)
        for number in range(1, 8)
    ]


def stored(rig: Rig, file: UploadedFile) -> Path:
    return rig.web / file.url_path[1:]


def half_written(rig: Rig) -> list[Path]:
    return list(rig.directory.rglob("*.part"))


def workers() -> list[int]:
    """Return the worker processes of a run in this process, but for those that wait to replace one."""
    children = multiprocessing.active_children()
    return [process.pid for process in children if process.pid is not None and process.name == WORKER]


@contextmanager
def one_core() -> Iterator[None]:
    """Let this thread, and the processes that it starts, have one core only."""
    os.sched_setaffinity(0, {min(CORES)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


def reserved(rig: Rig) -> list[Path]:
    """Return what is left of what workers have written down before they touched anything."""
    return list(rig.directory.rglob("*.reserved"))


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


# What they do


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


@pytest.mark.parametrize("number", [0, 17, 34])
def test_the_run_goes_on_without_workers_that_were_killed(rig: Rig, pypi: FakePyPI, number: int) -> None:
    file = add_projects(pypi)[number]
    pypi.fault(file.url_path, Call(kill_workers, Stall()))
    changes = rig.folder / "changes"
    assert rig.run(tuning=IN_PROCESSES, diff_file=str(changes)).failures == []
    rig.assert_matches()
    assert reserved(rig) == []
    assert {str(path) for path in rig.web.rglob("*") if path.is_file()} == set(changes.read_text().splitlines())


@contextmanager
def told(rig: Rig) -> Iterator[tuple[Path, threading.Thread]]:
    """A FIFO, and the thread that ends when a worker has told through it that it waits in the middle of a file."""
    fifo = rig.folder / "told"
    os.mkfifo(fifo)
    thread = threading.Thread(target=fifo.read_bytes)
    thread.start()
    try:
        yield fifo, thread
    finally:
        os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))  # where no worker has come to it
        thread.join(30)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up workers that are stopped, or do not answer, within a second or two."""
    monkeypatch.setattr(link, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(link, "MAX_SILENT_POLLS", 100)
    monkeypatch.setattr(worker, "HEARTBEAT_SECONDS", 0.05)


@pytest.mark.usefixtures("hasty")
def test_a_worker_that_is_stopped_for_ever_is_given_up_and_its_work_done_by_others(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(20):
        pypi.add_file(f"project-{number}", "1.0")
    held: list[int] = []

    def hold_who_works() -> None:
        held.extend(workers())
        for pid in held:
            os.kill(pid, signal.SIGSTOP)

    pypi.fault("/packages/*", Call(hold_who_works))
    assert rig.run(tuning=IN_PROCESSES).failures == []
    assert held
    assert not any(Path(f"/proc/{pid}").exists() for pid in held), "one that is continued would write again"
    assert "a worker process is stopped; it is ended, and its work is done by others" in caplog.messages
    assert reserved(rig) == []
    rig.assert_matches()


@pytest.mark.usefixtures("hasty")
def test_a_worker_that_is_continued_after_the_end_of_the_run_harms_nothing(
    rig: Rig, pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system only says that it has killed the process: so it is with one on another machine."""
    names = [f"project-{number}" for number in range(12)]
    for name in names:
        pypi.add_file(name, "1.0", kind="sdist", size=200_000)
    held: list[int] = []
    kill, poll = Popen.kill, Popen.poll
    monkeypatch.setattr(Popen, "kill", lambda self: None if self.pid in held else kill(self))
    monkeypatch.setattr(Popen, "poll", lambda self, flag=os.WNOHANG: 0 if self.pid in held else poll(self, flag))

    def hold_one() -> None:
        held.append(workers()[0])
        os.kill(held[0], signal.SIGSTOP)

    pypi.fault("/packages/*", Fault(), Call(hold_one))  # what it has asked for reaches it when it is continued
    assert rig.run(tuning=IN_PROCESSES).failures == []
    rig.assert_matches()
    pypi.remove_file(names[0], pypi.files(names[0])[0].filename)
    for name in names[1:]:
        pypi.remove_project(name)
    rig.run(tuning=IN_PROCESSES, max_removals="100%")
    rig.assert_matches()
    before = rig.tree()
    with awaited_end(held):
        os.kill(held[0], signal.SIGCONT)
    os.waitpid(held[0], 0)
    assert rig.tree() == before
    pypi.add_file(names[0], "2.0")
    assert rig.run(tuning=IN_PROCESSES).failures == []
    assert half_written(rig) == reserved(rig) == []
    rig.assert_matches()


@pytest.mark.usefixtures("hasty")
def test_a_worker_that_does_not_answer_is_given_up_and_its_work_done_by_others(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(20):
        pypi.add_file(f"project-{number}", "1.0")
    flag, main = rig.folder / "who takes it hangs", os.getpid()
    flag.touch()

    class Hanging(FilesystemStorage):
        @contextmanager
        def write(
            self, path: StoredPath, mtime: float | None = None, partial: Partial | None = None
        ) -> Iterator[FileWriter]:
            with super().write(path, mtime, partial) as writer:
                yield writer
                if os.getpid() != main:
                    with suppress(FileNotFoundError):
                        flag.unlink()
                        threading.Event().wait()

    rig.make_storage = Hanging
    assert rig.run(tuning=IN_PROCESSES).failures == []
    assert "a worker process does not answer; it is ended, and its work is done by others" in caplog.messages
    assert half_written(rig) == reserved(rig) == []
    rig.assert_matches()


def test_a_worker_that_was_given_up_and_is_continued_harms_nothing(
    rig: Rig, pypi: FakePyPI, context: JobContext
) -> None:
    """So it is where nobody could kill it: it may have slept on a network filesystem, or on another machine."""
    file = pypi.add_file("foo", "1.0", kind="sdist", size=200_000)

    def give_up_while_stopped() -> None:
        pids = workers()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        for admitted in rig.directory.rglob("*.writer"):
            context.storage.give_up(admitted.stem)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    pypi.fault(file.url_path, Call(give_up_while_stopped))
    with pool_of(context, pypi, 2) as pool:
        result = pool.submit(work_on_project, make_job(pypi, "foo")).result(timeout=30)
    assert isinstance(result.outcome, Failure)
    assert isinstance(result.outcome.error, InterruptedRunError)
    assert not stored(rig, file).exists()
    assert half_written(rig) == []
    assert not (rig.web / "simple").exists()


def test_what_a_killed_worker_has_half_written_is_resumed_by_the_next_run(rig: Rig, pypi: FakePyPI) -> None:
    stop = StopFlag()
    file = pypi.add_file("project", "1.0", kind="sdist", size=200_000)
    with told(rig) as (fifo, stopped):
        rig.make_storage = waiting_storage(fifo)

        def hold_workers_and_stop() -> None:
            stopped.join()
            assert half_written(rig) != []
            for pid in workers():
                os.kill(pid, signal.SIGSTOP)  # it can't end itself
            stop.set()

        thread = threading.Thread(target=hold_workers_and_stop)
        thread.start()
        with pytest.raises(InterruptedRunError):
            rig.run(tuning=IN_PROCESSES, stop=stop)
        thread.join()
    [kept] = half_written(rig)
    assert kept.stat().st_size == file.size
    rig.make_storage = FilesystemStorage
    pypi.clear_requests()
    rig.run(tuning=IN_PROCESSES)
    assert pypi.file_requests() == []
    assert half_written(rig) == []
    rig.assert_matches()


def test_what_a_worker_had_done_before_the_run_was_stopped_is_listed(rig: Rig, pypi: FakePyPI) -> None:
    stop, is_over = StopFlag(), threading.Event()
    for number in range(6):
        pypi.add_file("project", f"{number}.0")
    # One request gets no answer. The files that arrive meanwhile are in place when the one after the next is asked for.
    pypi.fault("/packages/*", Call(lambda: is_over.wait(30)), Fault(), Fault(), Call(stop.set, Stall()))
    changes = rig.folder / "changes"
    with pytest.raises(InterruptedRunError):
        rig.run(tuning=IN_PROCESSES, stop=stop, diff_file=str(changes))
    is_over.set()
    files = {str(path) for path in (rig.web / "packages").rglob("*") if path.is_file()}
    assert files
    assert files <= set(changes.read_text().splitlines())


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
