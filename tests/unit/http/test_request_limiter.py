"""Turns: so many requests may be under way at a time, and no more."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from bandersnatch.http.request_limiter import RequestLimiter, Turn


def free_turns(limiter: RequestLimiter) -> int:
    number = 0
    while limiter.take_free():
        number += 1
    for _ in range(number):
        limiter.give_back()
    return number


def test_there_are_as_many_turns_as_were_asked_for() -> None:
    assert free_turns(RequestLimiter(3)) == 3


def test_a_turn_that_is_taken_is_not_free_until_it_is_given_back() -> None:
    limiter = RequestLimiter(1)
    limiter.take()
    assert not limiter.take_free()
    limiter.give_back()
    assert limiter.take_free()


def test_whoever_finds_no_turn_gets_the_next_that_is_given_back() -> None:
    limiter = RequestLimiter(1)
    limiter.take()
    with ThreadPoolExecutor(1) as executor:
        waiting = executor.submit(limiter.take)
        assert not waiting.done()
        limiter.give_back()
        waiting.result(timeout=30)
    assert free_turns(limiter) == 0


@pytest.mark.parametrize(("most", "free", "number"), [(2, 3, 2), (3, 3, 3), (9, 3, 3), (9, 1, 1), (1, 3, 1)])
def test_several_are_as_many_as_are_wanted_and_free(most: int, free: int, number: int) -> None:
    limiter = RequestLimiter(free)
    with limiter.several(most) as taken:
        assert taken.number == number
        assert free_turns(limiter) == free - number
    assert free_turns(limiter) == free


def test_several_may_become_more_when_others_need_theirs_no_longer() -> None:
    limiter = RequestLimiter(5)
    for _ in range(4):
        limiter.take()
    with limiter.several(3) as taken:
        assert taken.take_more() == 1
        for _ in range(4):
            limiter.give_back()
        assert taken.take_more() == 3
        assert free_turns(limiter) == 2
    assert free_turns(limiter) == 5


def test_several_are_given_back_after_an_error() -> None:
    limiter = RequestLimiter(3)
    with pytest.raises(KeyError), limiter.several(2):
        raise KeyError
    assert free_turns(limiter) == 3


def test_several_waits_for_one_and_for_no_other() -> None:
    limiter = RequestLimiter(2)
    limiter.take()
    limiter.take()
    with ThreadPoolExecutor(1) as executor:

        def take_several() -> int:
            with limiter.several(2) as taken:
                return taken.number

        waiting = executor.submit(take_several)
        limiter.give_back()
        assert waiting.result(timeout=30) == 1
    assert free_turns(limiter) == 1


def test_one_turn_is_given_back_once() -> None:
    limiter = RequestLimiter(2)
    turn = Turn(limiter)
    assert free_turns(limiter) == 1
    turn.end()
    turn.end()
    assert free_turns(limiter) == 2
