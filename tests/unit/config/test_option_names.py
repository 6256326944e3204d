"""Names of options and sections: unknown ones, old ones, and those that stand there twice."""

from pathlib import Path

import pytest

from bandersnatch.config.option_table import BACKEND_SECTIONS, IGNORED_MIRROR_OPTIONS
from bandersnatch.inifile.option import (
    DeletedPolicy,
)
from tests.support.config_text import PUBLIC, load, load_option, problem_with, problems_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("wokers", ' (did you mean "workers"?)'),
        ("Workers", ' (did you mean "workers"?)'),
        ("simple_format", ' (did you mean "simple-format"?)'),
        ("root-uri", ' (did you mean "root_uri"?)'),
        ("digest-name", ' (did you mean "digest_name"?)'),
        ("stop_on_eror", ' (did you mean "stop-on-error"?)'),
        ("directorry", ' (did you mean "directory"?)'),
        ("delete_packages", ' (did you mean "delete-packages"?)'),
        ("simple", ' (did you mean "simple-format"?)'),
        ("diff", ""),  # there are two that begin so
        ("colour", ""),
    ],
)
def test_an_unknown_option_is_an_error_with_a_suggestion(path: Path, name: str, suggestion: str) -> None:
    assert problem_with(path, name, "3") == f"[mirror] {name} = 3: unknown option{suggestion}"


@pytest.mark.parametrize("name", IGNORED_MIRROR_OPTIONS)
def test_an_option_that_is_not_needed_is_a_remark(path: Path, name: str) -> None:
    remarks = load_option(path, name, "x").remarks
    assert remarks == (f"{path}: line 3: [mirror] {name}: {IGNORED_MIRROR_OPTIONS[name]}",)


@pytest.mark.parametrize("section", BACKEND_SECTIONS)
def test_the_section_of_another_backend_is_a_remark(path: Path, section: str) -> None:
    config = load(path, f"[mirror]\ndirectory = /srv/pypi\n[{section}]\nregion_name = x\n")
    assert config.remarks == (f"{path}: line 3: [{section}]: {BACKEND_SECTIONS[section]}",)
    assert config.warnings == ()


def test_of_two_spellings_the_one_that_counted_before_counts(path: Path) -> None:
    config = load_option(path, "keep-index-versions", "9", "keep_index_versions = 2")
    assert config.pages.keep_versions == 2
    assert config.remarks == (
        f"{path}: line 3: [mirror] keep-index-versions: not used, since keep_index_versions is there too",
    )


def test_a_missing_download_mirror_is_a_warning(path: Path) -> None:
    (warning,) = load_option(path, "download-mirror-no-fallback", "true").warnings
    assert warning.endswith("not used, since there is no download-mirror")


def test_what_upstream_removed_is_not_removed_against_the_operators_word(path: Path) -> None:
    assert problem_with(path, "delete-packages", "false").endswith(
        ": to keep what upstream removed, write deleted = keep"
    )


def test_an_empty_delete_packages_says_nothing(path: Path) -> None:
    assert load_option(path, "delete-packages", "").removals.deleted is DeletedPolicy.REMOVE


def test_all_that_stands_there_twice_is_told_with_the_other_problems(path: Path) -> None:
    text = "[mirror]\ndirectory = /a\njson = 1\njson = 0\nwokers = 2\n[mirror]\ndirectory = /b\n"
    assert problems_of(path, text) == [
        "line 4: [mirror] json is there twice",
        'line 5: [mirror] wokers = 2: unknown option (did you mean "workers"?)',
        "line 6: the section [mirror] is there twice",
        "line 7: [mirror] directory is there twice",
    ]


@pytest.mark.parametrize("section", ["statistics", "safety_db"])
def test_an_unknown_section_is_a_warning(path: Path, section: str) -> None:
    config = load(path, f"[mirror]\ndirectory = /srv/pypi\n[{section}]\nworkers = 1\n")
    assert config.warnings == (f"{path}: line 3: [{section}]: unknown section, ignored",)
    assert config.workers == 10


@pytest.mark.parametrize(
    ("section", "reads"),
    [
        ("blocklist_project", "the filter blocklist_project reads [blocklist] packages"),
        ("whitelist_project", "the filter allowlist_project reads [allowlist] packages"),
        ("exclude_platform", "the filter exclude_platform reads [blocklist] platforms"),
        ("prerelease_release", "the filter prerelease_release reads [filter_prerelease] packages"),
        ("regex_release", "the filter regex_release reads [filter_regex] releases"),
    ],
)
def test_a_section_with_the_name_of_a_filter_is_an_error_that_says_what_the_filter_reads(
    path: Path, section: str, reads: str
) -> None:
    text = f"[mirror]\ndirectory = /srv/pypi\n[{section}]\npackages = six\n"
    assert problems_of(path, text) == [f"line 3: [{section}]: unknown section; {reads}"]


@pytest.mark.parametrize(
    ("section", "meant"),
    [
        ("default", "DEFAULT"),
        ("ALLOWLIST", "allowlist"),
        ("latest", "latest_release"),
        ("plugin", "plugins"),
        ("allowlists", "allowlist"),
        ("allow_list", "allowlist"),
        ("white-list", "whitelist"),
        ("Mirror", "mirror"),
        ("latest_releases", "latest_release"),
    ],
)
def test_a_misspelt_section_is_an_error(path: Path, section: str, meant: str) -> None:
    text = f"[mirror]\ndirectory = /srv/pypi\n[{section}]\nworkers = 1\n"
    assert problems_of(path, text) == [f'line 3: [{section}]: unknown section (did you mean "{meant}"?)']


@pytest.mark.parametrize("master", [PUBLIC, "https://pypi.python.org", "https://PyPI.org/"])
def test_many_workers_are_a_warning_against_the_public_index(path: Path, master: str) -> None:
    (warning,) = load_option(path, "workers", "11", f"master = {master}").warnings
    assert warning.startswith(
        f"{path}: line 3: [mirror] workers = 11: PyPI asks its clients for few requests at a time"
    )


@pytest.mark.parametrize(("workers", "master"), [("10", PUBLIC), ("100", "https://index.example")])
def test_a_polite_number_of_workers_or_another_index_is_none(path: Path, workers: str, master: str) -> None:
    assert load_option(path, "workers", workers, f"master = {master}").warnings == ()


@pytest.mark.parametrize("section", ["plugins_off", "mirror_old", "old.allowlist", "disabled filter_regex"])
def test_a_section_that_was_put_aside_is_no_misspelt_one(path: Path, section: str) -> None:
    assert load(path, f"[mirror]\ndirectory = /srv/pypi\n[{section}]\nx = y\n").warnings == (
        f"{path}: line 3: [{section}]: unknown section, ignored",
    )
