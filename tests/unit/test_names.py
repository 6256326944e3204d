"""Which names there can be, and which file is of which project."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.names import belongs_to, filename_problem, has_unsafe_characters, parse_project_name
from tests.support.builders import named, unhurried


@pytest.mark.parametrize(
    ("name", "normalized"),
    [
        ("a", "a"),
        ("0", "0"),
        ("Flask", "flask"),
        ("Under_Score.Dots-x", "under-score-dots-x"),
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
