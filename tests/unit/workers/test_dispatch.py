"""Jobs go to an executor of workers, and each project has one result, however many workers it took."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Executor, Future
from contextlib import closing
from threading import Event
from typing import Any

import pytest
from msgspec.structs import replace

from bandersnatch.errors import InterruptedRunError, NotFoundError, StorageError
from bandersnatch.names import NormalizedName
from bandersnatch.plan.file_plan import FilePlan, FileTask, FileWork
from bandersnatch.plan.run_plan import RunPlan
from bandersnatch.project.job import Job, Result
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.package import (
    SHARED_FILES,
    FileShare,
    Planned,
    SharedFiles,
    failure,
    work_on_files,
    work_on_project,
)
from bandersnatch.project.prepared import Prepared
from bandersnatch.project.report import Failure, Settled
from bandersnatch.state.inventory import HeldProject, Inventory
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.storage.layout import INVENTORY, StoredPath, file_path
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.workers.dispatch import MAX_SHARED_FILES, Dispatcher, LethalProjectError
from bandersnatch.workers.link import MAX_JOBS
from bandersnatch.workers.pool import NoWorkerLeftError, WorkerLostError
from bandersnatch.workers.scheduler import Schedule
from tests.support.builders import make_file, named
from tests.support.fakepypi import FakePyPI, Stall
from tests.support.rig import Rig
from tests.support.working import make_job, pool_of, working_context

CORES = os.sched_getaffinity(0) if sys.platform == "linux" else {0}
several_cores = pytest.mark.skipif(len(CORES) < 2, reason="worker processes need Linux and two cores")


@pytest.fixture
def context(rig: Rig) -> Iterator[JobContext]:
    with working_context(rig) as context:
        yield context


@pytest.fixture
def inventory(rig: Rig) -> Iterator[Inventory]:
    rig.write_config()
    with closing(Inventory(rig.directory / INVENTORY)) as inventory:
        inventory.open()
        yield inventory


class Held(Executor):
    """Keeps jobs until the test says what came of them."""

    def __init__(self) -> None:
        self.given: list[tuple[Any, Future[Any]]] = []
        self.refuses = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.refuses:
            raise RuntimeError("the pool was shut down")
        future: Future[Any] = Future()
        self.given.append((args[0], future))
        return future

    def projects(self) -> list[str]:
        return [job.project for job, _ in self.given]

    def settle(self) -> None:
        """The first job is done."""
        job, future = self.given.pop(0)
        future.set_result(settled(job.project))

    def lose(self) -> None:
        """The worker that has the first job is lost."""
        self.given.pop(0)[1].set_exception(WorkerLostError())


def settled(project: str) -> Result:
    return Result(Settled(named(project), 1, changed=False))


def failed(project: NormalizedName, error: Exception) -> Result:
    return Result(failure(project, error))


def schedule_of(*projects: str, expectation: Expectation = Expectation.CONTENT) -> Schedule:
    todo = TodoList(9, {named(project): TodoEntry(project, 1, expectation) for project in projects})
    return Schedule(RunPlan(todo, recheck=False, is_new=True), todo, stale_delays=())


def dispatcher_of(
    executor: Executor, inventory: Inventory, is_stopped: Callable[[], bool] = lambda: False
) -> Dispatcher[Result]:
    return Dispatcher(executor, work_on_project, failed, inventory, is_stopped)


def in_turn(act: Callable[[], object]) -> Callable[[], bool]:
    """Return what a dispatcher asks each time that it looks for results, whether the run is stopped: it acts, and is not."""

    def is_stopped() -> bool:
        act()
        return False

    return is_stopped


# One result for each project


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=several_cores)])
@pytest.mark.parametrize("number", [1, 5, 100])
def test_each_job_has_one_result(
    pypi: FakePyPI, context: JobContext, inventory: Inventory, workers: int, number: int
) -> None:
    names = [f"project-{each}" for each in range(number)]
    for name in names:
        pypi.add_file(name, "1.0", kind="sdist")
    with pool_of(context, pypi, workers) as pool:
        work = dispatcher_of(pool, inventory).work(schedule_of(*names), pool.window)
        results = [result for results in work for result in results]
    assert sorted(result.outcome.project for result in results) == sorted(names)
    assert all(isinstance(result.outcome, Settled) and result.outcome.changed for result in results)


def test_so_many_projects_are_given_at_a_time_as_the_window_is_wide(inventory: Inventory) -> None:
    executor, most = Held(), 0
    names = [f"project-{each}" for each in range(10)]

    def settle_one() -> None:
        nonlocal most
        most = max(most, len(executor.given))
        if executor.given:
            executor.settle()

    work = dispatcher_of(executor, inventory, in_turn(settle_one)).work(schedule_of(*names), 3)
    assert sorted(result.outcome.project for results in work for result in results) == names
    assert most == 3


class Counting(Inventory):
    """Counts how many projects are asked about at a time."""

    asked: list[int]

    def held_of(self, projects: Collection[NormalizedName]) -> dict[NormalizedName, HeldProject]:
        self.asked.append(len(projects))
        return super().held_of(projects)


def test_the_inventory_is_asked_once_for_several_projects_that_are_given_together(rig: Rig) -> None:
    executor, names = Held(), [f"project-{each:02}" for each in range(24)]

    def settle_one() -> None:
        if executor.given:
            executor.settle()

    rig.write_config()
    with closing(Counting(rig.directory / INVENTORY)) as inventory:
        inventory.open()
        inventory.asked = []
        dispatcher = dispatcher_of(executor, inventory, in_turn(settle_one))
        results = [result for results in dispatcher.work(schedule_of(*names), 8) for result in results]
    assert sorted(result.outcome.project for result in results) == names
    assert inventory.asked == [8, *[2] * 8]


@pytest.mark.parametrize("error", [StorageError("x", "write", "why"), ValueError("a bug of ours")])
def test_an_error_of_a_worker_is_the_outcome_of_its_job(inventory: Inventory, error: Exception) -> None:
    executor = Held()

    def fail() -> None:
        while executor.given:
            executor.given.pop()[1].set_exception(error)

    ((result,),) = dispatcher_of(executor, inventory, in_turn(fail)).work(schedule_of("foo"), 5)
    assert isinstance(result.outcome, Failure)
    assert str(error) in str(result.outcome.error)


def test_a_pool_that_takes_no_job_is_told(inventory: Inventory) -> None:
    executor = Held()
    executor.refuses = True
    ((result,),) = dispatcher_of(executor, inventory).work(schedule_of("foo"), 5)
    assert isinstance(result.outcome, Failure)
    assert "the pool was shut down" in str(result.outcome.error)


def test_a_run_that_is_asked_to_stop_gives_no_more_jobs(inventory: Inventory) -> None:
    executor = Held()
    with pytest.raises(InterruptedRunError):
        list(dispatcher_of(executor, inventory, lambda: True).work(schedule_of("foo"), 5))
    assert executor.given == []


def test_what_ended_when_the_run_was_asked_to_stop_can_be_had(inventory: Inventory) -> None:
    executor, names = Held(), ["foo-1", "foo-2", "foo-3"]

    def is_stopped() -> bool:
        if len(executor.given) < len(names):
            return False
        executor.settle()
        executor.given.pop()[1].cancel()
        return True

    dispatcher = dispatcher_of(executor, inventory, is_stopped)
    with pytest.raises(InterruptedRunError):
        list(dispatcher.work(schedule_of(*names), 5))
    outcomes = {result.outcome.project: type(result.outcome) for result in dispatcher.ended()}
    assert outcomes == {"foo-1": Settled, "foo-3": Failure}


def test_what_ended_before_the_last_worker_did_is_taken_first(inventory: Inventory) -> None:
    executor = Held()

    def lose_all() -> None:
        if len(executor.given) == 3:
            executor.settle()
            executor.given[0][1].set_exception(NoWorkerLeftError())
            executor.given[1][1].set_result(settled("foo-3"))

    dispatcher = dispatcher_of(executor, inventory, in_turn(lose_all))
    work = dispatcher.work(schedule_of("foo-1", "foo-2", "foo-3"), 5)
    assert [result.outcome.project for result in next(work)] == ["foo-1"]
    with pytest.raises(NoWorkerLeftError):
        next(work)
    assert [result.outcome.project for result in dispatcher.ended()] == ["foo-3"]


def test_what_ended_after_the_last_worker_did_can_be_had(inventory: Inventory) -> None:
    executor = Held()

    def is_stopped() -> bool:
        if len(executor.given) < 3:
            return False
        executor.settle()
        executor.given[0][1].set_exception(NoWorkerLeftError())
        executor.given[1][1].set_result(settled("foo-3"))
        return True

    dispatcher = dispatcher_of(executor, inventory, is_stopped)
    with pytest.raises(InterruptedRunError):
        list(dispatcher.work(schedule_of("foo-1", "foo-2", "foo-3"), 5))
    assert [result.outcome.project for result in dispatcher.ended()] == ["foo-1", "foo-3"]


# Withdrawn


def test_jobs_that_wait_can_be_withdrawn_but_for_some(inventory: Inventory) -> None:
    executor = Held()
    expectations = [Expectation.CONTENT, Expectation.REMOVED, Expectation.LISTED, Expectation.CONTENT]
    entries = {named(f"foo-{number}"): TodoEntry("foo", number, each) for number, each in enumerate(expectations, 1)}
    schedule = Schedule(RunPlan(TodoList(9, entries), recheck=False, is_new=True), entries, stale_delays=())
    withdrawn: list[int] = []

    def withdraw() -> None:
        if len(executor.given) == 4 and not withdrawn:
            executor.given[3][1].set_running_or_notify_cancel()  # a worker has it
            withdrawn.append(dispatcher.withdraw({Expectation.REMOVED}))
            executor.given[1][1].set_result(settled("foo-2"))
            executor.given[3][1].set_result(settled("foo-4"))

    dispatcher = dispatcher_of(executor, inventory, in_turn(withdraw))
    results = [result for results in dispatcher.work(schedule, 9) for result in results]
    assert withdrawn == [2]
    outcomes = {str(result.outcome.project): result.outcome for result in results}
    assert isinstance(outcomes["foo-2"], Settled)
    assert isinstance(outcomes["foo-4"], Settled)
    errors = [each.error for each in outcomes.values() if isinstance(each, Failure)]
    assert [type(error) for error in errors] == [InterruptedRunError] * 2


# Lost


def test_only_a_project_that_ends_a_worker_when_it_is_alone_has_failed(inventory: Inventory) -> None:
    executor, names = Held(), [f"project-{each}" for each in range(6)]
    alone: list[list[str]] = []

    def lose() -> None:
        if executor.projects() == names[:4]:
            while executor.given:  # the worker of all four is lost
                executor.lose()
        elif executor.given:
            alone.append(executor.projects())
            executor.lose() if alone[-1] == names[:1] else executor.settle()

    work = dispatcher_of(executor, inventory, in_turn(lose)).work(schedule_of(*names), 4)
    outcomes = {result.outcome.project: result.outcome for results in work for result in results}
    assert alone[:4] == [[name] for name in names[:4]]
    assert sorted(outcomes) == names
    (bad,) = [each for each in outcomes.values() if isinstance(each, Failure)]
    assert isinstance(bad.error, LethalProjectError)
    assert (bad.project, bad.error.is_sure) == (names[0], True)


def test_projects_that_wait_to_be_tried_alone_can_be_withdrawn(inventory: Inventory) -> None:
    executor, names = Held(), ["bar", "foo"]
    withdrawn: list[int] = []

    def lose() -> None:
        if executor.projects() == names:
            executor.lose()
            executor.lose()
        elif executor.given:
            withdrawn.append(dispatcher.withdraw({Expectation.REMOVED}))
            executor.settle() if executor.given[0][1].set_running_or_notify_cancel() else executor.given.pop()

    dispatcher = dispatcher_of(executor, inventory, in_turn(lose))
    results = [result for results in dispatcher.work(schedule_of(*names), 2) for result in results]
    assert withdrawn == [2]
    assert [type(each.outcome.error) for each in results if isinstance(each.outcome, Failure)] == [
        InterruptedRunError
    ] * 2


def test_a_project_that_is_begun_anew_knows_what_the_lost_worker_has_left(inventory: Inventory) -> None:
    executor, seen = Held(), []
    path = StoredPath("web/packages/aa/foo-1.0.tar.gz")

    def lose() -> None:
        for job, _ in executor.given:
            seen.append((job.unsettled, dict(job.partials)))
        if len(seen) == 1 and executor.given:
            inventory.note_unsettled([(named("foo"), path)])
            inventory.note_partial(path, '"etag"')
            executor.lose()
        elif executor.given:
            executor.settle()

    list(dispatcher_of(executor, inventory, in_turn(lose)).work(schedule_of("foo"), 5))
    assert seen == [(frozenset(), {}), (frozenset({path}), {path: '"etag"'})]


# Shared out


def planned(project: str, tasks: int) -> Planned:
    """What comes of a project with so many files, which all are the same."""
    file = make_file()
    task = FileTask(file, file_path(file), FileWork.FETCH, wants_metadata=False)
    plan = FilePlan((task,) * tasks, frozenset())
    prepared = Prepared(None, plan, None, project, 1, None, None, Expectation.CONTENT)  # type: ignore[arg-type]  # no page is needed
    return Planned(named(project), prepared, frozenset(), ())


def settle_shares(executor: Held, *ends: SharedFiles | Exception) -> None:
    """Of a shared project, each share ends in one of these ways."""
    for (_, future), end in zip(list(executor.given), ends, strict=False):
        future.set_exception(end) if isinstance(end, Exception) else future.set_result(end)
    executor.given.clear()


MISSING = SharedFiles({}, {}, (), NotFoundError("http://x/y"))


@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize("end", [SharedFiles({}, {}, (), StorageError("x", "write", "why")), WorkerLostError()])
def test_a_full_disk_or_a_lost_worker_counts_although_another_share_failed(
    inventory: Inventory, end: SharedFiles | Exception, is_first: bool
) -> None:
    executor, alone = Held(), 0

    def settle() -> None:
        nonlocal alone
        match executor.given:
            case [(Job(project=project), future)]:
                future.set_result(settled(project) if alone else planned(project, 3 * SHARED_FILES // 2))
                executor.given.clear()
                alone += 1
            case [_, *_]:
                settle_shares(executor, *((end, MISSING) if is_first else (MISSING, end)), MISSING)
            case _:
                pass

    ((result,),) = dispatcher_of(executor, inventory, in_turn(settle)).work(schedule_of("foo"), 5)
    if isinstance(end, WorkerLostError):
        assert isinstance(result.outcome, Settled)
        assert alone == 2
    else:
        assert isinstance(result.outcome, Failure)
        assert isinstance(result.outcome.error, StorageError)


@pytest.mark.parametrize(("tasks", "waits"), [(MAX_SHARED_FILES, False), (MAX_SHARED_FILES + 1, True)])
def test_no_project_is_begun_while_many_files_of_others_are_held(inventory: Inventory, tasks: int, waits: bool) -> None:
    executor, begun = Held(), []

    def settle() -> None:
        for what, future in executor.given:
            match what:
                case Job(project="foo-1"):
                    future.set_result(planned("foo-1", tasks))
                case Job(project=project):
                    begun.append(str(project))
                    future.set_result(settled(project))
                case FileShare() if len(begun) >= 2 - waits:
                    begun.append("share")
                    future.set_result(SharedFiles({}, {}, ()))
                case Prepared():
                    future.set_result(settled("foo-1"))
                case _:
                    pass
        executor.given = [(what, future) for what, future in executor.given if not future.done()]

    work = dispatcher_of(executor, inventory, in_turn(settle)).work(schedule_of("foo-1", "foo-2", "foo-3"), 2)
    assert sorted(result.outcome.project for results in work for result in results) == ["foo-1", "foo-2", "foo-3"]
    assert begun[0] == "foo-2"
    assert (begun[-1] == "foo-3") == waits


def test_plans_of_many_large_projects_are_not_all_held(inventory: Inventory) -> None:
    executor, names, files = Held(), [f"foo-{number}" for number in range(12)], MAX_SHARED_FILES // 3
    held: Counter[str] = Counter()
    most, plans = 0, Counter[str]()

    def settle() -> None:
        nonlocal most
        given, executor.given = executor.given, []
        for what, future in given:
            if isinstance(what, Job):
                plans[what.project] += 1
                future.set_result(replace(planned(what.project, files), reservations=(f"{what.project}-plan",)))
            elif isinstance(what, FileShare):
                held[what.project] = files
                future.set_result(SharedFiles({}, {}, ()))
            else:
                most = max(most, held.total())
                del held[what.display_name]
                future.set_result(settled(what.display_name))

    work = dispatcher_of(executor, inventory, in_turn(settle)).work(schedule_of(*names), 12)
    results = [result for results in work for result in results]
    assert sorted(result.outcome.project for result in results) == sorted(names)
    assert most <= MAX_SHARED_FILES
    assert max(plans.values()) == 2
    assert {len(result.reservations) for result in results} == {1, 2}


def test_projects_that_wait_to_be_planned_again_can_be_withdrawn(inventory: Inventory) -> None:
    executor, withdrawn = Held(), list[int]()

    def settle() -> None:
        given, executor.given = executor.given, []
        if not withdrawn and any(isinstance(what, FileShare) for what, _ in given):
            withdrawn.append(dispatcher.withdraw(set()))
        for what, future in given:
            if isinstance(what, Job):
                future.set_result(planned(what.project, MAX_SHARED_FILES))
            else:
                shared = isinstance(what, FileShare)
                future.set_result(SharedFiles({}, {}, ()) if shared else settled(what.display_name))

    dispatcher = dispatcher_of(executor, inventory, in_turn(settle))
    results = [result for results in dispatcher.work(schedule_of("foo-1", "foo-2"), 2) for result in results]
    assert withdrawn == [1]
    assert {str(result.outcome.project): type(result.outcome) for result in results} == {
        "foo-1": Settled,
        "foo-2": Failure,
    }


def test_shares_go_before_projects_that_wait(pypi: FakePyPI, context: JobContext) -> None:
    file = pypi.add_file("many", "0.0", kind="sdist")
    pages, task = [f"foo-{number}" for number in range(2 * MAX_JOBS)], planned("many", 1).prepared.plan.tasks[0]
    stall = Stall(Event())
    for name in pages:
        pypi.add_file(name, "1.0")
        pypi.fault(f"/simple/{name}/", stall)
    share = FileShare(named("many"), (replace(task, file=replace(task.file, url=pypi.url + file.url_path)),), {})
    with pool_of(context, pypi, 1) as pool:
        for name in pages:
            pool.submit(work_on_project, make_job(pypi, name))
        assert stall.started.wait(30)
        pool.submit(work_on_files, share)
        assert stall.event is not None
        stall.event.set()
    paths = [request.path for request in pypi.requests]
    assert paths.index(file.url_path) < paths.index(f"/simple/{pages[-1]}/")
