"""When a listed project without a page is asked for, and when its absence is sure."""

import pytest

from bandersnatch.names import NormalizedName
from bandersnatch.plan.pageless import CONFIRM_SECONDS, MOST_KNOWN, MOST_SECONDS, Pageless
from bandersnatch.state.upstream_record import PagelessProject, UpstreamRecord

URL = "https://index.example"
GHOST = NormalizedName("ghost")
HOUR = CONFIRM_SECONDS


def pageless(now: int, since: int, asked: int, name: str = GHOST) -> Pageless:
    record = UpstreamRecord(URL, URL, pageless=(PagelessProject(name, since, asked),))
    return Pageless.of(record, now, lambda _: True)


@pytest.mark.parametrize(
    ("now", "since", "asked", "is_skipped"),
    [
        (100, 0, 0, False),
        (HOUR, 0, 60, False),
        (HOUR + 1, 0, HOUR, True),
        (2 * HOUR - 1, 0, HOUR, True),
        (2 * HOUR, 0, HOUR, False),
        (40 * MOST_SECONDS - 1, 0, 39 * MOST_SECONDS, True),
        (40 * MOST_SECONDS, 0, 39 * MOST_SECONDS, False),
    ],
)
def test_it_is_asked_for_ever_more_seldom_but_each_day(now: int, since: int, asked: int, *, is_skipped: bool) -> None:
    found = pageless(now, since, asked)
    assert found.is_skipped(GHOST) is is_skipped
    assert found.due == ([] if is_skipped else [GHOST])


@pytest.mark.parametrize(("now", "is_sure"), [(0, False), (HOUR - 1, False), (HOUR, True)])
def test_it_is_sure_after_an_hour(now: int, *, is_sure: bool) -> None:
    assert pageless(now, 0, 0).is_confirmed(GHOST) is is_sure
    assert not pageless(now, 0, 0).is_confirmed(NormalizedName("other"))


@pytest.mark.parametrize(("since", "asked"), [(9, 11), (11, 11), (9, 8)])
def test_a_time_that_is_wrong_counts_as_none(since: int, asked: int) -> None:
    assert pageless(10, since, asked).known == {}


def test_what_is_not_meant_is_forgotten() -> None:
    record = UpstreamRecord(URL, URL, pageless=(PagelessProject(GHOST, 0, 0),))
    assert Pageless.of(record, 9, lambda name: name != GHOST).known == {}
    assert Pageless.of(None, 9, lambda _: True).known == {}


def test_after_a_run_that_missed_it_the_first_time_counts() -> None:
    other = NormalizedName("other")
    assert pageless(60, 7, 30).after({GHOST, other}, ()) == (
        PagelessProject(GHOST, 7, 60),
        PagelessProject(other, 60, 60),
    )


@pytest.mark.parametrize(
    ("unsettled", "asked", "is_kept"),
    [((), 30, False), ((GHOST,), 30, True), ((), 9 * HOUR, True)],
    ids=["found", "not asked, since upstream was down", "not due"],
)
def test_one_that_was_not_asked_for_stays(unsettled: tuple[NormalizedName, ...], asked: int, *, is_kept: bool) -> None:
    kept = pageless(10 * HOUR, 7, asked).after((), unsettled)
    assert kept == ((PagelessProject(GHOST, 7, asked),) if is_kept else ())


def test_of_very_many_those_of_longest_are_known() -> None:
    many = [NormalizedName(f"project-{number:04}") for number in range(MOST_KNOWN)]
    after = pageless(60, 7, 30, name="zzz").after({*many, NormalizedName("zzz")}, ())
    assert [each.project for each in after] == ["zzz", *many[:-1]]
