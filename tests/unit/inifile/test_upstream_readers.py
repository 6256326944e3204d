"""Patterns of projects, and prefixes: which are refused, and what the others are read as."""

import pytest

from bandersnatch.inifile.option import OptionError
from bandersnatch.inifile.upstream_readers import MOST_SEGMENTS, read_prefix, read_projects


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("", ()),
        ("torch", ("torch",)),
        ("torch*, nvidia-*", ("torch*", "nvidia-*")),
        ("torch*,nvidia-*,", ("torch*", "nvidia-*")),
        ("\ntorch*\n\n  Nvidia_*\nPytorch.Triton", ("torch*", "nvidia-*", "pytorch-triton")),
        ("*-cu12", ("*-cu12",)),
        ("a*b*c", ("a*b*c",)),
        ("a__b", ("a-b",)),
    ],
)
def test_projects_are_names_and_patterns_as_indexes_write_them(text: str, patterns: tuple[str, ...]) -> None:
    assert read_projects(text) == patterns


@pytest.mark.parametrize(
    "text", ["torch?", "torch[a]", "^torch", "torch>=2", "-torch", "torch-", "törch", "a/b", "a;b"]
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="expected names of projects"):
        read_projects(text)


@pytest.mark.parametrize("text", ["*", "**", "*-*", "torch, *"])
def test_a_pattern_of_everything_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="expected no pattern of all projects"):
        read_projects(text)


@pytest.mark.parametrize("text", ["torch torch", "Torch, torch", "a_b, a-b"])
def test_a_pattern_that_is_there_twice_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="is there twice"):
        read_projects(text)


@pytest.mark.parametrize("text", ["", "whl/cu126", "torch", "a.b/c_d+e", "a/changes", "x/v1.2/y"])
def test_a_prefix_is_a_path_of_plain_names(text: str) -> None:
    assert read_prefix(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "/whl",
        "whl/",
        "whl//cu126",
        "..",
        "whl/../x",
        ".hidden",
        "whl/.x",
        "a b",
        "a\\b",
        "a%2e",
        "ä",
        "a\nb",
        "a\0b",
        "~",
        "/".join("a" * (MOST_SEGMENTS + 1)),
        "a" * 101,
    ],
)
def test_a_prefix_that_is_no_plain_path_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="expected a path below web/"):
        read_prefix(text)


@pytest.mark.parametrize("text", ["simple", "whl/simple", "Simple/whl", "whl/SIMPLE/x"])
def test_a_prefix_with_simple_in_it_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="without /simple"):
        read_prefix(text)


@pytest.mark.parametrize(
    "text",
    ["packages", "packages/x", "Packages", "json/x", "pypi/a", "changes", "local.json", "whl/packages", "a/Packages/b"],
)
def test_a_prefix_that_meets_the_mirrors_own_paths_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="expected another path"):
        read_prefix(text)
