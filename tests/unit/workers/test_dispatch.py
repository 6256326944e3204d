"""Orders go to helpers in batches, and to packages where helpers leave them; each has one outcome."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest
from msgspec.structs import replace

from bandersnatch.errors import InterruptedRunError, StorageError
from bandersnatch.project.job import Job
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.report import Failure, Gone, Outcome, Settled
from bandersnatch.state.todo import TodoEntry
from bandersnatch.upstream.expectations import Expectation
from bandersnatch.workers.dispatch import JOBS_TOGETHER, Dispatcher
from bandersnatch.workers.project_batch import Announced, BatchResult, HelpedJob
from tests.support.builders import named
from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig

MOST_PACKAGES = 5
Work = Callable[[Sequence[HelpedJob]], BatchResult | None]


class Stand:
    """A dispatcher with helpers that do what the test says, and the outcomes that it reports."""

    def __init__(self, context: JobContext, work: Work, number: int = 2) -> None:
        self.number, self._work = number, work
        self.outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self.batches: list[int] = []
        self.dispatcher = Dispatcher(self, replace(context, report=self.outcomes.put), MOST_PACKAGES)  # type: ignore[arg-type]

    def work_on_projects(
        self, jobs: Sequence[HelpedJob], take_note: Callable[[Sequence[Announced]], None]
    ) -> BatchResult | None:
        self.batches.append(len(jobs))
        return self._work(jobs)

    def start(self, number: int) -> set[str]:
        """Give so many orders; return their projects."""
        projects = {f"project-{each}" for each in range(number)}
        for project in projects:
            self.dispatcher.start(Job(named(project), TodoEntry(project, 1, Expectation.CONTENT)))
        return projects

    def take(self, number: int) -> list[Outcome]:
        return [self.outcomes.get(timeout=30) for _ in range(number)]


def settle_all(jobs: Sequence[HelpedJob]) -> BatchResult:
    return BatchResult([Settled(each.job.project, 1, changed=False) for each in jobs])


def settle_half(jobs: Sequence[HelpedJob]) -> BatchResult:
    return settle_all(jobs[::2])


def leave_all(_: Sequence[HelpedJob]) -> BatchResult:
    return BatchResult()


def be_dead(_: Sequence[HelpedJob]) -> None:
    return None


class BusyHelper:
    """Begins a batch, and settles it when it may go on."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def work(self, jobs: Sequence[HelpedJob]) -> BatchResult:
        self.begun.set()
        assert self.go_on.wait(30)
        return settle_all(jobs)


@pytest.mark.parametrize("work", [settle_all, settle_half, leave_all, be_dead])
@pytest.mark.parametrize("number", [1, 5, 3 * JOBS_TOGETHER])
def test_each_order_has_one_outcome(rig: Rig, pypi: FakePyPI, context: JobContext, work: Work, number: int) -> None:
    for each in range(number):
        pypi.add_file(f"project-{each}", "1.0", kind="sdist")
    stand = Stand(context, work)
    projects = stand.start(number)
    outcomes = stand.take(number)
    assert {outcome.project for outcome in outcomes} == projects
    assert all(isinstance(outcome, Settled) for outcome in outcomes)
    assert stand.outcomes.empty()
    assert max(stand.batches) <= JOBS_TOGETHER


def test_what_a_helper_does_not_settle_is_settled_by_a_package(rig: Rig, pypi: FakePyPI, context: JobContext) -> None:
    for each in range(8):
        pypi.add_file(f"project-{each}", "1.0", kind="sdist")
    stand = Stand(context, be_dead)
    stand.start(8)
    assert {(type(outcome), outcome.changed) for outcome in stand.take(8) if isinstance(outcome, Settled)} == {
        (Settled, True)
    }
    assert len(list((rig.web / "simple").iterdir())) == 8


def test_the_last_orders_are_shared_by_all_helpers(context: JobContext) -> None:
    helper = BusyHelper()
    stand = Stand(context, helper.work, number=1)
    stand.start(1)
    assert helper.begun.wait(30)
    stand.number = 4
    stand.start(8)
    helper.go_on.set()
    stand.take(9)
    assert sorted(stand.batches, reverse=True)[0] <= 2  # a fourth of eight


@pytest.mark.parametrize("error", [StorageError("x", "write", "why"), ValueError("a bug of ours")])
def test_an_error_is_the_outcome_of_all_orders_of_its_batch(context: JobContext, error: Exception) -> None:
    def work(_: Sequence[HelpedJob]) -> BatchResult:
        raise error

    stand = Stand(context, work)
    stand.start(10)
    assert [outcome.error for outcome in stand.take(10) if isinstance(outcome, Failure)] == [error] * 10


def test_what_is_not_begun_when_the_run_ends_has_an_outcome_all_the_same(context: JobContext) -> None:
    stand = Stand(replace(context, is_stopped=lambda: True), settle_all)
    stand.start(10)
    assert {type(outcome.error) for outcome in stand.take(10) if isinstance(outcome, Failure)} == {InterruptedRunError}
    assert stand.batches == []


@pytest.mark.parametrize(("is_stopped", "error"), [(True, InterruptedRunError), (False, RuntimeError)])
def test_a_pool_that_takes_no_task_is_told(context: JobContext, is_stopped: bool, error: type[Exception]) -> None:
    """It was shut down, or can't start a thread; then the projects have failed, and nobody asked for it."""
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    stand = Stand(replace(context, executor=executor, is_stopped=lambda: is_stopped), settle_all)
    stand.start(3)
    assert {type(outcome.error) for outcome in stand.take(3) if isinstance(outcome, Failure)} == {error}


def test_orders_that_wait_can_be_withdrawn_but_for_some(context: JobContext) -> None:
    helper = BusyHelper()
    stand = Stand(context, helper.work, number=1)
    stand.start(1)
    assert helper.begun.wait(30)
    for number, expectation in enumerate([Expectation.CONTENT, Expectation.REMOVED, Expectation.LISTED]):
        stand.dispatcher.start(Job(named(f"waits-{number}"), TodoEntry("x", 1, expectation)))
    assert stand.dispatcher.withdraw({Expectation.REMOVED}) == 2
    withdrawn = stand.take(2)
    assert [outcome.project for outcome in withdrawn] == ["waits-0", "waits-2"]
    assert {type(outcome.error) for outcome in withdrawn if isinstance(outcome, Failure)} == {InterruptedRunError}
    helper.go_on.set()
    assert {outcome.project for outcome in stand.take(2)} == {"project-0", "waits-1"}


def test_what_nobody_asked_for_is_no_outcome(context: JobContext) -> None:
    def work(jobs: Sequence[HelpedJob]) -> BatchResult:
        return BatchResult([*settle_all(jobs).outcomes, Settled(named("stranger"), 1, changed=False)])

    stand = Stand(context, work)
    stand.start(3)
    assert "stranger" not in {outcome.project for outcome in stand.take(3)}
    assert stand.outcomes.empty()


def test_no_more_orders_are_taken_while_too_many_packages_are_under_way(pypi: FakePyPI, context: JobContext) -> None:
    """Each package may hold a large page; here none of them gets on, until the pool may work on them."""
    held: SimpleQueue[Callable[[], object]] = SimpleQueue()

    class Held(ThreadPoolExecutor):
        """Keeps back the tasks of packages."""

        def submit(self, task, /, *arguments, **keywords):  # type: ignore[no-untyped-def]
            if task.__name__ == "_serve":
                return super().submit(task)
            held.put(lambda: task(*arguments, **keywords))
            return None

    with Held(2) as executor:
        stand = Stand(replace(context, executor=executor), be_dead, number=1)
        stand.start(3 * JOBS_TOGETHER)
        taken = 0
        while taken < 3 * JOBS_TOGETHER:
            held.get(timeout=30)()
            taken += 1
            assert held.qsize() + 1 <= MOST_PACKAGES + JOBS_TOGETHER
        assert all(isinstance(outcome, Failure | Gone) for outcome in stand.take(3 * JOBS_TOGETHER))
