"""Driver: steps are made over one engine, many at a time, and each gets what it waits for."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from inspect import getgeneratorstate
from typing import Any

import pytest

from bandersnatch.errors import NotFoundError
from bandersnatch.http.driver import Driver
from bandersnatch.http.request import InThread, Request, Steps, Together
from bandersnatch.http.transfer import Transfer
from tests.support.fakepypi import Call, FakePyPI, Stall
from tests.support.transferring import Pieces
from tests.support.working import transfer_to

LONG = 600.0


@pytest.fixture
def transfer(pypi: FakePyPI) -> Iterator[Transfer]:
    with closing(transfer_to(pypi)) as transfer:
        yield transfer


@pytest.fixture
def driver(transfer: Transfer) -> Iterator[Driver]:
    with closing(Driver(transfer, 2)) as driver:
        yield driver


def add_files(pypi: FakePyPI, number: int) -> list[str]:
    """Upload files; return their URLs."""
    files = [pypi.add_file(f"project-{each}", "1.0", kind="sdist") for each in range(number)]
    return [f"{pypi.url}{file.url_path}" for file in files]


def size_of(url: str) -> Steps[int]:
    content: bytes = yield Request(url, Pieces())
    return len(content)


def size_or_none(url: str) -> Steps[int | None]:
    try:
        return (yield from size_of(url))
    except NotFoundError:
        return None


def without_waiting(value: int) -> Steps[int]:
    return value
    yield  # type: ignore[unreachable]  # so it is a generator


def failing(error: Exception) -> Steps[int]:
    raise error
    yield  # type: ignore[unreachable]  # so it is a generator


class Ends:
    """Takes note of the ends of steps."""

    def __init__(self) -> None:
        self.ended: list[tuple[Any, Exception | None]] = []

    def __call__(self, result: Any, error: Exception | None) -> None:
        self.ended.append((result, error))


# Results and errors


def test_the_result_of_steps_is_returned(pypi: FakePyPI, driver: Driver) -> None:
    (url,) = add_files(pypi, 1)
    assert driver.finish(size_of(url)) == pypi.files("project-0")[0].size


def test_steps_that_wait_for_nothing_have_a_result_too(driver: Driver) -> None:
    assert driver.finish(without_waiting(7)) == 7


def test_the_error_of_a_request_is_thrown_into_the_steps(pypi: FakePyPI, driver: Driver) -> None:
    url = f"{pypi.url}/packages/nothing"
    assert driver.finish(size_or_none(url)) is None
    with pytest.raises(NotFoundError):
        driver.finish(size_of(url))


def test_an_error_of_steps_is_raised_and_harms_no_others(pypi: FakePyPI, driver: Driver) -> None:
    (url,) = add_files(pypi, 1)
    ends = Ends()
    driver.start(size_of(url), ends)
    with pytest.raises(ValueError, match="a bug of ours"):
        driver.finish(failing(ValueError("a bug of ours")))
    while not ends.ended:
        driver.advance(LONG)
    assert ends.ended == [(pypi.files("project-0")[0].size, None)]


def test_steps_go_on_after_an_error_that_they_expect(pypi: FakePyPI, driver: Driver) -> None:
    (url,) = add_files(pypi, 1)

    def first_that_is_there() -> Steps[int]:
        size = yield from size_or_none(f"{pypi.url}/packages/nothing")
        return size if size is not None else (yield from size_of(url))

    assert driver.finish(first_that_is_there()) == pypi.files("project-0")[0].size


# Many at a time


def test_many_steps_are_made_at_a_time(pypi: FakePyPI, driver: Driver) -> None:
    """Each of the first ten is answered only when all ten were asked for."""
    urls, barrier, ends = add_files(pypi, 100), threading.Barrier(10), Ends()
    for url in urls[:10]:
        pypi.fault(url.removeprefix(pypi.url), Call(lambda: barrier.wait(30)))
    for url in urls:
        driver.start(size_of(url), ends)
    while len(ends.ended) < 100:
        driver.advance(LONG)
    assert not barrier.broken
    assert {error for _, error in ends.ended} == {None}


def test_nothing_is_told_before_advance(driver: Driver) -> None:
    ends = Ends()
    driver.start(without_waiting(7), ends)
    assert ends.ended == []
    driver.advance(LONG)
    assert ends.ended == [(7, None)]


def test_steps_begin_others_from_their_end(pypi: FakePyPI, driver: Driver) -> None:
    urls, ends = add_files(pypi, 3), Ends()

    def begin_next(result: Any, error: Exception | None) -> None:
        ends(result, error)
        if urls:
            driver.start(size_of(urls.pop()), begin_next)

    driver.start(size_of(urls.pop()), begin_next)
    while len(ends.ended) < 3:
        driver.advance(LONG)
    assert len(pypi.file_requests()) == 3


# Together


def test_what_is_made_together_has_a_list_of_results_and_errors(pypi: FakePyPI, driver: Driver) -> None:
    first, second = add_files(pypi, 2)
    bug = ValueError("a bug of ours")

    def together() -> Steps[Any]:
        nothing = f"{pypi.url}/packages/nothing"
        return (yield Together((size_of(first), size_of(nothing), size_of(second), failing(bug), without_waiting(7))))

    sizes = [pypi.files(f"project-{number}")[0].size for number in (0, 1)]
    found = driver.finish(together())
    assert [found[0], found[2], found[4]] == [*sizes, 7]
    assert isinstance(found[1], NotFoundError)
    assert found[3] is bug


def test_nothing_together_is_an_empty_list(driver: Driver) -> None:
    def together() -> Steps[Any]:
        return (yield Together(()))

    assert driver.finish(together()) == []


def test_steps_together_may_have_steps_together(pypi: FakePyPI, driver: Driver) -> None:
    urls = add_files(pypi, 4)

    def inner(some: list[str]) -> Steps[int]:
        sizes: list[int] = yield Together(tuple(map(size_of, some)))
        return sum(sizes)

    def outer() -> Steps[Any]:
        return (yield Together((inner(urls[:2]), inner(urls[2:]))))

    sizes = [pypi.files(f"project-{number}")[0].size for number in range(4)]
    assert driver.finish(outer()) == [sum(sizes[:2]), sum(sizes[2:])]


# InThread


def aside(call: Any) -> Steps[Any]:
    return (yield InThread(call))


def test_a_call_aside_runs_in_another_thread_and_its_result_comes_back(driver: Driver) -> None:
    assert driver.finish(aside(threading.get_ident)) != threading.get_ident()


def test_the_error_of_a_call_aside_is_thrown_in(driver: Driver) -> None:
    def fail() -> None:
        raise ValueError("a bug of ours")

    with pytest.raises(ValueError, match="a bug of ours"):
        driver.finish(aside(fail))


def test_requests_go_on_beside_a_call(pypi: FakePyPI, driver: Driver) -> None:
    (url,) = add_files(pypi, 1)
    is_fetched, ends = threading.Event(), Ends()
    driver.start(aside(lambda: is_fetched.wait(30)), ends)
    driver.finish(size_of(url))
    assert ends.ended == []
    is_fetched.set()
    while not ends.ended:
        driver.advance(LONG)
    assert ends.ended == [(True, None)]


def test_so_many_calls_are_made_at_a_time_as_there_are_threads(driver: Driver) -> None:
    barrier, threads, ends = threading.Barrier(2), set(), Ends()

    def meet() -> None:
        barrier.wait(30)
        threads.add(threading.get_ident())

    for _ in range(6):
        driver.start(aside(meet), ends)
    while len(ends.ended) < 6:
        driver.advance(LONG)
    assert {error for _, error in ends.ended} == {None}
    assert len(threads) == 2


# Woken and closed


def test_another_thread_ends_the_wait(driver: Driver) -> None:
    thread = threading.Timer(0, driver.wake)
    thread.start()
    driver.advance(LONG)
    thread.join()


def test_many_wishes_to_wake_up_do_not_block(driver: Driver) -> None:
    for _ in range(100_000):
        driver.wake()
    driver.advance(LONG)


def test_a_wish_to_wake_up_after_the_end_is_no_error(transfer: Transfer) -> None:
    """A second signal may come to a process that is ending because of the first."""
    driver = Driver(transfer, 1)
    driver.close()
    driver.wake()


def test_what_is_under_way_is_given_up_when_all_is_closed(pypi: FakePyPI) -> None:
    (first,) = add_files(pypi, 1)
    stall, begun, may_end = Stall(), threading.Event(), threading.Event()
    pypi.fault(first.removeprefix(pypi.url), stall, times=None)
    pieces, ends = Pieces(), Ends()

    def stalled() -> Steps[Any]:
        return (yield Request(first, pieces))

    def call() -> None:
        begun.set()
        assert may_end.wait(30)

    with closing(transfer_to(pypi)) as transfer:
        with closing(Driver(transfer, 1)) as driver:
            for steps in (stalled(), aside(call), aside(lambda: None)):
                driver.start(steps, ends)
            driver.advance(0)
            assert begun.wait(30)
            while not stall.started.is_set():
                driver.advance(0.01)
            while not pieces.heads:
                driver.advance(0.01)
            may_end.set()
        assert ends.ended == []
    assert [type(error).__name__ for error in pieces.errors] == ["InterruptedRunError"]


def test_steps_that_are_given_up_are_closed_the_inner_ones_first(pypi: FakePyPI, transfer: Transfer) -> None:
    (url,) = add_files(pypi, 1)
    pypi.fault(url.removeprefix(pypi.url), Stall(), times=None)
    closed: list[str] = []

    def noting(name: str, wanted: Any) -> Steps[None]:
        with ExitStack() as opened:
            opened.callback(closed.append, name)
            yield wanted

    driver, ends = Driver(transfer, 1), Ends()
    together = Together((noting("first", Request(url, Pieces())), noting("second", Request(url, Pieces()))))
    driver.start(noting("outer", together), ends)
    driver.start(without_waiting(7), ends)
    driver.advance(0)
    never_begun = noting("never begun", together)
    driver.start(never_begun, ends)
    driver.close()
    driver.close()
    assert closed == ["second", "first", "outer"]
    assert getgeneratorstate(never_begun) == "GEN_CLOSED"
    assert ends.ended == [(7, None)]


def test_steps_that_fail_when_they_are_given_up_do_not_keep_others_from_it(pypi: FakePyPI, transfer: Transfer) -> None:
    (url,) = add_files(pypi, 1)
    pypi.fault(url.removeprefix(pypi.url), Stall(), times=None)
    closed: list[int] = []

    def failing_at_the_end(number: int) -> Steps[None]:
        try:
            yield Request(url, Pieces())
        finally:
            closed.append(number)
            raise ValueError(number)

    driver = Driver(transfer, 1)
    for number in range(3):
        driver.start(failing_at_the_end(number), Ends())
    driver.advance(0)
    with pytest.raises(ValueError, match="0"):
        driver.close()
    assert closed == [2, 1, 0]
