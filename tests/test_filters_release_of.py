"""Which release a file belongs to, as filters see it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.filters.facts import ProjectDocument
from bandersnatch.filters.filters import Filters
from bandersnatch.filters.selection import Selection
from tests.builders import encoded, make_file, make_page, unhurried
from tests.filtering import enabled, filters_of, kept_versions


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
