"""What the filters of releases keep of a page, against slow and obvious oracles built on ``packaging``."""

import itertools
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bandersnatch.model import DistributionFile, ProjectPage
from tests.support.builders import make_file, make_page, unhurried
from tests.support.filtering import SPECIFIERS, asked_for, enabled, filters_of, kept_versions, lines, pages, parsed

specified = st.lists(st.sampled_from(SPECIFIERS), min_size=1, max_size=2)


@unhurried
@given(pages(), specified)
def test_the_allowlist_keeps_the_releases_that_an_entry_asks_for(page: ProjectPage, specifiers: list[str]) -> None:
    filters = filters_of(
        enabled("allowlist_release") + lines("allowlist", "packages", *(f"Sample{s}" for s in specifiers))
    )
    wanted = [v for v in page.versions if asked_for(v, *specifiers)]
    assert kept_versions(filters, page) == wanted


@unhurried
@given(pages(), specified)
def test_the_blocklist_drops_the_releases_that_an_entry_names(page: ProjectPage, specifiers: list[str]) -> None:
    filters = filters_of(
        enabled("blocklist_release") + lines("blocklist", "packages", *(f"Sample{s}" for s in specifiers))
    )
    wanted = [v for v in page.versions if not asked_for(v, *specifiers)]
    assert kept_versions(filters, page) == wanted


@unhurried
@given(pages(), st.sampled_from([[], ["Sam_ple", "other"], ["SAMPLE"]]))
def test_pre_releases_are_those_of_pep_440(page: ProjectPage, names: list[str]) -> None:
    filters = filters_of(
        enabled("prerelease_release") + (lines("filter_prerelease", "packages", *names) if names else "")
    )
    is_meant = not names or "SAMPLE" in names
    wanted = [v for v in page.versions if not (is_meant and (version := parsed(v)) and version.is_prerelease)]
    assert kept_versions(filters, page) == wanted


@unhurried
@given(pages(), st.lists(st.sampled_from([r"1\.", r".*post", "2005r", "$", "[0-9]+$"]), min_size=1, max_size=2))
def test_patterns_match_the_beginning_of_a_version(page: ProjectPage, patterns: list[str]) -> None:
    filters = filters_of(enabled("regex_release") + lines("filter_regex", "releases", *patterns))
    assert kept_versions(filters, page) == [v for v in page.versions if not any(re.match(p, v) for p in patterns)]


@unhurried
@given(pages(), st.integers(1, 5), st.sampled_from(["version", "time"]))
@example(make_page(make_file("sample-1.0.tar.gz"), versions=("1.0",)), 1, "time")
def test_the_latest_releases_are_those_that_no_other_is_later_than(page: ProjectPage, keep: int, sort_by: str) -> None:
    filters = filters_of(enabled("latest_release") + f"[latest_release]\nkeep = {keep}\nsort_by = {sort_by}\n")
    kept = kept_versions(filters, page)
    assert len(kept) == min(keep, len(page.versions))
    files = {
        v: [f for f in page.files if f"-{v.replace('-', '_')}-" in f.filename or f"-{v}.tar" in f.filename]
        for v in page.versions
    }
    current = _current(page, files)
    assert current in kept

    def kind(version: str) -> str:
        known = parsed(version)
        return "no version" if known is None else "pre-release" if known.is_prerelease else "final"

    def is_later(one: str, other: str) -> bool:
        if sort_by == "time" and files[one][0].upload_time != files[other][0].upload_time:
            return (files[one][0].upload_time or "") > (files[other][0].upload_time or "")
        if kind(one) != kind(other):
            return kind(one) == "final" or kind(other) == "no version"
        ours, theirs = parsed(one), parsed(other)
        if ours is None or theirs is None:
            return ours is not None or (theirs is None and one > other)
        return ours > theirs

    dropped = [v for v in page.versions if v not in kept]
    for one, other in itertools.product(dropped, kept):
        assert not is_later(one, other) or other == current
    if sum(is_later(other, current) for other in page.versions if other != current) < keep:
        assert not any(is_later(one, other) for one, other in itertools.product(dropped, kept))


def _current(page: ProjectPage, files: dict[str, list[DistributionFile]]) -> str:
    """Return the version that PyPI's project page would show, but one of PEP 440 where there is any."""
    names = list(page.versions)
    rules: list[Callable[[str], bool]] = [
        lambda v: any(not f.yanked for f in files[v]),
        lambda v: (version := parsed(v)) is not None and not version.is_prerelease,
        lambda v: parsed(v) is not None,
    ]
    for rule in rules:
        names = [v for v in names if rule(v)] or names
    versions = [(version, v) for v in names if (version := parsed(v)) is not None]
    return max(versions)[1] if versions else max(names)


def test_pre_releases_take_no_place_of_final_releases() -> None:
    text = enabled("latest_release", "prerelease_release") + "[latest_release]\nkeep = 2\n"
    versions = ("1.0", "1.1", "2.0a1", "2.0a2")
    page = make_page(*(make_file(f"sample-{v}.tar.gz") for v in versions), versions=versions)
    assert kept_versions(filters_of(text), page) == ["1.0", "1.1"]
    only_latest = filters_of(enabled("latest_release") + "[latest_release]\nkeep = 3\n")
    assert kept_versions(only_latest, page) == ["1.0", "1.1", "2.0a2"]


@pytest.mark.parametrize(("keep", "kept"), [(1, ["3.0a1"]), (2, ["2.0b1", "3.0a1"]), (3, ["2.0b1", "3.0a1", "2004d"])])
def test_what_is_no_version_takes_no_place_of_pre_releases(keep: int, kept: list[str]) -> None:
    times = {"0.1-bulbasaur": "2023", "2.0b1": "2022", "3.0a1": "2021", "2004d": "2024"}
    files = (make_file(f"sample-{v}.tar.gz", upload_time=f"{year}-01-01T00:00:00Z") for v, year in times.items())
    page = make_page(*files, versions=tuple(times))
    text = enabled("latest_release") + f"[latest_release]\nkeep = {keep}\n"
    assert kept_versions(filters_of(text), page) == kept


def kept_by_time(keep: int, times: dict[str, str]) -> list[str]:
    files = (make_file(f"sample-{v}.tar.gz", upload_time=f"{day}T00:00:00Z") for v, day in times.items())
    text = enabled("latest_release") + f"[latest_release]\nkeep = {keep}\nsort_by = time\n"
    return kept_versions(filters_of(text), make_page(*files, versions=tuple(times)))


def test_by_time_what_is_no_version_keeps_the_place_of_its_upload() -> None:
    times = {"1.0": "2020-01-01", "1.1": "2021-01-01", "1.1.1d": "2023-01-01", "1.2": "2022-01-01"}
    assert kept_by_time(2, times) == ["1.1.1d", "1.2"]
    assert kept_by_time(3, times) == ["1.1", "1.1.1d", "1.2"]


def test_by_time_a_pre_release_keeps_the_place_of_its_upload() -> None:
    times = {"1.0": "2020-01-01", "1.1": "2021-01-01", "2.0b1": "2023-01-01"}
    assert kept_by_time(2, times) == ["1.1", "2.0b1"]


def test_by_time_the_current_release_has_a_place_whenever_it_came() -> None:
    times = {"1.0": "2020-01-01", "2.0b1": "2022-01-01", "2.0b2": "2023-01-01"}
    assert kept_by_time(2, times) == ["1.0", "2.0b2"]


def test_a_place_among_the_latest_is_for_what_other_filters_keep() -> None:
    text = enabled("latest_release", "blocklist_release", "exclude_platform") + "[latest_release]\nkeep = 1\n"
    text += "[blocklist]\npackages = sample==3.0\nplatforms = windows\n"
    files = (
        make_file("sample-1.0.tar.gz"),
        make_file("sample-2.0-cp39-cp39-win_amd64.whl"),
        make_file("sample-3.0.tar.gz"),
    )
    assert kept_versions(filters_of(text), make_page(*files, versions=("1.0", "2.0", "3.0"))) == ["1.0"]


def test_a_yanked_release_is_not_the_current_one() -> None:
    filters = filters_of(enabled("latest_release") + "[latest_release]\nkeep = 1\n")
    page = make_page(
        make_file("sample-1.0.tar.gz"), make_file("sample-2.0.tar.gz", yanked="broken"), versions=("1.0", "2.0")
    )
    assert kept_versions(filters, page) == ["1.0"]


def test_a_version_of_more_digits_than_python_counts_is_none() -> None:
    huge = "1" * 5000
    page = make_page(make_file("sample-1.0.tar.gz"), versions=(huge, "1.0"))
    assert kept_versions(filters_of(enabled("latest_release") + "[latest_release]\nkeep = 1\n"), page) == ["1.0"]
