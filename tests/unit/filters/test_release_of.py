"""Which release a file belongs to, as filters see it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.filters.facts import ProjectDocument
from bandersnatch.filters.filters import Filters
from bandersnatch.filters.selection import Selection
from tests.support.builders import encoded, make_file, make_page, unhurried
from tests.support.filtering import enabled, filters_of, kept_versions


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


@pytest.mark.parametrize(
    ("filename", "version"),
    [
        ("python-sample_0.0_all.deb", "0.0"),
        ("sample 1.0.zip", "1.0"),
        ("sample2.0.tar.gz", "2.0"),
        ("sam-ple-1.5rc1.tar.gz", "1.5rc1"),
        ("日本-0.3.1.tar.gz", "0.3.1"),
        ("other-1.0-py3-none-any.whl", "1.0"),
        ("other-11.0.zip", ""),
        ("other-1.0.1.zip", ""),
        ("other_1.0_for_2.0.zip", ""),
        ("日本.zip", ""),
        ("sample-latest.tar.gz", ""),
        ("sample-latest-py3-none-any.whl", ""),
    ],
)
def test_a_file_of_another_name_belongs_to_the_release_whose_version_it_has(filename: str, version: str) -> None:
    versions = ("0.0", "0.3.1", "1.0", "1.5", "1.5rc1", "2.0")
    (release,) = [
        each for each in Selection(Filters(), make_page(make_file(filename), versions=versions)).releases if each.files
    ]
    assert release.version == version


NO_RELEASE = "日本.zip"


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        (enabled("latest_release") + "[latest_release]\nkeep = 1\n", True),
        (enabled("prerelease_release"), True),
        (enabled("regex_release") + "[filter_regex]\nreleases = .*\n", True),
        (enabled("blocklist_release") + "[blocklist]\npackages = sample>0\n", True),
        (enabled("allowlist_release") + "[allowlist]\npackages = sample==1.0\n", True),
        (enabled("allowlist_release") + "[allowlist]\npackages = other==1.0\n", False),
        (enabled("exclude_newer") + "[exclude_newer]\ndate = 2020-01-01\n", False),
        (
            enabled("regex_release_file_metadata")
            + "[regex_release_file_metadata]\nnone:release_file.filename = .*zip$\n",
            False,
        ),
        (enabled("regex_release_file_metadata") + "[regex_release_file_metadata]\nany:release = 1\n", True),
        (enabled("regex_release_file_metadata") + "[regex_release_file_metadata]\nnot-null:release = 1\n", False),
    ],
)
def test_a_file_of_no_release_stays_unless_a_filter_speaks_of_it(text: str, stays: bool) -> None:
    strange = make_file(NO_RELEASE, upload_time="2024-01-01T00:00:00Z")
    page = make_page(strange, make_file("sample-1.0.tar.gz"), make_file("sample-2.0.tar.gz"), versions=("1.0", "2.0"))
    selection = Selection(filters_of(text), page)
    assert (NO_RELEASE in {file.filename for file in selection.page.files}) == stays
    kept_versions(filters_of(text), page)


def test_a_file_of_no_release_takes_no_place_of_the_latest_ones() -> None:
    filters = filters_of(enabled("latest_release") + "[latest_release]\nkeep = 1\n")
    files = [make_file(name, upload_time="2024-01-01T00:00:00Z") for name in (NO_RELEASE, "sample-1.0.tar.gz")]
    page = Selection(filters, make_page(*files, versions=("1.0",))).page
    assert [file.filename for file in page.files] == [NO_RELEASE, "sample-1.0.tar.gz"]
    assert page.versions == ("1.0",)


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
