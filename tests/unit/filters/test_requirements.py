"""What the filters by name, and those by requirement files, keep, against oracles that know what the files mean."""

import re
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bandersnatch.errors import ConfigError
from bandersnatch.model import ProjectPage
from bandersnatch.names import canonicalize_name
from tests.support.builders import SAMPLE, make_file, make_page, named, unhurried
from tests.support.filtering import (
    REQUIREMENTS,
    SPECIFIERS,
    asked_for,
    enabled,
    filters_of,
    kept_versions,
    lines,
    pages,
)

NAMES = ("sample", "SAMPLE", "Sam.ple", "sam__ple", "other")
FORMS = (
    "{name}{specifier}",
    "   {name} {specifier}  # why",
    "{name}[extra]{specifier}",
    "{name}{specifier} ; python_version < '3'",
    "{name}{specifier} \\\n    --hash=sha256:" + "0" * 64,
    "{name} \\\n    {specifier}",
)
"""The same in all these forms: extras, markers, hashes and comments mean nothing to a mirror."""
NOISE = ("", "# sample==1.0", "--index-url https://index.example/simple", "-e .", "./sample-1.0.tar.gz", "--pre")


@dataclass(frozen=True, slots=True)
class Asked:
    """A line that asks for a project, and in which file it stands."""

    file: str
    name: str
    specifier: str
    form: str

    def written(self) -> str:
        return self.form.format(name=self.name, specifier=self.specifier)


def requirement_files(asked: list[Asked], noise: list[str]) -> dict[str, str]:
    """Return a file that names two others; the last of them has constraints."""
    files = {"requirements.txt": "-r more.txt\n-c constraints.txt\n", "more.txt": "", "constraints.txt": ""}
    for line in asked:
        files[line.file] += f"{line.written()}\n"
    return {name: "\n".join([*noise, text]) for name, text in files.items()}


lines_asked = st.lists(
    st.builds(
        Asked,
        st.sampled_from(["requirements.txt", "more.txt", "constraints.txt"]),
        st.sampled_from(NAMES),
        st.sampled_from(SPECIFIERS),
        st.sampled_from(FORMS),
    ),
    min_size=1,
    max_size=5,
)


@unhurried
@given(lines_asked, st.lists(st.sampled_from(NOISE), max_size=3))
def test_the_projects_that_requirement_files_name_are_kept(asked: list[Asked], noise: list[str]) -> None:
    text, files = enabled("project_requirements") + REQUIREMENTS, requirement_files(asked, noise)
    wanted = {canonicalize_name(each.name) for each in asked if each.file != "constraints.txt"}
    if not wanted:
        with pytest.raises(ConfigError, match="the mirror would have nothing, or everything"):
            filters_of(text, files)
        return
    filters = filters_of(text, files)
    for name in (*NAMES, "extra"):
        assert filters.keeps_project(named(name), name) == (named(name) in wanted)


@unhurried
@given(pages(), lines_asked, st.lists(st.sampled_from(NOISE), max_size=3))
@example(
    make_page(*(make_file(f"sample-{v}.zip") for v in ("0.9", "1.0", "1.1")), versions=("0.9", "1.0", "1.1")),
    [
        Asked("more.txt", "sample", "", FORMS[0]),
        Asked("constraints.txt", "SAMPLE", ">=1.0", FORMS[0]),
        Asked("constraints.txt", "sample", "!=1.1", FORMS[0]),
    ],
    [],
)
def test_the_releases_that_requirement_files_ask_for_are_kept(
    page: ProjectPage, asked: list[Asked], noise: list[str]
) -> None:
    about = [each for each in asked if named(each.name) == SAMPLE]
    required = [each.specifier for each in about if each.file != "constraints.txt"]
    limits = [each.specifier for each in about if each.file == "constraints.txt"]
    if all(each.file == "constraints.txt" for each in asked):
        return  # nothing is asked for: an error, as the names show
    filters = filters_of(enabled("project_requirements_pinned") + REQUIREMENTS, requirement_files(asked, noise))
    assert kept_versions(filters, page) == [
        version
        for version in page.versions
        if asked_for(version, *required) and all(asked_for(version, limit) for limit in limits)
    ]


@unhurried
@given(
    st.lists(st.sampled_from(["Sample", "sample", ".*-nightly", "$", "s", "[A-Z]", "ple"]), min_size=1, max_size=3),
    st.sampled_from(["Sample", "sample", "sample-nightly", "Sample_Nightly", "OTHER", "x"]),
)
def test_patterns_match_the_beginning_of_the_displayed_name(patterns: list[str], display_name: str) -> None:
    filters = filters_of(enabled("regex_project") + lines("filter_regex", "packages", *patterns))
    matches = any(re.match(pattern, display_name) for pattern in patterns)
    assert filters.keeps_project(named(display_name), display_name) == (not matches)
    assert filters.project(named(display_name), display_name).keeps == (not matches)


def test_where_releases_are_pinned_no_other_filter_of_them_counts() -> None:
    text = enabled("project_requirements_pinned", "prerelease_release", "regex_release", "latest_release")
    text += REQUIREMENTS + "[latest_release]\nkeep = 1\n[filter_regex]\nreleases = 1.0$\n"
    versions = ("1.0", "1.1a1", "2.0")
    page = make_page(*(make_file(f"sample-{v}.tar.gz") for v in versions), versions=versions)
    for required, kept in (("Sample<2", ["1.0", "1.1a1"]), ("sample", ["2.0"]), ("other==1", [])):
        assert kept_versions(filters_of(text, {"requirements.txt": required}), page) == kept


def test_constraints_narrow_what_is_required() -> None:
    files = {"requirements.txt": "-c constraints.txt\nsample>=1\n", "constraints.txt": "sample<2\nunasked==1\n"}
    versions = ("0.9", "1.0", "2.0")
    page = make_page(*(make_file(f"sample-{v}.tar.gz") for v in versions), versions=versions)
    assert kept_versions(filters_of(enabled("project_requirements_pinned") + REQUIREMENTS, files), page) == ["1.0"]
    names = filters_of(enabled("project_requirements") + REQUIREMENTS, files)
    assert names.keeps_project(SAMPLE, "sample")
    assert not names.keeps_project(named("unasked"), "unasked")
