"""A page that contradicts what upstream said before is refused."""

import pytest

from bandersnatch.changes import Owed
from bandersnatch.errors import SuspiciousPageError
from bandersnatch.page_rules import check_page
from tests.builders import SHA256, WHEEL, make_file, make_page

OTHER_SHA256 = "0" * 64


@pytest.mark.parametrize("owed", Owed)
def test_a_page_with_the_same_file_is_accepted(owed: Owed) -> None:
    check_page(make_page(make_file()), {WHEEL: SHA256}, owed)


@pytest.mark.parametrize("owed", Owed)
def test_a_page_with_other_files_is_accepted(owed: Owed) -> None:
    check_page(make_page(make_file("sample-2.0.tar.gz")), {WHEEL: OTHER_SHA256}, owed)


@pytest.mark.parametrize("owed", Owed)
def test_a_known_name_with_other_content_is_refused(owed: Owed) -> None:
    with pytest.raises(
        SuspiciousPageError, match=f"upstream lists {WHEEL} with SHA-256 {SHA256}, but the one published"
    ):
        check_page(make_page(make_file()), {WHEEL: OTHER_SHA256}, owed)


@pytest.mark.parametrize("owed", [Owed.CONTENT, Owed.ROLES])
def test_a_page_that_lost_all_files_without_a_removal_is_refused(owed: Owed) -> None:
    with pytest.raises(SuspiciousPageError, match="lists no files, although its changelog removed none"):
        check_page(make_page(), {WHEEL: SHA256}, owed)


@pytest.mark.parametrize("owed", [Owed.REMOVALS, Owed.REMOVED, Owed.LISTED])
def test_a_page_that_lost_all_files_is_accepted_where_some_were_removed(owed: Owed) -> None:
    check_page(make_page(), {WHEEL: SHA256}, owed)


@pytest.mark.parametrize("owed", Owed)
def test_a_quarantined_page_has_no_files(owed: Owed) -> None:
    check_page(make_page(status="quarantined"), {WHEEL: SHA256}, owed)


@pytest.mark.parametrize("owed", Owed)
def test_a_page_that_never_had_files_may_have_none(owed: Owed) -> None:
    check_page(make_page(), {}, owed)
