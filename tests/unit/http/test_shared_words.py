"""Numbers that forked processes share."""

import sys
from functools import partial

import pytest

from bandersnatch.http.shared_words import SharedWords
from tests.support.forking import in_process


def test_all_numbers_are_0_at_first_and_one_process_has_one_place() -> None:
    words = SharedWords(3)
    assert list(words.places()) == [0]
    assert [words[index] for index in range(3)] == [0, 0, 0]


@pytest.mark.skipif(sys.platform != "linux", reason="worker processes need Linux")
def test_each_process_writes_to_its_place_and_reads_all() -> None:
    words = SharedWords(2)
    words.share(2)

    def write(place: int) -> None:
        words.take_place(place)
        words[words.own_place + 1] += place * 10

    for place in (1, 2, 1):  # the third replaces the first, and goes on with its number
        in_process(partial(write, place))
    assert list(words.places()) == [0, 2, 4]
    assert [words[index] for index in range(6)] == [0, 0, 0, 20, 0, 20]
    assert (words.sum(0), words.sum(1)) == (0, 40)


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1])
def test_a_number_has_64_bits(value: int) -> None:
    words = SharedWords(1)
    words[0] = value
    assert words[0] == value
