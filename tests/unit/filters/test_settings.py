"""Which filters a configuration enables, and what is said of those that have nothing to do, or are not enabled."""

from pathlib import Path

import pytest

from bandersnatch.filters.filters import NO_FILTERS
from tests.support.filter_sections import load, problems_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"


def test_without_plugins_there_are_no_filters(path: Path) -> None:
    assert load(path, "").filters == NO_FILTERS
    assert load(path, "").warnings == ()
    assert load(path, "[plugins]\nenabled =\n").filters == NO_FILTERS


def test_lists_without_a_filter_that_reads_them_are_a_warning(path: Path) -> None:
    config = load(path, "[allowlist]\npackages = foo\n[blacklist]\n")
    assert config.filters == NO_FILTERS
    assert config.warnings == (
        f"{path}: line 4: [allowlist] packages: without effect, since no filter that reads it is enabled; "
        "to apply it, write allowlist_project to [plugins] enabled",
    )


def test_an_unknown_filter_is_an_error_with_the_nearest_name_and_its_line(path: Path) -> None:
    text = "[plugins]\nenabled =\n    # of projects\n\n    alowlist_project\n    no_such\n"
    near, far = problems_of(path, text)
    assert near == (
        'line 7: [plugins] enabled: alowlist_project: expected the name of a filter (did you mean "allowlist_project"?)'
    )
    assert far.startswith("line 8: [plugins] enabled: no_such: expected the name of a filter (all, allowlist_project, ")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("allowlist_project, blocklist_project", "expected one filter per line, without commas"),
        ("allowlist_project blocklist_project", "expected one filter per line"),
        (
            "allowlist_project # mine",
            "expected the name of a filter alone; a comment must be on its own line",
        ),
    ],
)
def test_more_than_one_filter_on_a_line_is_an_error(path: Path, entry: str, reason: str) -> None:
    assert problems_of(path, f"[plugins]\nenabled = {entry}\n") == [f"line 4: [plugins] enabled: {entry}: {reason}"]


@pytest.mark.parametrize(
    "lists", ["", "[allowlist]\n", "[allowlist]\npackages =\n", "[allowlist]\npackages =\n  # foo\n"]
)
def test_an_empty_allowlist_is_an_error(path: Path, lists: str) -> None:
    assert problems_of(path, f"[plugins]\nenabled = allowlist_project\n{lists}") == [
        "line 4: [plugins] enabled: allowlist_project: [allowlist] packages is empty: "
        "the mirror would have nothing, or everything"
    ]


def test_an_allowlist_whose_entries_are_all_wrong_is_not_called_empty(path: Path) -> None:
    (problem,) = problems_of(path, "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages = foo bar\n")
    assert problem.startswith("line 6: [allowlist] packages: foo bar: expected the name of a project")


def test_an_empty_blocklist_is_a_warning(path: Path) -> None:
    config = load(path, "[plugins]\nenabled = blocklist_project\n")
    assert config.filters == NO_FILTERS
    assert config.warnings == (
        f"{path}: line 4: [plugins] enabled: blocklist_project: drops nothing, since there is no [blocklist] packages",
    )


def test_all_enables_what_is_configured(path: Path) -> None:
    config = load(path, "[plugins]\nenabled = all\n[blocklist]\npackages = foo\n")
    assert [each.filter_name for each in config.filters.projects] == ["blocklist_project"]
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("text", "names", "option"),
    [
        ("[allowlist]\npackages =\n", ("allowlist_project", "allowlist_release"), "packages"),
        ("[allowlist]\npackages =\n    # six\n", ("allowlist_project", "allowlist_release"), "packages"),
        (
            "[allowlist]\nrequirements =\n[blocklist]\npackages = foo\n",
            ("project_requirements", "project_requirements_pinned"),
            "requirements",
        ),
    ],
    ids=["empty", "comments only", "requirements"],
)
def test_with_all_a_list_that_stands_there_empty_is_an_error(
    path: Path, text: str, names: tuple[str, ...], option: str
) -> None:
    assert sorted(problems_of(path, f"[plugins]\nenabled = all\n{text}")) == [
        f"line 4: [plugins] enabled: {name}: [allowlist] {option} is empty: the mirror would have nothing, or everything"
        for name in names
    ]


def test_with_all_what_drops_nothing_is_a_warning(path: Path) -> None:
    config = load(path, "[plugins]\nenabled = all\n[blocklist]\nplatforms =\n")
    assert config.warnings == (
        f"{path}: line 4: [plugins] enabled: exclude_platform: drops nothing, since there is no [blocklist] platforms",
    )


def test_a_section_that_no_enabled_filter_reads_is_a_warning(path: Path) -> None:
    lists = "[latest_release]\nkeep = 1\nsort_by = time\n[blocklist]\nplatforms = windows\n"
    config = load(path, f"[plugins]\nenabled = allowlist_project\n[allowlist]\npackages = foo\n{lists}")
    assert config.warnings == tuple(
        f"{path}: {place}: without effect, since no filter that reads it is enabled; "
        f"to apply it, write {name} to [plugins] enabled"
        for place, name in (
            ("line 8: [latest_release] keep", "latest_release"),
            ("line 11: [blocklist] platforms", "exclude_platform"),
        )
    )


def test_what_an_enabled_filter_reads_is_no_warning(path: Path) -> None:
    lists = "[allowlist]\npackages = foo\n[size_project_metadata]\nmax_package_size = 1G\n"
    assert load(path, f"[plugins]\nenabled = size_project_metadata\n{lists}").warnings == ()
    assert load(path, "[plugins]\nenabled = prerelease_release\n[filter_prerelease]\npackages = a\n").warnings == ()


def test_an_unknown_option_of_a_filter_is_an_error(path: Path) -> None:
    text = "[plugins]\nenable = all\n[allowlist]\npacages = foo\n[latest_release]\nnumber = 3\n"
    assert problems_of(path, text) == [
        'line 4: [plugins] enable: unknown option (did you mean "enabled"?)',
        'line 6: [allowlist] pacages: unknown option (did you mean "packages"?)',
        "line 8: [latest_release] number: unknown option; expected keep or sort_by",
    ]


@pytest.mark.parametrize("text", ["[latest_release]\nkeep = 0\n", "[latest_release]\nkeep =\n", ""])
def test_no_number_of_latest_releases_keeps_them_all(path: Path, text: str) -> None:
    assert load(path, f"[plugins]\nenabled = latest_release\n{text}").filters == NO_FILTERS
