"""A worker takes tasks from a connection and sends what has come of them, as a thread and as a process."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bandersnatch.errors import StorageError
from bandersnatch.http.request import InThread, Request, Steps, Together
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.package import work_on_project
from bandersnatch.project.report import Settled
from bandersnatch.storage.layout import StoredPath
from bandersnatch.workers import worker as worker_module
from bandersnatch.workers.worker import Ended, Reply, Task, WorkerLimits, WorkerSettings, run_in_process, run_in_thread
from tests.support.builders import named
from tests.support.fakepypi import Call, FakePyPI, Stall
from tests.support.processes import awaited_end
from tests.support.rig import IMPATIENT, Rig
from tests.support.transferring import Pieces
from tests.support.working import http_config, make_job, pool_of, working_context

logger = logging.getLogger("bandersnatch.tests")


class Stand:
    """A worker and our end of its connection."""

    def __init__(
        self, connection: Connection, worker: "threading.Thread | multiprocessing.process.BaseProcess"
    ) -> None:
        self.connection, self.worker = connection, worker
        self.replies: list[Reply] = []

    def give(self, *calls: Callable[..., Steps[Any]] | tuple[Any, ...]) -> None:
        """Give tasks, which have the numbers 0, 1, and so on."""
        tasks = [(call, ()) if callable(call) else (call[0], call[1:]) for call in calls]
        self.connection.send([Task(number, *task) for number, task in enumerate(tasks)])

    def take(self, number: int) -> dict[int, Ended]:
        """Wait for the ends of so many tasks."""
        ended: dict[int, Ended] = {}
        while len(ended) < number:
            assert self.connection.poll(30)
            self.replies.append(self.connection.recv())
            ended |= {each.number: each for each in self.replies[-1].ended}
        return ended


@pytest.fixture
def context(rig: Rig) -> Iterator[JobContext]:
    with working_context(rig) as context:
        yield context


@contextmanager
def working(context: JobContext, pypi: FakePyPI, *, is_process: bool) -> Iterator[Stand]:
    """A worker, which ends with the block."""
    ours, theirs = multiprocessing.Pipe()
    token = context.storage.admit()
    settings = WorkerSettings(context, http_config(pypi), RunLimits(IMPATIENT), 2)
    ours.send(WorkerLimits(token, 5))
    worker: threading.Thread | multiprocessing.process.BaseProcess
    if is_process:
        forking = multiprocessing.get_context("fork")
        worker = forking.Process(target=run_in_process, args=(settings, theirs, os.getpid()), daemon=True)
    else:
        worker = threading.Thread(target=run_in_thread, args=(settings, theirs), daemon=True)
    worker.start()
    if is_process:
        theirs.close()
    try:
        yield Stand(ours, worker)
    finally:
        ours.close()
        if not isinstance(worker, threading.Thread):
            worker.terminate()  # it has a copy of our end, and so does not notice
        worker.join(30)
        assert not worker.is_alive()


@pytest.fixture(params=[False, True], ids=["a thread", "a process"])
def stand(context: JobContext, pypi: FakePyPI, request: pytest.FixtureRequest) -> Iterator[Stand]:
    with working(context, pypi, is_process=request.param) as stand:
        yield stand


@pytest.fixture
def process(context: JobContext, pypi: FakePyPI) -> Iterator[Stand]:
    with working(context, pypi, is_process=True) as stand:
        yield stand


# What it is asked for here


def add(_: JobContext, left: int, right: int) -> Steps[int]:
    return left + right
    yield  # type: ignore[unreachable]  # so it is a generator


def reservation_name(context: JobContext) -> Steps[str]:
    assert context.reservation is not None
    context.reservation.reserve(named("foo"), [])
    return context.reservation.name
    yield  # type: ignore[unreachable]  # as above


def fetch(context: JobContext, url: str) -> Steps[int]:
    content: bytes = yield Request(url, Pieces())
    context.received(len(content))
    return len(content)


def fail(_: JobContext) -> Steps[None]:
    raise ValueError("a bug of ours")
    yield  # type: ignore[unreachable]  # as above


class UnsendableError(Exception):
    """It has a lock."""

    def __init__(self) -> None:
        super().__init__("it can't be sent")
        self.lock = threading.Lock()


def fail_badly(_: JobContext) -> Steps[None]:
    raise UnsendableError
    yield  # type: ignore[unreachable]  # as above


def refuse(_: JobContext) -> Steps[None]:
    raise StorageError("web", "write", "the disk is full")
    yield  # type: ignore[unreachable]  # as above


def lose_record(context: JobContext) -> Steps[None]:
    """The record of what is reserved can't be closed, as where a quota is exceeded."""
    assert context.reservation is not None
    context.reservation.reserve(named("foo"), [StoredPath("web/packages/foo")])
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if context.reservation.name in os.readlink(f"/proc/self/fd/{descriptor}"):
                os.close(int(descriptor))
    return
    yield  # type: ignore[unreachable]  # as above


def log_it(_: JobContext) -> Steps[int]:
    logger.warning("from %s", "a worker")
    return os.getpid()
    yield  # type: ignore[unreachable]  # as above


def log_and_fetch(context: JobContext, url: str) -> Steps[int]:
    logger.warning("before it waits")
    return (yield from fetch(context, url))


def hash_aside(_: JobContext) -> Steps[Any]:
    return (yield Together(tuple(aside() for _ in range(3))))


def aside() -> Steps[Any]:
    return (yield InThread(threading.get_ident))


# Tasks and what has come of them


def test_each_task_has_an_end(stand: Stand) -> None:
    stand.give(*((add, number, 1) for number in range(100)))
    ended = stand.take(100)
    assert [ended[number].value for number in range(100)] == list(range(1, 101))


def test_errors_are_sent(stand: Stand) -> None:
    stand.give(fail, refuse, (add, 1, 2))
    ended = stand.take(3)
    assert repr(ended[0].error) == "ValueError('a bug of ours')"
    assert isinstance(ended[1].error, StorageError)
    assert ended[2] == Ended(2, 3, None)


def test_an_error_that_can_not_be_sent_is_told_all_the_same_and_keeps_no_result_back(stand: Stand) -> None:
    stand.give(fail_badly, (add, 1, 2))
    ended = stand.take(2)
    assert repr(ended[0].error) == """RuntimeError('UnsendableError("it can\\'t be sent")')"""
    assert ended[1].value == 3


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_a_record_that_can_not_be_closed_fails_its_task_only(process: Stand) -> None:
    process.give(lose_record, (add, 1, 2))
    ended = process.take(2)
    assert isinstance(ended[0].error, StorageError)
    assert ended[1] == Ended(1, 3, None)


def test_a_worker_makes_many_tasks_at_a_time(pypi: FakePyPI, stand: Stand) -> None:
    files = [pypi.add_file(f"project-{number}", "1.0", kind="sdist") for number in range(5)]
    barrier = threading.Barrier(5)
    for file in files:
        pypi.fault(file.url_path, Call(lambda: barrier.wait(30)))
    stand.give(*((fetch, f"{pypi.url}{file.url_path}") for file in files))
    ended = stand.take(5)
    assert [ended[number].value for number in range(5)] == [file.size for file in files]
    assert sum(reply.received_bytes for reply in stand.replies) == sum(file.size for file in files)


def test_no_more_requests_are_in_flight_than_the_worker_may_have(pypi: FakePyPI, stand: Stand) -> None:
    files = [pypi.add_file(f"project-{number}", "1.0", kind="sdist") for number in range(6)]
    stalls = [Stall(threading.Event()) for _ in files]
    for file, stall in zip(files, stalls, strict=True):
        pypi.fault(file.url_path, stall)
    stand.give(*((fetch, f"{pypi.url}{file.url_path}") for file in files))
    for stall in stalls[:5]:
        assert stall.started.wait(30)
    assert len(pypi.file_requests()) == 5
    for stall in stalls:
        assert stall.event is not None
        stall.event.set()
    stand.take(6)


def test_what_takes_long_runs_in_other_threads(stand: Stand) -> None:
    stand.give(hash_aside)
    threads = set(stand.take(1)[0].value)
    assert threads
    assert threads.isdisjoint({threading.get_ident(), stand.worker.ident})


def test_each_task_has_a_record_of_its_own_for_what_it_reserves(stand: Stand) -> None:
    stand.give(*[reservation_name] * 3)
    names = {ended.value for ended in stand.take(3).values()}
    assert len(names) == 3
    assert len({name.rpartition("-")[0] for name in names}) == 1  # the worker's token


def test_workers_of_one_process_never_give_a_record_the_same_name(pypi: FakePyPI, context: JobContext) -> None:
    """One that a crash has left is still there."""
    names = set()
    for _ in range(2):
        with pool_of(context, pypi, 1) as pool:
            names.add(pool.submit(reservation_name).result(timeout=30))
    assert len(names) == 2


def test_while_the_journal_is_asked_other_projects_go_on(pypi: FakePyPI, context: JobContext) -> None:
    for name in ("foo", "bar"):
        pypi.add_file(name, "1.0")
    context.documents.journal_end.learn(pypi.project_serial("foo"))
    silence = threading.Event()
    stall = Stall(silence)
    pypi.fault("/pypi", stall)
    with pool_of(context, pypi, 1) as pool:
        ahead = pool.submit(work_on_project, make_job(pypi, "bar"))
        assert stall.started.wait(30)
        assert isinstance(pool.submit(work_on_project, make_job(pypi, "foo")).result(timeout=30).outcome, Settled)
        silence.set()
        assert isinstance(ahead.result(timeout=30).outcome, Settled)


def test_a_worker_that_waits_for_upstream_says_that_it_lives(
    pypi: FakePyPI, context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "HEARTBEAT_SECONDS", 0.01)
    stall = Stall()
    pypi.fault("/slow", stall)
    with working(context, pypi, is_process=True) as process:
        process.give((fetch, f"{pypi.url}/slow"))
        assert stall.started.wait(30)
        for _ in range(3):
            assert process.connection.poll(30)
            assert process.connection.recv().ended == []


def test_a_project_is_worked_on(rig: Rig, pypi: FakePyPI, stand: Stand) -> None:
    pypi.add_file("foo", "1.0")
    stand.give((work_on_project, make_job(pypi, "foo")))
    result = stand.take(1)[0].value
    assert isinstance(result.outcome, Settled)
    assert (rig.web / "simple/foo/index.html").exists()


# What only a process tells


def test_a_process_sends_what_it_logs(process: Stand) -> None:
    process.give(log_it)
    pid = process.take(1)[0].value
    assert pid == process.worker.ident != os.getpid()
    (record,) = [record for reply in process.replies for record in reply.logged]
    assert (record.getMessage(), record.process, record.levelno) == ("from a worker", pid, logging.WARNING)


def test_what_a_process_logs_does_not_wait_for_the_end_of_its_task(pypi: FakePyPI, process: Stand) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist")
    stall = Stall(threading.Event())
    pypi.fault(file.url_path, stall)
    process.give((log_and_fetch, f"{pypi.url}{file.url_path}"))
    assert process.connection.poll(30)
    reply: Reply = process.connection.recv()
    assert (reply.ended, [record.getMessage() for record in reply.logged]) == ([], ["before it waits"])
    assert stall.event is not None
    stall.event.set()
    process.take(1)


def test_a_process_sends_what_it_has_changed(rig: Rig, pypi: FakePyPI, process: Stand) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist")
    process.give((work_on_project, make_job(pypi, "foo")))
    process.take(1)
    changed = [path for reply in process.replies for path in reply.changed]
    assert f"web{file.url_path}" in changed
    assert sorted(changed) == sorted(
        str(path.relative_to(rig.directory)) for path in rig.web.rglob("*") if path.is_file()
    )


# Its end


def test_a_worker_that_gets_no_more_tasks_ends_when_those_that_it_has_are_done(pypi: FakePyPI, stand: Stand) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist")
    stall = Stall(threading.Event())
    pypi.fault(file.url_path, stall)
    stand.give((fetch, f"{pypi.url}{file.url_path}"))
    stand.connection.send(None)
    assert stall.started.wait(30)
    assert stall.event is not None
    stall.event.set()
    assert stand.take(1)[0].value == file.size
    stand.worker.join(30)
    assert not stand.worker.is_alive()


def test_a_thread_ends_when_nobody_is_left_who_takes_its_results(rig: Rig, pypi: FakePyPI, context: JobContext) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist", size=200_000)
    stall = Stall(after_bytes=100_000)
    pypi.fault(file.url_path, stall, times=None)
    with working(context, pypi, is_process=False) as stand:
        stand.give((work_on_project, make_job(pypi, "foo")))
        assert stall.started.wait(30)
    assert half_written(rig) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_process_which_deletes_what_it_has_half_written(
    rig: Rig, pypi: FakePyPI, process: Stand, number: signal.Signals
) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist", size=200_000)
    stall = Stall(after_bytes=100_000)
    pypi.fault(file.url_path, stall, times=None)
    process.give((work_on_project, make_job(pypi, "foo")))
    assert stall.started.wait(30)
    pid = process.worker.ident
    assert pid is not None
    with awaited_end([pid]):
        os.kill(pid, number)
    assert half_written(rig) == []


def test_a_stopped_run_ends_a_thread(context: JobContext, pypi: FakePyPI) -> None:
    is_stopped = threading.Event()
    with working(replace(context, is_stopped=is_stopped.is_set), pypi, is_process=False) as stand:
        stand.give((add, 1, 2))
        stand.take(1)
        is_stopped.set()
        stand.worker.join(30)
        assert not stand.worker.is_alive()


def half_written(rig: Rig) -> list[Path]:
    return list(rig.directory.rglob("*.part"))
