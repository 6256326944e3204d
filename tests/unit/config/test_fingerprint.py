"""The fingerprint of a configuration: it differs where pages do."""

from pathlib import Path

import pytest

from bandersnatch.config.config import Config
from bandersnatch.config.fingerprint import changed_between
from tests.support.config_text import PUBLIC, load, load_option
from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"


@pytest.mark.parametrize(
    "line",
    [
        "simple-format = JSON",
        "hash-index = true",
        "root_uri = https://cdn.example",
        "digest_name = md5",
        "release-files = false",
        "core-metadata = false",
        "json = true",
        "deleted = keep",
        "deleted = hide",
        "keep_index_versions = 3",
        "cleanup = true",
    ],
)
def test_the_fingerprint_differs_with_each_option_that_pages_show(path: Path, line: str) -> None:
    plain = load_option(path, "workers", "1").fingerprint
    assert load_option(path, "workers", "1", line).fingerprint != plain


@pytest.mark.parametrize(
    "line",
    [
        "workers = 2",
        "timeout = 5",
        "stop-on-error = true",
        "compare-method = hash",
        "max-removals = 7",
        "reserve = 1G",
        "verifiers = 9",
        "global-timeout = 9",
        "api-method = simple",
        "download-mirror = https://m.example",
        "diff-file = /srv/changed",
        "storage-filesystem-manage-permissions = false",
    ],
)
def test_the_fingerprint_does_not_differ_with_options_that_pages_do_not_show(path: Path, line: str) -> None:
    plain = load_option(path, "proxy", "").fingerprint
    assert load_option(path, "proxy", "", line).fingerprint == plain


EVERY_FILTER = Path(__file__).parents[2] / "data" / "every-filter.conf"
PAGES = """\
allowlist_release:1(specifiers={'numpy':{''},'six':{'>=1'}})
blocklist_release:1(specifiers={'bar':{''},'foo':{'<2'}})
exclude_newer:1(moment='2024-01-01 00:00:00+00:00')
exclude_platform:1(platforms={'linux_i686'},pythons={(2,None)},systems={'windows'})
latest_release:1(keep=3,sort_by='time')
prerelease_release:1(names={'numpy'})
regex_project_metadata:1(rules=((match='any',path=(names=('info','classifiers')),patterns=('Programming'))))
regex_release:1(patterns=('.+rc\\\\d$'))
regex_release_file_metadata:1(rules=((match='any',path=(names=('release_file','packagetype'),nulls_match=True),patterns=('sdist'))))
size_project_metadata:1(exempt={'numpy','six'},max_bytes=1073741824)
version_range_release_file_metadata:1(rules=((path=(names=('info','requires_python')),versions=('3.10'))))
versions_count_project_metadata:1(exempt={'numpy','six'},min_versions=2)"""
NAMES = """\
allowlist_project:1(names={'numpy','six'})
blocklist_project:1(names={'bar'})
regex_project:1(patterns=('.+-nightly'))"""
TODAY = (
    f"{PUBLIC} form=1:6901e0cf6c740699a2f9d4b3c8eea3ea72a1ff8f67449119cffe5dc2b9da7048 "
    "pages=1:c76094cd94b7c1271a86da5634ae3d6e281cda2de2dadb534cc0c72d4ff3e794 "
    "names=1:0a927760761c10a9867216e82e6b3e8d80f7821d1a6d5d5815a39d95f81b0ff5"
)
BEFORE = (
    f"{PUBLIC} 03a18fefa1e9a1d81a3e7f6e28b1e0fa40e7b7436ba8e1f382ef3afa065fa761 "
    "b749780ca7740ca71e995dab3540f788371bec3e75edc095930432b04f3f4c24 "
    "2ce3fa5d2f4d1acdf56a3b5a64983ec6e5ac447d0ceeff46e4ce918a01fb343d"
)
"""What the code before 9.0 wrote for the same file."""
# Where one of these differs, every mirror checks again all that the part is about: raise a version only if that is meant.


def test_the_fingerprint_is_what_it_was() -> None:
    config = Config.load(EVERY_FILTER)
    assert config.filters.of_pages.text == PAGES
    assert config.filters.of_names.text == NAMES
    assert config.fingerprint == TODAY


def test_the_fingerprint_of_the_defaults_is_what_it_was(path: Path) -> None:
    form = "form=1:3f969867b5068a098e34de7cac44fd7a4965194702937f644e7eec9a90bf86bf"
    assert load_option(path, "workers", "1").fingerprint == f"{PUBLIC} {form} pages=1:- names=1:-"


def test_the_fingerprint_tells_searching_from_matching(path: Path) -> None:
    config = load(path, EVERY_FILTER.read_text().replace("[filter_regex]\n", "[filter_regex]\nsearch = true\n"))
    assert config.filters.of_names.text == NAMES.replace("regex_project:1", "regex_project:1:search")
    assert config.filters.of_pages.text == PAGES.replace("regex_release:1", "regex_release:1:search")


def test_the_fingerprint_of_older_code_counts_as_todays() -> None:
    config = Config.load(EVERY_FILTER)
    assert config.renewed(BEFORE) == TODAY
    assert config.renewed(TODAY) == TODAY


def test_of_the_fingerprint_of_older_code_only_what_is_different_is_kept(path: Path) -> None:
    text = EVERY_FILTER.read_text().replace("keep = 3", "keep = 4")
    config = load(path, text)
    index, form, _, names = TODAY.split(" ")
    assert config.renewed(BEFORE).split(" ") == [index, form, BEFORE.split(" ")[2], names]
    assert changed_between(config.renewed(BEFORE), config.fingerprint) == ("filters of metadata, releases and files",)


def test_a_new_version_of_a_part_is_a_change_of_that_part_alone() -> None:
    index, form, pages, names = TODAY.split(" ")
    other = " ".join((index, form, pages.replace("=1:", "=2:"), names))
    assert changed_between(TODAY, other) == ("filters of metadata, releases and files",)


def test_a_mirror_of_older_code_goes_on_with_nothing_checked_again(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.filters = "[plugins]\nenabled = blocklist_project\n[blocklist]\npackages = bar\n"
    rig.run()
    path = rig.directory / "fingerprint"
    today = path.read_text()
    path.write_text(
        f"{pypi.url} 9f2200878357065f4a4fd7eec51c143db988b96a0d258deb45a197f8485fd1ea - "
        "9f6eaa668cce032208fe4ef0703dee34db6372bcb0b794cc76600be218d389fc\n"
    )
    pypi.clear_requests()
    assert rig.run().updated == 0
    assert pypi.page_requests() == []
    assert path.read_text() == today
