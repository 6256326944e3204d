"""Worker processes that are stopped, do not answer, or are killed in the middle of a file."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.popen_fork import Popen
from pathlib import Path

import pytest

from bandersnatch.errors import InterruptedRunError
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.package import work_on_project
from bandersnatch.project.report import Failure
from bandersnatch.stop import StopFlag
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath
from bandersnatch.workers import link, worker
from tests.support.fakepypi import Call, FakePyPI, Fault, Stall
from tests.support.killed_runs import Point, acting_storage
from tests.support.processes import awaited_end
from tests.support.rig import IN_PROCESSES, Rig
from tests.support.waiting_worker import waiting_storage
from tests.support.worker_processes import half_written, reserved, stored, told, workers
from tests.support.working import make_job, pool_of, working_context

CORES = os.sched_getaffinity(0) if sys.platform == "linux" else {0}
pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="worker processes need Linux and two cores")


@pytest.fixture
def context(rig: Rig) -> Iterator[JobContext]:
    with working_context(rig) as context:
        yield context


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

    def hang(point: Point, _path: StoredPath) -> None:
        if point is Point.WRITTEN and os.getpid() != main:
            with suppress(FileNotFoundError):
                flag.unlink()
                threading.Event().wait()

    rig.make_storage = acting_storage(hang)
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
