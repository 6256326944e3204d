"""What each action of upstream's journal asks of a mirror."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.upstream.changelog_actions import Expectation, expectation_after
from tests.support.builders import unhurried


@pytest.mark.parametrize(
    ("action", "version"),
    [
        ("create", None),
        ("new release", "1.0"),
        ("add source file sample-1.0.tar.gz", "1.0"),
        ("add py3 file sample-1.0-py3-none-any.whl", "1.0"),
        ("add 2.7 file sample-1.0.win32-py2.7.exe", "1.0"),
        ("add py2.py3 file sample-1.0-py2.py3-none-any.whl", "1.0"),
        ("yank release", "1.0"),
        ("unyank release", "1.0"),
        ("project quarantine cleared", None),
        ("release quarantine cleared", "1.0"),
        ("nuke user", None),
        ("something that does not exist yet", None),
        ("", None),
        (None, None),
    ],
)
def test_a_change_of_content_owes_a_page_as_new_as_itself(action: str | None, version: str | None) -> None:
    assert expectation_after(action, version) is Expectation.CONTENT


@pytest.mark.parametrize(
    ("action", "version"),
    [
        ("remove file sample-1.0.tar.gz", "1.0"),
        ("remove file Owner alice", None),
        ("remove release", "1.0"),
        ("remove", "1.0"),
        ("docdestroy", None),
    ],
)
def test_a_removal_of_files_or_releases_says_that_a_page_may_have_lost_them(action: str, version: str | None) -> None:
    assert expectation_after(action, version) is Expectation.REMOVALS


@pytest.mark.parametrize("kind", ["project", "release", "file"])
def test_a_quarantine_is_more_than_a_removal(kind: str) -> None:
    assert expectation_after(f"{kind} quarantined", "1.0") is Expectation.QUARANTINES
    assert expectation_after(f"{kind} quarantine cleared", "1.0") is Expectation.CONTENT


@pytest.mark.parametrize(
    "action",
    [
        "add Owner alice",
        "add Maintainer bob",
        "add Owner the release team",
        "remove Owner alice",
        "remove Maintainer the release team",
        "change Owner alice to Maintainer",
        "change Maintainer the release team to Owner",
        "invite Maintainer carol",
        "revoke_invite Owner carol",
        "accepted Maintainer carol",
    ],
)
def test_a_change_of_roles_owes_no_newer_page(action: str) -> None:
    assert expectation_after(action, None) is Expectation.ROLES


def test_a_removed_project_owes_a_404() -> None:
    assert expectation_after("remove project", None) is Expectation.REMOVED


def test_remove_without_a_version_is_the_old_word_for_a_removed_project() -> None:
    assert expectation_after("remove", None) is Expectation.REMOVED


def test_a_release_is_never_taken_for_a_removed_project() -> None:
    assert expectation_after("remove project", "1.0") is Expectation.CONTENT


@pytest.mark.parametrize(
    "action",
    [
        "add Owner file sample-1.0.tar.gz",
        "add Maintainer file Owner alice",
        "add owner file sample-1.0.tar.gz",
        "add Owner py3 file sample-1.0.tar.gz",
        "remove releases",
        "project quarantine cleared",
        "remove Ownership",
        "add Owners file sample-1.0.tar.gz",
        "invited",
        "remove project now",
        "remove projects",
    ],
)
def test_what_might_be_about_content_is_taken_for_content(action: str) -> None:
    assert expectation_after(action, None) is Expectation.CONTENT


@unhurried
@given(st.text(), st.none() | st.text())
def test_any_action_is_understood_somehow(action: str, version: str | None) -> None:
    assert expectation_after(action, version) in Expectation


@unhurried
@given(st.text(), st.none() | st.text())
def test_an_added_file_is_always_content_whatever_its_uploader_says_of_its_python(pyver: str, version: str) -> None:
    assert expectation_after(f"add {pyver} file sample-1.0.tar.gz", version) is Expectation.CONTENT
