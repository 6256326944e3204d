"""A page that is older than the changelog promised, or than the page that is held, is refused."""

from typing import Any

import pytest

from bandersnatch.errors import StaleMetadataError
from bandersnatch.names import canonicalize_name
from bandersnatch.plan.stale_page_check import RequiredAge, doubt_about_unchanged
from bandersnatch.state.todo import TodoEntry
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.documents import FetchedPage

ETAG = '"one"'
ALL_BUT_ROLES = [expectation for expectation in Expectation if expectation is not Expectation.ROLES]
ALL_BUT_LISTED = [expectation for expectation in ALL_BUT_ROLES if expectation is not Expectation.LISTED]


def entry_of(expectation: Expectation = Expectation.CONTENT, serial: int = 10) -> TodoEntry:
    return TodoEntry("Foo", serial, expectation)


def required(expectation: Expectation = Expectation.CONTENT, serial: int = 10, **attempt: bool) -> RequiredAge:
    return RequiredAge(canonicalize_name("foo"), entry_of(expectation, serial), **attempt)


def unchanged(**answer: Any) -> FetchedPage:
    return FetchedPage(**{"page": None, "serial": None, "etag": ETAG} | answer)


@pytest.mark.parametrize("serial", [10, 11])
@pytest.mark.parametrize("expectation", Expectation)
def test_a_page_as_new_as_promised_replaces_the_held_one(expectation: Expectation, serial: int) -> None:
    assert required(expectation).is_met(serial, held_serial=10, told=serial)


@pytest.mark.parametrize("expectation", ALL_BUT_ROLES)
def test_a_page_older_than_promised_is_refused(expectation: Expectation) -> None:
    with pytest.raises(StaleMetadataError, match=r"^foo: the page must have serial 10 or later, upstream sent 9$"):
        required(expectation).is_met(9, held_serial=0, told=9)


def test_the_message_says_that_upstream_sent_no_serial() -> None:
    with pytest.raises(StaleMetadataError, match=r"upstream sent no serial$"):
        required().is_met(0, held_serial=0, told=None)


def test_any_page_will_do_after_a_change_of_roles() -> None:
    assert required(Expectation.ROLES).is_met(9, held_serial=9, told=9)


def test_the_held_page_stays_if_only_roles_have_changed_and_upstreams_is_older() -> None:
    assert not required(Expectation.ROLES).is_met(8, held_serial=9, told=8)


@pytest.mark.parametrize("expectation", ALL_BUT_ROLES)
def test_a_page_older_than_the_held_one_is_refused(expectation: Expectation) -> None:
    with pytest.raises(StaleMetadataError, match=r"must have serial 12 or later, upstream sent 11$"):
        required(expectation, is_last_attempt=True).is_met(11, held_serial=12, told=11)


def test_in_the_last_attempt_a_page_may_be_older_than_the_list_of_projects_says() -> None:
    assert required(Expectation.LISTED, is_last_attempt=True).is_met(9, held_serial=9, told=9)


@pytest.mark.parametrize("expectation", ALL_BUT_LISTED)
def test_in_the_last_attempt_too_a_page_must_be_as_new_as_the_changelog_says(expectation: Expectation) -> None:
    with pytest.raises(StaleMetadataError, match=r"must have serial 10 or later, upstream sent 9$"):
        required(expectation, is_last_attempt=True, is_resync=True).is_met(9, held_serial=0, told=9)


def test_in_the_last_attempt_of_a_resync_a_page_may_be_older_than_the_held_one() -> None:
    assert required(Expectation.LISTED, is_last_attempt=True, is_resync=True).is_met(10, held_serial=12, told=10)


@pytest.mark.parametrize("attempt", [{"is_resync": True}, {"is_last_attempt": True}])
def test_otherwise_it_may_not(attempt: dict[str, bool]) -> None:
    with pytest.raises(StaleMetadataError, match="must have serial 12 or later"):
        required(Expectation.LISTED, **attempt).is_met(10, held_serial=12, told=10)


@pytest.mark.parametrize(("serial", "is_old"), [(9, True), (10, False), (11, False)])
def test_a_page_from_before_a_removal_is_a_caches(serial: int, is_old: bool) -> None:
    assert required(Expectation.REMOVED).is_from_before_removal(serial) is is_old


@pytest.mark.parametrize("expectation", [each for each in Expectation if each is not Expectation.REMOVED])
def test_without_a_removal_no_page_is_from_before_one(expectation: Expectation) -> None:
    assert not required(expectation).is_from_before_removal(9)


@pytest.mark.parametrize("etag", [ETAG, f"W/{ETAG}", None])
def test_an_answer_about_the_held_page_is_not_doubted(etag: str | None) -> None:
    assert doubt_about_unchanged(unchanged(serial=10, etag=etag), ETAG, entry_of(), 10) is None


def test_an_answer_with_another_tag_is_about_another_page() -> None:
    doubt = doubt_about_unchanged(unchanged(serial=10, etag='"other"'), ETAG, entry_of(), 10)
    assert doubt == "for another page than the one that was asked about"


def test_an_answer_with_a_newer_serial_is_not_about_the_held_page() -> None:
    doubt = doubt_about_unchanged(unchanged(serial=11), ETAG, entry_of(), 10)
    assert doubt == "with serial 11, and the page here has 10"


def test_a_held_page_without_a_serial_may_have_any() -> None:
    assert doubt_about_unchanged(unchanged(serial=11), ETAG, entry_of(), 0) is None


def test_an_answer_without_a_serial_does_not_show_that_the_page_is_new_enough() -> None:
    doubt = doubt_about_unchanged(unchanged(), ETAG, entry_of(), 9)
    assert doubt == "without a serial, and the page must have 10"


@pytest.mark.parametrize("entry", [entry_of(Expectation.ROLES), entry_of(serial=9)])
def test_an_answer_without_a_serial_will_do_for_a_page_that_is_new_enough(entry: TodoEntry) -> None:
    assert doubt_about_unchanged(unchanged(), ETAG, entry, 9) is None
