"""Patterns match at the beginning, or anywhere; where an operator may expect the one and gets the other, that is told."""

from pathlib import Path

import pytest

from bandersnatch.config.config import Config
from bandersnatch.errors import ConfigError
from tests.support.builders import make_file, make_page, named
from tests.support.fakepypi import FakePyPI
from tests.support.filtering import enabled, filters_of, kept_versions
from tests.support.rig import Rig

NAMES = ["nightly-tools", "tf-nightly", "other", "TF-Nightly"]


def regex(packages: str, search: str | None = None) -> str:
    lines = f"[filter_regex]\npackages = {packages}\n" + (f"search = {search}\n" if search is not None else "")
    return enabled("regex_project") + lines


@pytest.mark.parametrize(
    ("packages", "search", "kept"),
    [
        ("nightly", None, ["tf-nightly", "other", "TF-Nightly"]),
        ("nightly", "false", ["tf-nightly", "other", "TF-Nightly"]),
        ("nightly", "true", ["other", "TF-Nightly"]),
        ("nightly$", "Yes", ["nightly-tools", "other", "TF-Nightly"]),
        ("^nightly", "true", ["tf-nightly", "other", "TF-Nightly"]),
        ("(?i)nightly", "on", ["other"]),
    ],
)
def test_names_are_dropped_by_the_beginning_or_anywhere(packages: str, search: str | None, kept: list[str]) -> None:
    filters = filters_of(regex(packages, search))
    assert [name for name in NAMES if filters.keeps_project(named(name), name)] == kept


@pytest.mark.parametrize(("search", "kept"), [("false", ["1.0.dev1", "2.0"]), ("true", ["2.0"])])
def test_versions_are_dropped_by_the_beginning_or_anywhere(search: str, kept: list[str]) -> None:
    text = enabled("regex_release") + f"[filter_regex]\nreleases = dev\nsearch = {search}\n"
    versions = ("1.0.dev1", "2.0")
    page = make_page(*(make_file(f"sample-{v}.tar.gz") for v in versions), versions=versions)
    assert kept_versions(filters_of(text), page) == kept


def test_what_does_not_search_decides_as_before_and_has_the_same_fingerprint() -> None:
    assert filters_of(regex("a")).text == filters_of(regex("a", "no")).text
    assert filters_of(regex("a")).text != filters_of(regex("a", "yes")).text


def test_another_value_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "bandersnatch.conf"
    path.write_text("[mirror]\ndirectory = /srv/pypi\n" + regex("a", "maybe"))
    with pytest.raises(ConfigError, match="search: maybe: expected true or false"):
        Config.load(path)


@pytest.mark.parametrize(
    ("packages", "search", "is_told"),
    [
        ("nightly", None, True),
        ("nightly$", None, True),
        ("nightly", "true", False),
        ("^nightly", None, False),
        (".*nightly", None, False),
        ("none-such", None, False),
    ],
)
@pytest.mark.parametrize("is_dry", [False, True])
def test_what_would_match_elsewhere_is_told_by_a_run_over_all_projects(
    rig: Rig, pypi: FakePyPI, packages: str, search: str | None, is_told: bool, is_dry: bool
) -> None:
    for name in ("tf-nightly", "other", "un-nightly"):
        pypi.add_file(name, "1.0")
    rig.filters = regex(packages, search)
    told = rig.call("mirror", *(["--dry-run"] if is_dry else [])).stderr
    assert ("which matches at the beginning of names only" in told) == is_told
    if is_told:
        assert f"[filter_regex] packages has '{packages}'" in told
        assert "such as tf-nightly, are kept (2 in all)" in told


def test_it_is_not_told_again_where_nothing_else_has_changed(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("tf-nightly", "1.0")
    rig.filters = regex("nightly")
    rig.run()
    pypi.add_file("tf-nightly", "1.1")
    assert "at the beginning" not in rig.call("mirror").stderr
