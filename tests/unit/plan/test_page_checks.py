"""A page that contradicts what upstream said before is refused."""

import pytest

from bandersnatch.errors import SuspiciousPageError
from bandersnatch.plan.page_checks import check_page
from bandersnatch.upstream.changelog_actions import Expectation
from tests.support.builders import SHA256, WHEEL, make_file, make_page

OTHER_SHA256 = "0" * 64


@pytest.mark.parametrize("expectation", Expectation)
def test_a_page_with_the_same_file_is_accepted(expectation: Expectation) -> None:
    check_page(make_page(make_file()), {WHEEL: SHA256}, expectation)


@pytest.mark.parametrize("expectation", Expectation)
def test_a_page_with_other_files_is_accepted(expectation: Expectation) -> None:
    check_page(make_page(make_file("sample-2.0.tar.gz")), {WHEEL: OTHER_SHA256}, expectation)


@pytest.mark.parametrize("expectation", Expectation)
def test_a_known_name_with_other_content_is_refused(expectation: Expectation) -> None:
    with pytest.raises(
        SuspiciousPageError, match=f"upstream lists {WHEEL} with SHA-256 {SHA256}, but the one published"
    ):
        check_page(make_page(make_file()), {WHEEL: OTHER_SHA256}, expectation)


@pytest.mark.parametrize("expectation", [Expectation.CONTENT, Expectation.ROLES])
def test_a_page_that_lost_all_files_without_a_removal_is_refused(expectation: Expectation) -> None:
    with pytest.raises(SuspiciousPageError, match="lists no files, although its changelog removed none"):
        check_page(make_page(), {WHEEL: SHA256}, expectation)


@pytest.mark.parametrize("expectation", [Expectation.REMOVALS, Expectation.REMOVED, Expectation.LISTED])
def test_a_page_that_lost_all_files_is_accepted_where_some_were_removed(expectation: Expectation) -> None:
    check_page(make_page(), {WHEEL: SHA256}, expectation)


@pytest.mark.parametrize("expectation", Expectation)
def test_a_quarantined_page_has_no_files(expectation: Expectation) -> None:
    check_page(make_page(status="quarantined"), {WHEEL: SHA256}, expectation)


@pytest.mark.parametrize("expectation", Expectation)
def test_a_page_that_never_had_files_may_have_none(expectation: Expectation) -> None:
    check_page(make_page(), {}, expectation)


@pytest.mark.parametrize("expectation", Expectation)
def test_a_held_file_is_not_lost_because_its_link_is_of_no_use_now(expectation: Expectation) -> None:
    with pytest.raises(SuspiciousPageError, match=f"upstream lists {WHEEL} with a link that leads nowhere"):
        check_page(make_page(left_out=(WHEEL,)), {WHEEL: SHA256}, expectation)


@pytest.mark.parametrize("expectation", [Expectation.CONTENT, Expectation.ROLES])
def test_what_is_of_no_use_does_not_take_the_place_of_a_held_file(expectation: Expectation) -> None:
    page = make_page(make_file("sample-2.0.tar.gz"), left_out=("../evil",))
    with pytest.raises(SuspiciousPageError, match=f"lists '../evil', which is of no use, and {WHEEL} no more"):
        check_page(page, {WHEEL: SHA256}, expectation)


@pytest.mark.parametrize("expectation", Expectation)
def test_what_is_of_no_use_keeps_nothing_else_from_coming(expectation: Expectation) -> None:
    check_page(
        make_page(make_file(), make_file("sample-2.0.tar.gz"), left_out=("../evil",)), {WHEEL: SHA256}, expectation
    )


@pytest.mark.parametrize("expectation", [Expectation.REMOVALS, Expectation.REMOVED, Expectation.LISTED])
def test_a_file_may_go_from_a_page_with_what_is_of_no_use_where_some_were_removed(expectation: Expectation) -> None:
    check_page(make_page(left_out=("../evil",)), {WHEEL: SHA256}, expectation)
