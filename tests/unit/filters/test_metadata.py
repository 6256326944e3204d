"""What the filters by metadata keep: patterns and ranges of projects and of files, against oracles; sizes and counts."""

import json
import re
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from bandersnatch.filters.facts import ProjectDocument, ProjectFacts
from bandersnatch.filters.selection import Selection
from tests.support.builders import encoded, make_file, make_page, unhurried
from tests.support.filtering import enabled, filters_of, lines

RANGES = ("", ">=3.8", "<3", ">=2.7, !=3.0.*", "~=3.6", ">=3.6.*", "3.6", "*", ">=3.6 <4")


@dataclass(frozen=True, slots=True)
class Patterns:
    """What an option of patterns asks for; an empty tag stands for the default."""

    match: str
    null: str
    patterns: list[str]

    def option(self, path: str) -> str:
        return ":".join(each for each in (self.null, self.match, path) if each)

    def let_pass(self, value: object) -> bool:
        values = value if isinstance(value, list) else [] if value is None else [value]
        texts = [each if isinstance(each, str) else json.dumps(each) for each in values]
        if not texts:
            return self.null != "not-null"
        hits = [any(re.match(pattern, text) for text in texts) for pattern in self.patterns]
        return {"any": any(hits), "": any(hits), "all": all(hits), "none": not any(hits)}[self.match]


@dataclass(frozen=True, slots=True)
class Running:
    """What an option of versions asks for: those that somebody runs."""

    null: str
    versions: list[str]

    def option(self, path: str) -> str:
        return ":".join(each for each in (self.null, path) if each)

    def let_pass(self, requires: str | None) -> bool:
        if not requires:
            return self.null != "not-null"
        try:
            return any(SpecifierSet(requires).contains(version, prereleases=True) for version in self.versions)
        except InvalidSpecifier:
            return True


nulls = st.sampled_from(["match-null", "not-null", ""])
asked = st.builds(
    Patterns,
    st.sampled_from(["any", "all", "none", ""]),
    nulls,
    st.lists(st.sampled_from(["Python", "Topic", ".*::", "false", "7"]), min_size=1, max_size=2, unique=True),
)
found = (
    st.none()
    | st.booleans()
    | st.integers(7, 8)
    | st.sampled_from(["Python :: 3", ""])
    | st.lists(st.sampled_from(["Topic :: A", "Python :: 3"]))
)
running = st.builds(
    Running, nulls, st.lists(st.sampled_from(["2.7", "3.6", "3.12", "3.14.0a1"]), min_size=1, max_size=2)
)


# Projects


@unhurried
@given(asked, found)
def test_patterns_match_the_values_of_metadata_as_their_tags_say(patterns: Patterns, value: object) -> None:
    options = lines("regex_project_metadata", patterns.option("info.classifiers"), *patterns.patterns)
    filters = filters_of(enabled("regex_project_metadata") + options)
    assert filters.needs_json
    document = ProjectDocument.parse(encoded({"info": {"classifiers": value}}))
    verdict = filters.metadata_of(ProjectFacts(make_page(), document))
    assert verdict.keeps == patterns.let_pass(value), verdict


@unhurried
@given(running, st.none() | st.sampled_from(RANGES))
def test_the_range_of_a_project_must_contain_one_of_the_versions(wanted: Running, requires: str | None) -> None:
    options = lines("version_range_project_metadata", wanted.option("info.requires_python"), *wanted.versions)
    filters = filters_of(enabled("version_range_project_metadata") + options)
    assert filters.needs_json
    document = ProjectDocument.parse(encoded({"info": {"requires_python": requires}}))
    verdict = filters.metadata_of(ProjectFacts(make_page(), document))
    assert verdict.keeps == wanted.let_pass(requires), verdict


@unhurried
@given(
    st.lists(st.integers(0, 3000), max_size=4),
    st.sampled_from(["2K", "0.5K", "4000", "2 KiB", "4 kB", "1024 bytes"]),
    st.booleans(),
)
def test_a_project_is_too_large_as_a_whole(sizes: list[int], most: str, is_exempt: bool) -> None:
    text = enabled("size_project_metadata") + f"[size_project_metadata]\nmax_package_size = {most}\n"
    filters = filters_of(text + (lines("allowlist", "packages", "sample>1") if is_exempt else ""))
    limit = {"2K": 2048, "0.5K": 512, "4000": 4000, "2 KiB": 2048, "4 kB": 4096, "1024 bytes": 1024}[most]
    page = make_page(*(make_file(f"sample-{number}.zip", size=size) for number, size in enumerate(sizes)))
    assert filters.metadata_of(ProjectFacts(page)).keeps == (is_exempt or sum(sizes) <= limit)
    assert not filters.needs_json


@unhurried
@given(st.integers(0, 6), st.integers(0, 3), st.sampled_from([0, 3, 5]), st.booleans())
def test_a_project_has_too_few_or_too_many_versions(count: int, least: int, most: int, is_exempt: bool) -> None:
    if not least and not most:
        return
    text = enabled("versions_count_project_metadata")
    text += f"[versions_count_project_metadata]\nmin_versions = {least}\nmax_versions = {most}\n"
    filters = filters_of(text + (lines("allowlist", "packages", "sample") if is_exempt else ""))
    page = make_page(versions=tuple(map(str, range(count))))
    wanted = is_exempt or (count >= least and (count <= most or not most))
    assert filters.metadata_of(ProjectFacts(page)).keeps == wanted
    files = [make_file(f"sample-{number}.{kind}") for number in range(count) for kind in ("zip", "tar.gz")]
    untold = make_page(*files, versions=())
    assert filters.metadata_of(ProjectFacts(untold)).keeps == wanted


# Files


@unhurried
@given(asked, st.lists(found, min_size=1, max_size=3))
def test_patterns_match_the_values_of_each_file_as_their_tags_say(patterns: Patterns, values: list[object]) -> None:
    options = lines("regex_release_file_metadata", patterns.option("release_file.comment_text"), *patterns.patterns)
    filters = filters_of(enabled("regex_release_file_metadata") + options)
    assert filters.needs_json
    by_name = {f"sample-{number}.0.tar.gz": value for number, value in enumerate(values)}
    entries = {f"{number}.0": [{"filename": n, "comment_text": v}] for number, (n, v) in enumerate(by_name.items())}
    page = make_page(*map(make_file, by_name), versions=tuple(entries))
    kept = Selection(filters, page, ProjectDocument.parse(encoded({"releases": entries}))).page
    assert [file.filename for file in kept.files] == [n for n, value in by_name.items() if patterns.let_pass(value)]


@unhurried
@given(asked, found)
def test_patterns_for_files_see_what_is_said_of_their_project(patterns: Patterns, value: object) -> None:
    options = lines("regex_release_file_metadata", patterns.option("info.classifiers"), *patterns.patterns)
    filters = filters_of(enabled("regex_release_file_metadata") + options)
    document = ProjectDocument.parse(encoded({"info": {"classifiers": value}}))
    kept = Selection(filters, make_page(make_file("sample-1.0.tar.gz")), document).page
    assert bool(kept.files) == patterns.let_pass(value)


@unhurried
@given(st.lists(st.sampled_from([r"sample-1", r".*\.whl", "1", "$", "[12]"]), min_size=1, max_size=2, unique=True))
def test_patterns_of_what_the_page_tells_need_no_json(patterns: list[str]) -> None:
    text = enabled("regex_release_file_metadata")
    by_name = filters_of(text + lines("regex_release_file_metadata", "release_file.filename", *patterns))
    by_version = filters_of(text + lines("regex_release_file_metadata", "release", *patterns))
    assert not by_name.needs_json
    assert not by_version.needs_json
    page = make_page(make_file("sample-1.0.tar.gz"), make_file("sample-2.0-py3-none-any.whl"), versions=("1.0", "2.0"))
    matching = [file for file in page.files if any(re.match(p, file.filename) for p in patterns)]
    assert list(Selection(by_name, page).page.files) == matching
    assert list(Selection(by_version, page).page.versions) == [
        version for version in page.versions if any(re.match(p, version) for p in patterns)
    ]


@unhurried
@given(running, st.none() | st.sampled_from(RANGES))
def test_the_range_of_a_file_must_contain_one_of_the_versions(wanted: Running, requires: str | None) -> None:
    options = lines(
        "version_range_release_file_metadata", wanted.option("release_file.requires_python"), *wanted.versions
    )
    filters = filters_of(enabled("version_range_release_file_metadata") + options)
    assert not filters.needs_json
    page = make_page(make_file("sample-1.0.tar.gz", requires_python=requires))
    assert bool(Selection(filters, page).page.files) == wanted.let_pass(requires)


def test_a_range_of_more_digits_than_python_counts_is_none() -> None:
    options = lines("version_range_release_file_metadata", "release_file.requires_python", "3.11")
    page = make_page(make_file("sample-1.0.tar.gz", requires_python=f">={'1' * 5000}"))
    assert Selection(filters_of(enabled("version_range_release_file_metadata") + options), page).page.files


def test_patterns_of_files_see_the_json_where_the_page_does_not_tell() -> None:
    text = enabled("regex_release_file_metadata") + lines(
        "regex_release_file_metadata", "release_file.packagetype", "sdist"
    )
    filters = filters_of(text)
    assert filters.needs_json
    files = [make_file("sample-1.0.tar.gz"), make_file("sample-1.0-py3-none-any.whl")]
    entries = [
        {"filename": file.filename, "packagetype": kind}
        for file, kind in zip(files, ("sdist", "bdist_wheel"), strict=True)
    ]
    document = ProjectDocument.parse(encoded({"releases": {"1.0": entries}}))
    assert Selection(filters, make_page(*files), document).page.files == (files[0],)
