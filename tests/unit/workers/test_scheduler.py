"""Which project comes next, and when a stale one is asked for again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.names import NormalizedName
from bandersnatch.plan.run_plan import RunPlan
from bandersnatch.project.job import Job
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.workers.scheduler import Schedule
from tests.support.builders import SAMPLE, named, unhurried

ENTRY = TodoEntry("Sample", 5)
DELAYS = (1.0, 2.0)


def schedule(*, recheck: bool = False, stale_delays: tuple[float, ...] = DELAYS, **serials: int) -> Schedule:
    todo = todo_list(serials)
    return Schedule(plan_of(todo, recheck=recheck), todo, stale_delays=stale_delays)


def plan_of(todo: TodoList, *, recheck: bool = False) -> RunPlan:
    return RunPlan(todo, recheck=recheck, is_new=True)


def todo_list(serials: dict[str, int]) -> TodoList:
    return TodoList(99, {named(name): TodoEntry(name, serial) for name, serial in serials.items()})


def next_project(schedule: Schedule, now: float) -> NormalizedName | None:
    job = schedule.next_job(now)
    return None if job is None else job.project


def test_an_empty_schedule_gives_no_order() -> None:
    empty = schedule()
    assert empty.is_empty()
    assert empty.next_job(0.0) is None


@pytest.mark.parametrize("recheck", [False, True])
@pytest.mark.parametrize("may_remove", [False, True])
def test_an_order_says_what_is_asked(recheck: bool, may_remove: bool) -> None:
    todo = TodoList(5, {SAMPLE: ENTRY})
    jobs = Schedule(plan_of(todo, recheck=recheck), [SAMPLE], may_remove=may_remove, stale_delays=DELAYS)
    job = Job(SAMPLE, ENTRY, recheck=recheck, is_last_attempt=False, may_remove=may_remove)
    assert jobs.next_job(0.0) == job


def test_only_the_projects_asked_for_come() -> None:
    jobs = Schedule(plan_of(todo_list({"a": 1, "b": 2, "c": 3})), [named("c"), named("a")], stale_delays=DELAYS)
    assert [next_project(jobs, 0.0) for _ in range(3)] == ["a", "c", None]


def test_projects_come_in_the_order_of_their_serials() -> None:
    jobs = schedule(c=3, a=1, b=2)
    assert [next_project(jobs, 0.0) for _ in range(4)] == ["a", "b", "c", None]
    assert jobs.is_empty()


def test_a_stale_project_waits_for_its_time() -> None:
    jobs = schedule(a=1)
    jobs.next_job(0.0)
    assert jobs.postpone(named("a"), 10.0)
    assert not jobs.is_empty()
    assert jobs.next_job(10.9) is None
    assert next_project(jobs, 11.0) == "a"
    assert jobs.is_empty()


def test_it_waits_longer_each_time_and_not_for_ever() -> None:
    jobs = schedule(a=1)
    assert next_project(jobs, 0.0) == "a"
    assert jobs.postpone(named("a"), 0.0)
    assert next_project(jobs, 1.0) == "a"
    assert jobs.postpone(named("a"), 1.0)
    assert next_project(jobs, 2.9) is None
    assert next_project(jobs, 3.0) == "a"
    assert not jobs.postpone(named("a"), 3.0)
    assert jobs.is_empty()


def test_the_last_attempt_is_known_as_such() -> None:
    jobs = schedule(a=1)
    attempts = []
    while (job := jobs.next_job(100.0)) is not None:
        attempts.append(job.is_last_attempt)
        jobs.postpone(job.project, 0.0)
    assert attempts == [False, False, True]


def test_without_delays_the_first_attempt_is_the_last() -> None:
    jobs = schedule(stale_delays=(), a=1)
    job = jobs.next_job(0.0)
    assert job is not None
    assert job.is_last_attempt
    assert not jobs.postpone(job.project, 0.0)


def test_others_come_before_a_stale_project() -> None:
    jobs = schedule(a=1, b=2)
    jobs.next_job(0.0)
    jobs.postpone(named("a"), 0.0)
    assert [next_project(jobs, 100.0), next_project(jobs, 100.0)] == ["b", "a"]


def test_of_two_stale_projects_the_one_comes_first_whose_time_has_come() -> None:
    jobs = schedule(a=1, b=2)
    jobs.next_job(0.0)
    jobs.next_job(0.0)
    jobs.postpone(named("b"), 5.0)
    jobs.postpone(named("a"), 6.0)
    assert [next_project(jobs, 6.5), next_project(jobs, 6.5), next_project(jobs, 7.0)] == ["b", None, "a"]


def test_a_schedule_that_was_cleared_gives_no_more_orders() -> None:
    jobs = schedule(a=1, b=2, c=3)
    jobs.next_job(0.0)
    jobs.postpone(named("a"), 0.0)
    jobs.clear()
    assert jobs.is_empty()
    assert jobs.next_job(100.0) is None


@unhurried
@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 9)), st.lists(st.booleans()))
def test_every_project_is_given_once_and_once_more_for_each_time_it_was_stale(
    serials: dict[str, int], staleness: list[bool]
) -> None:
    todo = todo_list(serials)
    jobs = Schedule(plan_of(todo), todo, stale_delays=DELAYS)
    now, given_orders, postponed = 0.0, 0, 0
    stale = iter(staleness)
    while not jobs.is_empty():
        job = jobs.next_job(now)
        now += 1.0
        if job is not None:
            given_orders += 1
            postponed += next(stale, False) and jobs.postpone(job.project, now)
    assert given_orders == len(serials) + postponed
    assert postponed <= len(DELAYS) * len(serials)
