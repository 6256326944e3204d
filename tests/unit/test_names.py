"""Which names there can be, and which file is of which project."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from bandersnatch.names import (
    belongs_to,
    filename_problem,
    has_unsafe_characters,
    parse_project_name,
    possible_projects,
)
from tests.support.builders import named, unhurried


@pytest.mark.parametrize(
    ("name", "normalized"),
    [
        ("a", "a"),
        ("0", "0"),
        ("Flask", "flask"),
        ("Under_Score.Dots-x", "under-score-dots-x"),
        ("a-b-0", "a-b-0"),
        ("a--b", "a-b"),
        ("a-_.b", "a-b"),
        ("a" * 240, "a" * 240),
    ],
)
def test_a_project_name_is_normalized(name: str, normalized: str) -> None:
    assert parse_project_name(name) == normalized


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "-a", "a-", "a b", "a/b", "../a", "a\n", "\na", "a\0", "ü", "user:alice", "a" * 241, "\u0661"],
)
def test_what_pypi_would_not_take_as_a_name_is_none(name: str) -> None:
    assert parse_project_name(name) is None


@unhurried
@given(st.text() | st.text("aZ0._-/"))
def test_a_normalized_name_is_always_one_plain_segment_of_a_path(name: str) -> None:
    normalized = parse_project_name(name)
    if normalized is not None:
        assert normalized.replace("-", "").isalnum()
        assert normalized.isascii()
        assert not normalized.startswith("-")
        assert parse_project_name(normalized) == normalized


@unhurried
@given(st.from_regex("[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True))
def test_a_project_name_is_normalized_as_packaging_does_it(name: str) -> None:
    assert parse_project_name(name) == str(canonicalize_name(name))


@unhurried
@given(st.text())
def test_a_filename_without_a_problem_fits_beside_its_metadata_and_its_temporary_name(name: str) -> None:
    if filename_problem(name) is None:
        assert 0 < len(f".{name}.metadata.part".encode()) <= 255
        assert not has_unsafe_characters(name)
        assert "/" not in name


@pytest.mark.parametrize(
    ("filename", "project"),
    [
        ("sample-1.0.tar.gz", "sample"),
        ("Sample-1.0.zip", "sample"),
        ("sample-1.0.win32-py2.7.exe", "sample"),
        ("foo_bar-1.0-py3-none-any.whl", "foo-bar"),
        ("Foo.Bar-1.0-py2.py3-none-any.whl", "foo-bar"),
        ("foo-bar-1.0.tar.gz", "foo-bar"),
        ("foo-bar-1.0.tar.gz", "foo"),
    ],
)
def test_a_file_belongs_to_the_project_with_whose_name_it_begins(filename: str, project: str) -> None:
    assert belongs_to(filename, named(project))


@pytest.mark.parametrize(
    ("filename", "project"),
    [
        ("sample.whl", "other"),
        ("sample-1.0.tar.gz", "sam"),
        ("sample-1.0.tar.gz", "sample-2"),
        ("foo_bar-1.0-py3-none-any.whl", "foo"),
        ("1.0-sample.tar.gz", "sample"),
    ],
)
def test_a_file_with_another_name_belongs_to_another_project(filename: str, project: str) -> None:
    assert not belongs_to(filename, named(project))


@pytest.mark.parametrize(
    ("filename", "projects"),
    [
        ("Foo.Bar-1.0.tar.gz", ["foo", "foo-bar", "foo-bar-1", "foo-bar-1-0", "foo-bar-1-0-tar"]),
        ("foo", []),
        ("-rf.zip", []),
        ("-", []),
        ("日本-foo-1.zip", []),
        ("foo bar-1.zip", []),
    ],
)
def test_a_file_may_be_of_each_project_with_whose_name_its_own_can_begin(filename: str, projects: list[str]) -> None:
    assert possible_projects(filename) == projects


@unhurried
@given(st.text(max_size=30), st.from_regex(r"[a-z0-9]{1,4}(-[a-z0-9]{1,4})?", fullmatch=True))
def test_each_project_that_a_file_belongs_to_is_possible(tail: str, project: str) -> None:
    if belongs_to(filename := f"{project}-{tail}", named(project)):
        assert named(project) in possible_projects(filename)
