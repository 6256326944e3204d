"""Values of filters that are wrong: each message has the line, and what is allowed there."""

from pathlib import Path

import pytest

from tests.support.filter_sections import problems_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"


@pytest.mark.parametrize(
    ("plugin", "sections", "problem"),
    [
        (
            "latest_release",
            "[latest_release]\nkeep = many\n",
            "line 6: [latest_release] keep: many: expected a whole number",
        ),
        (
            "latest_release",
            "[latest_release]\nkeep = 1\nsort_by = size\n",
            "line 7: [latest_release] sort_by: size: expected version or time",
        ),
        (
            "latest_release",
            "[latest_release]\nkeep =\n  1\n  2\n",
            "line 8: [latest_release] keep: 2: expected one value",
        ),
        (
            "exclude_newer",
            "[exclude_newer]\ndate = soon\n",
            "line 6: [exclude_newer] date: soon: expected a date, such as 2026-01-31",
        ),
        (
            "exclude_platform",
            "[blocklist]\nplatforms = windos\n",
            'line 6: [blocklist] platforms: windos: "windos" is not a platform: expected windows, ',
        ),
        (
            "exclude_platform",
            "[blocklist]\nplatforms =\n  py2\n  x\n",
            'line 8: [blocklist] platforms: x: "x" is not a platform',
        ),
        (
            "size_project_metadata",
            "[size_project_metadata]\nmax_package_size = big\n",
            "line 6: [size_project_metadata] max_package_size: big: expected a size",
        ),
        (
            "versions_count_project_metadata",
            "[versions_count_project_metadata]\nmin_versions = 5\nmax_versions = 3\n",
            "line 6: [versions_count_project_metadata] min_versions: 5: expected no more than max_versions, which is 3",
        ),
        (
            "regex_release",
            "[filter_regex]\nreleases = *\n",
            "line 6: [filter_regex] releases: *: expected a regular expression",
        ),
        (
            "regex_project",
            "[filter_regex]\npackages = a{99999999999}\n",
            "line 6: [filter_regex] packages: a{99999999999}: expected a regular expression: the repetition number",
        ),
        (
            "regex_project",
            f"[filter_regex]\npackages = {'(' * 3000}{')' * 3000}\n",
            "line 6: [filter_regex] packages: ((((((",
        ),
        (
            "allowlist_release",
            f"[allowlist]\npackages = foo=={'1' * 5000}\n",
            "line 6: [allowlist] packages: foo==1111",
        ),
        (
            "version_range_release_file_metadata",
            f"[version_range_release_file_metadata]\nrelease_file.requires_python = {'1' * 5000}\n",
            "line 6: [version_range_release_file_metadata] release_file.requires_python: 1111",
        ),
        (
            "latest_release",
            "[latest_release]\nkeep = -1\n",
            "line 6: [latest_release] keep: -1: expected a whole number",
        ),
        (
            "regex_project_metadata",
            "[regex_project_metadata]\nsome:info.name = x\n",
            'line 6: [regex_project_metadata] some:info.name: "some" is not a tag: expected all, any, ',
        ),
        (
            "version_range_project_metadata",
            "[version_range_project_metadata]\nall:info.requires_python = 3\n",
            'line 6: [version_range_project_metadata] all:info.requires_python: "all" is not a tag: expected any, match',
        ),
        (
            "regex_project_metadata",
            "[regex_project_metadata]\nifno.name = x\n",
            "line 6: [regex_project_metadata] ifno.name: expected a path that begins with info, ",
        ),
        (
            "regex_project_metadata",
            "[regex_project_metadata]\nany:info..name = x\n",
            "line 6: [regex_project_metadata] any:info..name: expected a name between any two dots of the path",
        ),
        (
            "version_range_release_file_metadata",
            "[version_range_release_file_metadata]\nrelease_file. = 3\n",
            "line 6: [version_range_release_file_metadata] release_file.: expected a name between any two dots",
        ),
        (
            "regex_project_metadata",
            "[regex_project_metadata]\ninfo.name =\n",
            "line 6: [regex_project_metadata] info.name: expected at least one pattern",
        ),
        (
            "regex_project_metadata",
            "[regex_project_metadata]\ninfo.name = (\n",
            "line 6: [regex_project_metadata] info.name: (: expected a regular expression",
        ),
        (
            "version_range_project_metadata",
            "[version_range_project_metadata]\ninfo.requires_python = >=3\n",
            "line 6: [version_range_project_metadata] info.requires_python: >=3: expected a version",
        ),
        (
            "project_requirements",
            "[allowlist]\nrequirements = /no/such.txt\n",
            "line 6: [allowlist] requirements: /no/such.txt: /no/such.txt: can't be read: No such file",
        ),
        (
            "project_requirements",
            "[allowlist]\nrequirements = /no/such*.txt\n",
            "line 6: [allowlist] requirements: /no/such*.txt: no file matches /no/such*.txt",
        ),
        (
            "project_requirements",
            "",
            "line 4: [plugins] enabled: project_requirements: [allowlist] requirements is empty",
        ),
        (
            "allowlist_release",
            "[allowlist]\n",
            "line 4: [plugins] enabled: allowlist_release: [allowlist] packages is empty",
        ),
        (
            "blocklist_release",
            "[blocklist]\npackages = foo=>1\n",
            "line 6: [blocklist] packages: foo=>1: expected the name of a project, or one with versions",
        ),
    ],
)
def test_a_value_that_is_wrong_names_its_line_and_what_is_allowed(
    path: Path, plugin: str, sections: str, problem: str
) -> None:
    problems = problems_of(path, f"[plugins]\nenabled = {plugin}\n{sections}")
    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_a_wrong_entry_that_two_filters_read_is_told_once(path: Path) -> None:
    text = "[plugins]\nenabled =\n  allowlist_project\n  allowlist_release\n[allowlist]\npackages = a b\n"
    assert len(problems_of(path, text)) == 1
