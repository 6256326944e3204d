"""Files that upstream deleted stay on the page where the operator wants that."""

from hypothesis import given

from bandersnatch.model import ProjectPage
from bandersnatch.plan.kept_files import with_kept_files
from tests.support.builders import WHEEL, make_file, make_page, project_pages, unhurried

OLD = make_file("sample-0.9.tar.gz")
NEW = make_file(WHEEL)


def test_what_only_the_held_page_lists_is_added() -> None:
    page = with_kept_files(make_page(NEW, versions=("1.0",)), make_page(OLD, NEW, versions=("0.9", "1.0")))
    assert page.files == (NEW, OLD)
    assert page.versions == ("0.9", "1.0")


def test_upstreams_word_counts_for_what_it_lists() -> None:
    yanked = make_file(WHEEL, yanked="broken")
    assert with_kept_files(make_page(yanked), make_page(NEW)).files == (yanked,)


def test_a_page_that_lost_nothing_stays_as_it_is() -> None:
    page = make_page(NEW, OLD)
    assert with_kept_files(page, make_page(OLD)) is page


def test_a_quarantined_page_gets_no_files() -> None:
    page = make_page(status="quarantined")
    assert with_kept_files(page, make_page(OLD)) is page


def test_versions_are_in_the_order_of_pep_440_with_the_others_first() -> None:
    held = make_page(OLD, versions=("0.1-bulbasaur", "1.10", "1.2", "1.0rc1", "2005r", "best"))
    page = with_kept_files(make_page(NEW, versions=("1.0",)), held)
    assert page.versions == ("0.1-bulbasaur", "best", "1.0rc1", "1.0", "1.2", "1.10", "2005r")


def test_a_version_of_more_digits_than_python_counts_is_none() -> None:
    huge = "1" * 5000
    page = with_kept_files(make_page(NEW, versions=("1.0",)), make_page(OLD, versions=(huge, "0.9")))
    assert page.versions == (huge, "0.9", "1.0")


@unhurried
@given(project_pages(), project_pages())
def test_nothing_of_upstreams_page_is_lost_and_doing_it_twice_changes_nothing(
    page: ProjectPage, held: ProjectPage
) -> None:
    kept = with_kept_files(page, held)
    assert kept.files[: len(page.files)] == page.files
    assert (kept.serial, kept.status) == (page.serial, page.status)
    assert len({file.filename for file in kept.files}) == len(kept.files)
    assert with_kept_files(page, kept) == kept
