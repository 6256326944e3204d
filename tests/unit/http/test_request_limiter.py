"""Turns: so many requests may be under way at a time, and no more."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from bandersnatch.http.request_limiter import Turn, Turns


def free_turns(turns: Turns) -> int:
    number = 0
    while turns.take_free():
        number += 1
    for _ in range(number):
        turns.give_back()
    return number


def test_there_are_as_many_turns_as_were_asked_for() -> None:
    assert free_turns(Turns(3)) == 3


def test_a_turn_that_is_taken_is_not_free_until_it_is_given_back() -> None:
    turns = Turns(1)
    turns.take()
    assert not turns.take_free()
    turns.give_back()
    assert turns.take_free()


def test_whoever_finds_no_turn_gets_the_next_that_is_given_back() -> None:
    turns = Turns(1)
    turns.take()
    with ThreadPoolExecutor(1) as executor:
        waiting = executor.submit(turns.take)
        assert not waiting.done()
        turns.give_back()
        waiting.result(timeout=30)
    assert free_turns(turns) == 0


@pytest.mark.parametrize(("most", "free", "number"), [(2, 3, 2), (3, 3, 3), (9, 3, 3), (9, 1, 1), (1, 3, 1)])
def test_several_are_as_many_as_are_wanted_and_free(most: int, free: int, number: int) -> None:
    turns = Turns(free)
    with turns.several(most) as taken:
        assert taken.number == number
        assert free_turns(turns) == free - number
    assert free_turns(turns) == free


def test_several_may_become_more_when_others_need_theirs_no_longer() -> None:
    turns = Turns(5)
    for _ in range(4):
        turns.take()
    with turns.several(3) as taken:
        assert taken.take_more() == 1
        for _ in range(4):
            turns.give_back()
        assert taken.take_more() == 3
        assert free_turns(turns) == 2
    assert free_turns(turns) == 5


def test_several_are_given_back_after_an_error() -> None:
    turns = Turns(3)
    with pytest.raises(KeyError), turns.several(2):
        raise KeyError
    assert free_turns(turns) == 3


def test_several_waits_for_one_and_for_no_other() -> None:
    turns = Turns(2)
    turns.take()
    turns.take()
    with ThreadPoolExecutor(1) as executor:

        def take_several() -> int:
            with turns.several(2) as taken:
                return taken.number

        waiting = executor.submit(take_several)
        turns.give_back()
        assert waiting.result(timeout=30) == 1
    assert free_turns(turns) == 1


def test_one_turn_is_given_back_once() -> None:
    turns = Turns(2)
    turn = Turn(turns)
    assert free_turns(turns) == 1
    turn.end()
    turn.end()
    assert free_turns(turns) == 2
