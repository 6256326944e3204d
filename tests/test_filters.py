"""What the filters keep of a page, against slow and obvious oracles built on ``packaging``; and names of odd files."""

import itertools
import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags, parse_tag
from packaging.version import InvalidVersion, Version

from bandersnatch.config import Config
from bandersnatch.filters.facts import ProjectDocument, ProjectFacts
from bandersnatch.filters.filters import Filters
from bandersnatch.filters.selection import Selection
from bandersnatch.model import DistributionFile, ProjectPage
from tests.builders import SAMPLE, encoded, make_file, make_page, named, unhurried

VERSIONS = (
    "0.1-bulbasaur", "2005r", "0.9", "1.0a1", "1.0rc1.post1", "1.0", "1.0.post1", "1.1.dev3", "1.1", "1!0.5", "2.0b1",
    "2.0", "2.0+local", "10.0",
)  # fmt: skip
SPECIFIERS = ("", "==1.0", ">=1.0", "<2", "~=1.0", "!=1.1", ">=1.0a1,<1.1", "===1.0")
MIRROR = "[mirror]\ndirectory = /srv/pypi\n"
folder = Path()


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global folder  # noqa: PLW0603 - one file for all examples of a property
    folder = tmp_path_factory.mktemp("filters")


def filters_of(text: str) -> Filters:
    path = folder / "bandersnatch.conf"
    path.write_text(MIRROR + text)
    return Config.load(path).filters


def enabled(*names: str) -> str:
    return "[plugins]\nenabled =\n" + "".join(f"    {name}\n" for name in names)


def lines(section: str, option: str, *entries: str) -> str:
    return f"[{section}]\n{option} =\n" + "".join(f"    {entry}\n" for entry in entries)


def parsed(version: str) -> Version | None:
    try:
        return Version(version)
    except InvalidVersion:
        return None


def kept_versions(filters: Filters, page: ProjectPage, document: ProjectDocument | None = None) -> list[str]:
    selection = Selection(filters, page, document or ProjectDocument())
    kept = list(selection.page.versions)
    # What is told of a release and its files must be what is done.
    for release in selection.releases:
        assert all(verdict.keeps for verdict in selection.release_verdicts(release)) == (release.version in kept)
        names = {file.filename for file in selection.page.files}
        for file in release.files:
            stays = release.version in kept and all(each.keeps for each in selection.file_verdicts(release, file))
            assert stays == (file.filename in names)
    return kept


@st.composite
def pages(draw: st.DrawFn) -> ProjectPage:
    """Make up a page with a source distribution, or none, and a wheel, or none, for each version."""
    versions = draw(st.lists(st.sampled_from(VERSIONS), unique=True, min_size=1))
    files: list[DistributionFile] = []
    for version in versions:
        when = f"20{draw(st.integers(10, 26))}-01-01T00:00:00Z"
        yanked = draw(st.booleans())
        fields = {"upload_time": when, "yanked": yanked, "size": draw(st.integers(0, 1000))}
        kinds = draw(st.sampled_from(["s", "w", "sw"]))
        if "s" in kinds:
            files.append(make_file(f"sample-{version}.tar.gz", **fields))
        if "w" in kinds:
            files.append(make_file(f"sample-{version.replace('-', '_')}-py3-none-any.whl", **fields))
    return make_page(*files, versions=tuple(versions))


specified = st.lists(st.sampled_from(SPECIFIERS), min_size=1, max_size=2)


# Releases


@unhurried
@given(pages(), specified)
def test_the_allowlist_keeps_the_releases_that_an_entry_asks_for(page: ProjectPage, specifiers: list[str]) -> None:
    filters = filters_of(
        enabled("allowlist_release") + lines("allowlist", "packages", *(f"Sample{s}" for s in specifiers))
    )
    wanted = [v for v in page.versions if (version := parsed(v)) and _asked_for(version, specifiers)]
    assert kept_versions(filters, page) == wanted


@unhurried
@given(pages(), specified)
def test_the_blocklist_drops_the_releases_that_an_entry_names(page: ProjectPage, specifiers: list[str]) -> None:
    filters = filters_of(
        enabled("blocklist_release") + lines("blocklist", "packages", *(f"Sample{s}" for s in specifiers))
    )
    wanted = [v for v in page.versions if not ((version := parsed(v)) and _asked_for(version, specifiers))]
    assert kept_versions(filters, page) == wanted


def _asked_for(version: Version, specifiers: list[str]) -> bool:
    return any(SpecifierSet(each).contains(version, prereleases=True) for each in specifiers)


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

    def is_final(version: str) -> bool:
        return not ((parsed_version := parsed(version)) and parsed_version.is_prerelease)

    def is_later(one: str, other: str) -> bool:
        if is_final(one) != is_final(other):
            return is_final(one)
        if sort_by == "time" and files[one][0].upload_time != files[other][0].upload_time:
            return (files[one][0].upload_time or "") > (files[other][0].upload_time or "")
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
    """Return the version that PyPI's project page would show."""
    names = list(page.versions)
    rules: list[Callable[[str], bool]] = [
        lambda v: any(not f.yanked for f in files[v]),
        lambda v: not ((version := parsed(v)) and version.is_prerelease),
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


# Requirement files


def requirements(tmp_path: Path, text: str) -> str:
    (tmp_path / "requirements.txt").write_text(text)
    return f"[allowlist]\nrequirements_path = {tmp_path}\nrequirements = requirements.txt\n"


def test_pinned_releases_are_no_other_filters_matter(tmp_path: Path) -> None:
    text = enabled("project_requirements_pinned", "prerelease_release", "regex_release", "latest_release")
    text += "[latest_release]\nkeep = 1\n[filter_regex]\nreleases = 1.0$\n"
    page = make_page(
        *(make_file(f"sample-{v}.tar.gz") for v in ("1.0", "1.1a1", "2.0")), versions=("1.0", "1.1a1", "2.0")
    )
    pinned = filters_of(text + requirements(tmp_path, "Sample<2\n"))
    assert kept_versions(pinned, page) == ["1.0", "1.1a1"]
    assert kept_versions(filters_of(text + requirements(tmp_path, "sample\n")), page) == ["2.0"]
    assert kept_versions(filters_of(text + requirements(tmp_path, "other==1\n")), page) == []


def test_constraints_narrow_what_is_required(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("sample<2\nunasked==1\n")
    text = enabled("project_requirements_pinned") + requirements(tmp_path, "-c constraints.txt\nsample>=1\n")
    page = make_page(*(make_file(f"sample-{v}.tar.gz") for v in ("0.9", "1.0", "2.0")), versions=("0.9", "1.0", "2.0"))
    assert kept_versions(filters_of(text), page) == ["1.0"]
    names = filters_of(text.replace("_pinned", ""))
    assert names.keeps_project(SAMPLE, "sample")
    assert not names.keeps_project(named("unasked"), "unasked")


# Platforms

PYTHONS = [(2, minor) for minor in range(8)] + [(3, minor) for minor in range(16)]
PLATFORMS = (
    "any", "win32", "win_amd64", "win_arm64", "macosx_11_0_arm64", "manylinux2014_x86_64", "manylinux_2_17_aarch64",
    "linux_armv7l", "linux_aarch64", "musllinux_1_1_x86_64", "freebsd_13_amd64", "plan9_mips",
)  # fmt: skip
SYSTEMS: dict[str, tuple[str, ...]] = {
    "windows": ("win",), "win": ("win",), "macos": ("macosx",), "freebsd": ("freebsd",),
    "linux": ("linux", "manylinux", "musllinux"),
}  # fmt: skip
PYTHON_WORDS = ("py2", "py3", "py2.6", "py2.7", "py3.6", "py3.8", "py3.12")
SINGLE = {
    "-win32": "win32", "win-amd64": "win_amd64", "manylinux2014_x86_64": "manylinux2014_x86_64",
    "-manylinux_": "manylinux_2_17_aarch64", "linux_aarch64": "linux_aarch64", "musllinux": "musllinux_1_1_x86_64",
}  # fmt: skip
tags = st.builds(
    "-".join,
    st.tuples(
        st.lists(
            st.sampled_from(["py2", "py3", "py27", "py38", "cp27", "cp36", "cp38", "cp312"]),
            min_size=1,
            max_size=2,
            unique=True,
        ).map(".".join),
        st.sampled_from(["none", "abi3", "cp38", "cp36m", "cp312", "none.abi3"]),
        st.lists(st.sampled_from(PLATFORMS), min_size=1, max_size=2, unique=True).map(".".join),
    ),
)


@unhurried
@given(tags, st.lists(st.sampled_from([*SYSTEMS, *PYTHON_WORDS, *SINGLE]), min_size=1, max_size=4))
@example("py2.py3-none-any", ["py2"])
@example("py3-none-any", ["py3.6", "py3.8"])
@example("cp38-abi3-win_amd64", ["py3.8"])
def test_a_wheel_is_dropped_where_only_what_is_excluded_can_use_it(tag: str, words: list[str]) -> None:
    wheel, source = make_file(f"sample-1.0-{tag}.whl"), make_file("sample-1.0.tar.gz")
    kept = Selection(
        filters_of(enabled("exclude_platform") + f"[blocklist]\nplatforms = {' '.join(words)}\n"),
        make_page(wheel, source),
    ).page
    assert source in kept.files
    assert (wheel in kept.files) == _is_usable(tag, words)


def _is_usable(tag: str, words: list[str]) -> bool:
    """Whether any Python that is left, on any platform that is left, supports the wheel, or none of all does."""
    starts = tuple(start for word in words if word in SYSTEMS for start in SYSTEMS[word])
    singles = {SINGLE[word] for word in words if word in SINGLE}
    platforms = [p for p in PLATFORMS[1:] if not p.startswith(starts or ("\0",)) and p not in singles]
    gone = {word.removeprefix("py") for word in words if word in PYTHON_WORDS}
    left = [(x, y) for x, y in PYTHONS if f"{x}.{y}" not in gone and str(x) not in gone]
    supported = parse_tag(tag) & _supported(PYTHONS, PLATFORMS[1:])
    if parse_tag(tag) - supported:  # what no Python of these supports is not told to be excluded, but for its platform
        unsupported = parse_tag(tag) - supported
        if any(
            t.platform not in singles
            and not t.platform.startswith(starts or ("\0",))
            and not _names(t.interpreter, gone, t.abi)
            for t in unsupported
        ):
            return True
    return bool(parse_tag(tag) & _supported(left, platforms))


def _names(interpreter: str, gone: set[str], abi: str) -> bool:
    """Whether a tag that no Python supports is of an excluded version all the same."""
    major, minor = interpreter[2], interpreter[3:]
    if major in gone:
        return True
    if not minor:
        return False
    if interpreter.startswith("py") or abi == "abi3":
        return major == "2" and all(f"2.{y}" in gone for y in range(int(minor), 8))
    return f"{major}.{minor}" in gone


@cache
def _supported_by(version: tuple[int, int], platforms: tuple[str, ...]) -> frozenset[Tag]:
    name = f"cp{version[0]}{version[1]}"
    own = cpython_tags(version, abis=[name, f"{name}m"], platforms=platforms)
    return frozenset(own) | frozenset(compatible_tags(version, name, platforms))


def _supported(pythons: list[tuple[int, int]], platforms: Sequence[str]) -> frozenset[Tag]:
    return frozenset[Tag]().union(*(_supported_by(version, tuple(platforms)) for version in pythons))


@pytest.mark.parametrize(
    ("filename", "words", "is_kept"),
    [
        ("sample-1.0.win32.exe", "windows", False),
        ("sample-1.0.win-amd64-py2.7.exe", "linux", True),
        ("sample-1.0.win-amd64-py2.7.exe", "py2.7", False),
        ("sample-1.0.win-amd64-py2.7.msi", "win", False),
        ("sample-1.0.exe", "windows", False),
        ("sample-1.0-py2.7.egg", "py2.7", False),
        ("sample-1.0-py2.7.egg", "py2", False),
        ("sample-1.0-py3.6.egg", "py2 windows", True),
        ("sample-1.0-py3.6-win32.egg", "windows", False),
        ("sample-1.0-py3.6-macosx-10.9-x86_64.egg", "macos", False),
        ("sample-1.0-1.noarch.rpm", "linux", False),
        ("sample-1.0.dmg", "macosx", False),
        ("sample-1.0.linux-x86_64.tar.gz", "linux", False),
        ("sample-1.0.linux-x86_64.tar.gz", "linux-x86_64", False),
        ("sample-1.0.macosx-10.9-x86_64.tar.gz", "linux", True),
        ("sample-1.0.freebsd-13-amd64.tar.gz", "freebsd", False),
        ("sample-1.0.win32.zip", ".win32", False),
        ("sample-1.0.tar.gz", "windows macos linux freebsd py2 py3", True),
        ("sample-1.0.zip", "windows macos linux freebsd py2 py3", True),
        ("sample-nonsense.whl", "windows macos linux freebsd py2 py3", True),
        ("sample-1.0-pp39-pypy39_pp73-win_amd64.whl", "py3.9", False),
        ("sample-1.0-1_legacy-cp27-none-win32.whl", "windows", False),
        ("sample-1.0-cp313-cp313-ios_13_0_arm64_iphoneos.whl", "ios", False),
        ("sample-1.0-cp313-cp313-pyodide_2024_0_wasm32.whl", "pyodide", False),
        ("sample-1.0-cp39-cp39-manylinux2014_riscv64.whl", "linux", False),
    ],
)
def test_files_that_are_no_wheels_tell_what_they_are_for_by_their_names(
    filename: str, words: str, is_kept: bool
) -> None:
    filters = filters_of(enabled("exclude_platform") + f"[blocklist]\nplatforms = {words}\n")
    assert bool(Selection(filters, make_page(make_file(filename))).page.files) == is_kept


# The release of a file


@pytest.mark.parametrize(
    ("filename", "version"),
    [
        ("sample-1.0.tar.gz", "1.0"),
        ("Sample-1.0.0.zip", "1.0"),
        ("sample-1.0-py3-none-any.whl", "1.0"),
        ("sample-1.0.0-1-py3-none-any.whl", "1.0"),
        ("sample-1.0_beta-py2-none-any.whl", "1.0-beta"),
        ("sample-1.0-beta.tar.gz", "1.0-beta"),
        ("sample-1.0-py2.7.egg", "1.0"),
        ("sample-1.0-py2.7-win32.egg", "1.0"),
        ("sample-1.0.win-amd64-py2.7.exe", "1.0"),
        ("sample-1.0.linux-x86_64.tar.gz", "1.0"),
        ("sample-1.0-1.noarch.rpm", "1.0"),
        ("sample-1.0.post1.tar.gz", "1.0.post1"),
        ("sample-1.0-1.tar.gz", "1.0.post1"),
        ("sample-2005r.tar.bz2", "2005r"),
        ("sample-0.1_BULBASAUR.tar.gz", "0.1-bulbasaur"),
        ("sample-1.0+local.tar.gz", "1.0+local"),
        ("sample-7.7.tar.gz", "7.7"),
        ("sample-7.7-py3-none-any.whl", "7.7"),
    ],
)
def test_a_file_belongs_to_the_release_that_its_name_begins_with(filename: str, version: str) -> None:
    versions = ("1.0", "1.0-beta", "1.0.post1", "2005r", "0.1-bulbasaur", "1.0+local")
    selection = Selection(Filters(), make_page(make_file(filename), versions=versions))
    (release,) = [each for each in selection.releases if each.files]
    assert release.version == version


def test_where_there_is_json_it_tells_the_release() -> None:
    page = make_page(make_file("sample-1.0.tar.gz"), versions=("1.0", "1.0.0"))
    document = ProjectDocument.parse(encoded({"releases": {"1.0": [], "1.0.0": [{"filename": "sample-1.0.tar.gz"}]}}))
    (release,) = [each for each in Selection(Filters(), page, document).releases if each.files]
    assert release.version == "1.0.0"


@unhurried
@given(st.text(max_size=30), st.text(max_size=10))
def test_no_name_and_no_version_is_too_odd(tail: str, version: str) -> None:
    names = ("latest_release", "exclude_platform", "prerelease_release", "blocklist_release", "exclude_newer")
    text = enabled(*names) + "[latest_release]\nkeep = 1\n[blocklist]\npackages = sample>1\nplatforms = py2 windows\n"
    filters = filters_of(text + "[exclude_newer]\ndate = 2024-01-01\n")
    for filename in (f"sample-{tail}", f"sample-{tail}.whl", f"sample-{tail}-cp39-cp39-win32.whl", f"{tail}.egg"):
        page = make_page(make_file(filename), make_file("sample-1.tar.gz"), versions=(version, "1"))
        kept_versions(filters, page)


# Metadata


@unhurried
@given(
    st.sampled_from(["any", "all", "none", ""]),
    st.sampled_from(["match-null", "not-null", ""]),
    st.lists(st.sampled_from(["Python", "Topic", ".*::", "false", "7"]), min_size=1, max_size=2, unique=True),
    st.none()
    | st.booleans()
    | st.integers(7, 8)
    | st.sampled_from(["Python :: 3", ""])
    | st.lists(st.sampled_from(["Topic :: A", "Python :: 3"])),
)
def test_patterns_match_the_values_of_metadata_as_their_tags_say(
    match: str, null: str, patterns: list[str], value: object
) -> None:
    key = ":".join(each for each in (null, match, "info.classifiers") if each)
    filters = filters_of(enabled("regex_project_metadata") + lines("regex_project_metadata", key, *patterns))
    assert filters.needs_json
    values = value if isinstance(value, list) else [] if value is None else [value]
    texts = [each if isinstance(each, str) else json.dumps(each) for each in values]
    hits = [any(re.match(pattern, text) for text in texts) for pattern in patterns]
    wanted = (
        {"any": any(hits), "": any(hits), "all": all(hits), "none": not any(hits)}[match]
        if texts
        else null != "not-null"
    )
    document = ProjectDocument.parse(encoded({"info": {"classifiers": value}}))
    verdict = filters.metadata_of(ProjectFacts(make_page(), document))
    assert verdict.keeps == wanted, verdict


@unhurried
@given(
    st.none() | st.sampled_from(["", ">=3.8", "<3", ">=2.7, !=3.0.*", "~=3.6", ">=3.6.*", "3.6", "*", ">=3.6 <4"]),
    st.lists(st.sampled_from(["2.7", "3.6", "3.12", "3.14.0a1"]), min_size=1, max_size=2),
    st.sampled_from(["", "not-null:", "match-null:"]),
)
def test_a_range_must_contain_one_of_the_versions(requires: str | None, versions: list[str], tag: str) -> None:
    text = enabled("version_range_release_file_metadata")
    filters = filters_of(
        text + lines("version_range_release_file_metadata", f"{tag}release_file.requires_python", *versions)
    )
    assert not filters.needs_json
    wanted = tag != "not-null:"
    if requires:
        try:
            wanted = any(SpecifierSet(requires).contains(v, prereleases=True) for v in versions)
        except ValueError:
            wanted = True
    page = make_page(make_file("sample-1.0.tar.gz", requires_python=requires))
    assert bool(Selection(filters, page).page.files) == wanted


def test_the_range_of_a_project_is_in_its_json() -> None:
    text = enabled("version_range_project_metadata") + lines(
        "version_range_project_metadata", "info.requires_python", "2.7"
    )
    filters = filters_of(text)
    for requires, is_kept in ((">=3", False), (">=2", True), (None, True)):
        document = ProjectDocument.parse(encoded({"info": {"requires_python": requires}}))
        assert filters.metadata_of(ProjectFacts(make_page(), document)).keeps == is_kept


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


# Upload time


@pytest.mark.parametrize(
    ("when", "is_kept"),
    [
        ("2025-12-31T23:59:59.999999Z", True),
        ("2026-01-01T00:00:00Z", False),
        (None, False),
        ("2025-01-01T00:00:00", True),
    ],
)
def test_what_was_uploaded_later_is_dropped(when: str | None, is_kept: bool) -> None:
    for date in ("2026-01-01", "2026-01-01T01:00:00+01:00", "2026-01-01 00:00"):
        filters = filters_of(enabled("exclude_newer") + f"[exclude_newer]\ndate = {date}\n")
        assert bool(Selection(filters, make_page(make_file("sample-1.0.zip", upload_time=when))).page.files) == is_kept


# All together

SECTIONS: dict[str, Callable[[], str]] = {
    "allowlist_release": lambda: "",
    "blocklist_release": lambda: "",
    "exclude_newer": lambda: "[exclude_newer]\ndate = 2020-01-01\n",
    "exclude_platform": lambda: "",
    "latest_release": lambda: "[latest_release]\nkeep = 2\n",
    "prerelease_release": lambda: "",
    "regex_release": lambda: "[filter_regex]\nreleases = 2005\n",
    "version_range_release_file_metadata": lambda: lines(
        "version_range_release_file_metadata", "release_file.requires_python", "3.9"
    ),
}
LISTS = "[allowlist]\npackages = sample>=0.9\n[blocklist]\npackages = sample==2.0\nplatforms = py2\n"


@unhurried
@given(pages(), st.permutations(sorted(SECTIONS)), st.integers(1, len(SECTIONS)))
def test_the_order_of_filters_means_nothing(page: ProjectPage, names: list[str], count: int) -> None:
    chosen = names[:count]
    text = LISTS + "".join(SECTIONS[name]() for name in SECTIONS)
    one, other = filters_of(enabled(*chosen) + text), filters_of(text + enabled(*reversed(chosen)))
    assert one == other
    assert one.fingerprint == other.fingerprint
    kept = kept_versions(one, page)
    for name in chosen:  # what a filter keeps together with others, it keeps alone; but for the places of the latest
        if name != "latest_release":
            assert set(kept) <= set(kept_versions(filters_of(enabled(name) + text), page))


@pytest.mark.parametrize("word", ["freebsd", ".freebsd", "-freebsd"])
def test_a_system_may_be_named_as_its_files_spell_it(word: str) -> None:
    filters = filters_of(enabled("exclude_platform") + f"[blocklist]\nplatforms = {word}\n")
    page = make_page(make_file("sample-1.0-cp39-cp39-freebsd_13_amd64.whl"), make_file("sample-1.0.tar.gz"))
    assert [file.filename for file in Selection(filters, page).page.files] == ["sample-1.0.tar.gz"]
