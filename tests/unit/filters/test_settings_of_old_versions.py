"""The sections of filters as versions up to 4 had them: other names, other ways to enable filters, lists that act alone."""

from pathlib import Path

import pytest

from bandersnatch.filters.filters import NO_FILTERS
from tests.support.filter_sections import keeps, load, problems_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"


def test_old_names_are_understood_with_a_remark(path: Path) -> None:
    text = "[plugins]\nenabled =\n    whitelist_project\n    blacklist_project\n[whitelist]\npackages = foo\n"
    config = load(path, text + "[blacklist]\npackages = bar\n")
    assert [each.filter_name for each in config.filters.projects] == ["allowlist_project", "blocklist_project"]
    assert config.remarks == (
        f"{path}: line 7: [whitelist]: it is now called [allowlist]",
        f"{path}: line 9: [blacklist]: it is now called [blocklist]",
        f"{path}: line 5: [plugins] enabled: whitelist_project: it is now called allowlist_project",
        f"{path}: line 6: [plugins] enabled: blacklist_project: it is now called blocklist_project",
    )
    assert (keeps(config, "foo"), keeps(config, "bar")) == (True, False)


def test_a_section_under_both_names_must_say_the_same(path: Path) -> None:
    text = "[plugins]\nenabled = allowlist_project\n[whitelist]\npackages = foo\n[allowlist]\npackages = "
    assert problems_of(path, f"{text}bar\n") == [
        "line 6: [whitelist] packages: [allowlist] packages says something else; "
        "versions up to 4 read this one, newer ones that: write everything that should apply to [allowlist]"
    ]
    config = load(path, f"{text}foo\n")
    assert config.warnings == (f"{path}: line 5: [whitelist]: not needed, since there is [allowlist] too",)
    assert (keeps(config, "foo"), keeps(config, "bar")) == (True, False)


def test_an_old_section_is_called_by_its_own_name_in_messages(path: Path) -> None:
    (problem,) = problems_of(path, "[plugins]\nenabled = allowlist_project\n[whitelist]\npackages = foo bar\n")
    assert problem.startswith("line 6: [whitelist] packages: foo bar: ")


@pytest.mark.parametrize("section", ["blacklist", "blocklist"])
def test_filters_that_the_blocklist_enables_are_enabled_with_a_warning(path: Path, section: str) -> None:
    config = load(path, f"[{section}]\nplugins =\n    blacklist_project\n    prerelease_release\npackages = foo\n")
    assert (keeps(config, "foo"), keeps(config, "bar")) == (False, True)
    assert [each.filter_name for each in config.filters.releases] == ["prerelease_release"]
    assert config.warnings == (
        f"{path}: line 4: [{section}] plugins: applied as versions up to 4 did; write it as "
        '[plugins] "enabled = blocklist_project, prerelease_release", one name on each line',
    )


def test_an_unknown_filter_in_the_blocklist_is_an_error_there(path: Path) -> None:
    (problem,) = problems_of(path, "[blacklist]\nplugins =\n    safety_db_release\n")
    assert problem.startswith("line 5: [blacklist] plugins: safety_db_release: expected the name of a filter")


def test_filters_that_are_enabled_twice_must_be_the_same(path: Path) -> None:
    config = load(path, "[plugins]\nenabled = all\n[blocklist]\nplugins = all\npackages = foo\n")
    assert config.remarks == (
        f"{path}: line 6: [blocklist] plugins: not needed, since [plugins] enabled says the same",
    )
    text = "[blacklist]\nplugins = blacklist_project\npackages = foo\n"
    for enabled in ("enabled = prerelease_release", "enabled ="):
        assert problems_of(path, f"[plugins]\n{enabled}\n{text}") == [
            "line 6: [blacklist] plugins: [plugins] enabled says something else; versions 3.3 and 4 read this one, "
            "newer ones that: write all filters that should apply to [plugins] enabled, and remove this one"
        ]


@pytest.mark.parametrize(
    ("text", "place", "todays"),
    [
        ("[blacklist]\npackages = foo\n", "[blacklist] packages", "blocklist_project and blocklist_release"),
        ("[whitelist]\npackages = foo\n", "[whitelist] packages", "allowlist_project"),
        ("[filter_regex]\npackages = foo\n", "[filter_regex] packages", "regex_project"),
        ("[regex]\nreleases = .+rc.$\n", "[regex] releases", "regex_release"),
    ],
)
def test_a_list_that_acted_by_itself_in_old_versions_must_be_enabled_or_not(
    path: Path, text: str, place: str, todays: str
) -> None:
    assert problems_of(path, text) == [
        f"line 4: {place}: versions 2.1 to 3.1 applied it, newer ones only what [plugins] enables: "
        f"to apply it, write {todays} to [plugins] enabled; "
        'to mirror without it, remove it, or write "enabled =" there'
    ]
    config = load(path, f"{text}[plugins]\nenabled =\n")
    assert config.filters == NO_FILTERS
    assert "without effect, since no filter that reads it is enabled" in config.warnings[0]


@pytest.mark.parametrize("section", ["whitelist", "allowlist", "regex"])
def test_filters_that_another_section_enables_are_an_error_that_says_where_that_is_done(
    path: Path, section: str
) -> None:
    (problem,) = problems_of(path, f"[{section}]\nplugins =\n    whitelist_project\n")
    assert problem == (
        f"line 4: [{section}] plugins: unknown option; "
        "[plugins] enabled enables filters; up to version 4, [blacklist] plugins did"
    )
