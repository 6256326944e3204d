"""How far upstream's journal goes: no serial beyond its end is believed."""

import pytest

from bandersnatch.errors import InterruptedRunError, UpstreamError
from bandersnatch.upstream.journal_end import LEEWAY, JournalEnd


class Journal:
    """What is asked: answers one after the other, and counts."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self) -> int:
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_where_nothing_is_known_every_serial_is_believed() -> None:
    journal = Journal()
    assert JournalEnd(journal).reaches(10**15)
    assert journal.asked == 0


def test_the_journal_is_asked_only_about_what_lies_beyond_it() -> None:
    journal = Journal(110)
    end = JournalEnd(journal)
    end.learn(100)
    assert end.reaches(100)
    assert journal.asked == 0
    assert end.reaches(105)
    assert end.reaches(110)
    assert journal.asked == 1


def test_a_serial_that_no_journal_has_reached_is_not_believed() -> None:
    end = JournalEnd(Journal(110, 110))
    end.learn(100)
    assert not end.reaches(111)


def test_what_was_learnt_is_never_unlearnt() -> None:
    end = JournalEnd(Journal(90))
    end.learn(100)
    end.learn(50)
    assert end.reaches(100)
    assert not end.reaches(101)


@pytest.mark.parametrize("is_told_by_index", [True, False])
def test_where_only_the_index_tells_some_leeway_is_given(is_told_by_index: bool) -> None:
    journal = Journal(UpstreamError("away"))
    end = JournalEnd(journal)
    if is_told_by_index:
        end.learn_from_index(100)
    else:
        end.learn(100)
        assert end.reaches(101)
    assert end.reaches(100 + LEEWAY)
    assert not end.reaches(101 + LEEWAY)
    assert journal.asked == (0 if is_told_by_index else 1)
    assert [end.borne_out(serial) for serial in (99, 100, 101)] == [99, 100, 100]


def test_a_page_counts_as_current_up_to_its_own_serial_where_the_journal_is_known() -> None:
    assert JournalEnd(Journal()).borne_out(7) == 7


def test_a_run_that_is_to_stop_ends_here_too() -> None:
    end = JournalEnd(Journal(InterruptedRunError()))
    end.learn(1)
    with pytest.raises(InterruptedRunError):
        end.reaches(2)


def test_another_process_knows_the_same_and_asks_by_itself() -> None:
    end = JournalEnd(Journal())
    end.learn(100)
    others = Journal(101)
    twin = end.twin(others)
    assert twin.reaches(100)
    assert others.asked == 0
    assert twin.reaches(101)
    assert others.asked == 1
