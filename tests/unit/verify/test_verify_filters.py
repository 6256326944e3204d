"""``verify`` where filters drop what the mirror holds: that is verified and kept, and it is for a run to go by them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.fakepypi import Edit, FakePyPI
from tests.support.rig import Rig
from tests.support.verifying import problems, verify

BLOCKED = "[plugins]\nenabled = blocklist_project\n[blocklist]\npackages =\n    foo\n"
SMALL = "[plugins]\nenabled = size_project_metadata\n[size_project_metadata]\nmax_package_size = 5K\n"
LATEST = "[plugins]\nenabled = latest_release\n[latest_release]\nkeep = 1\n"
OF_ALL_KINDS = pytest.mark.parametrize("filters", [BLOCKED, SMALL, LATEST], ids=["names", "metadata", "releases"])


@pytest.fixture(autouse=True)
def _upstream(pypi: FakePyPI) -> None:
    """Let upstream have two releases of foo, which filters drop in whole or in part."""
    for version in ("1.0", "2.0"):
        pypi.add_file("foo", version, size=3000)
    pypi.add_file("bar", "1.0")


def bring(rig: Rig, filters: str) -> None:
    """Let the mirror hold what the filters drop."""
    rig.filters = filters
    rig.run()
    assert rig.call("sync", "--ignore-filters", "foo").returncode == 0
    assert versions(rig) == ["1.0", "2.0"]


def versions(rig: Rig) -> list[str]:
    """Return the versions of foo that the mirror has."""
    page = rig.web / "simple" / "foo" / "index.v1_json"
    return list(json.loads(page.read_bytes())["versions"]) if page.exists() else []


def wheel(rig: Rig, pypi: FakePyPI, number: int = 0) -> Path:
    return rig.web / pypi.files("foo")[number].url_path[1:]


@OF_ALL_KINDS
def test_what_a_filter_drops_is_verified_as_it_is_held(rig: Rig, pypi: FakePyPI, filters: str) -> None:
    bring(rig, filters)
    before = rig.tree()
    assert verify(rig, "--hash", status=0)["projects"] == {"held": 2, "verified": 2, "failed": 0}
    wheel(rig, pypi).unlink()
    (rig.web / "simple" / "foo" / "index.html").write_text("broken")
    found = {(str(wheel(rig, pypi).relative_to(rig.directory)), "missing", True)}
    found.add(("web/simple/foo/index.html", "differs from upstream", True))
    assert problems(verify(rig, "--hash", status=6)) == found
    assert rig.tree() == before
    rig.run()
    assert rig.tree() == before
    rig.resync()
    rig.run()
    assert versions(rig) == (["2.0"] if filters == LATEST else [])


@OF_ALL_KINDS
@pytest.mark.parametrize("damage", ["lost", "empty", "cut"])
def test_page_that_is_lost_costs_nothing_that_a_filter_drops(
    rig: Rig, pypi: FakePyPI, filters: str, damage: str
) -> None:
    bring(rig, filters)
    before = rig.tree()
    for page in (rig.web / "simple" / "foo").iterdir():
        if damage == "lost":
            page.unlink()
        else:
            page.write_bytes(b"" if damage == "empty" else page.read_bytes()[:-40])
    assert verify(rig, "--delete", status=6)["left"] == 0
    assert rig.tree() == before


@OF_ALL_KINDS
def test_news_of_what_a_filter_drops_are_left_to_a_run(rig: Rig, pypi: FakePyPI, filters: str) -> None:
    bring(rig, filters)
    pypi.add_file("foo", "3.0", size=3000)
    before = rig.tree()
    assert verify(rig, "--hash", status=0)["projects"]["verified"] == 2
    assert rig.tree() == before
    rig.run()
    assert versions(rig) == (["3.0"] if filters == LATEST else [])


@OF_ALL_KINDS
def test_repair_keeps_no_run_from_going_by_its_filters(rig: Rig, pypi: FakePyPI, filters: str) -> None:
    bring(rig, filters)
    new = pypi.add_file("foo", "3.0", size=3000)
    wheel(rig, pypi).unlink()
    assert verify(rig, status=6)["left"] == 0
    assert wheel(rig, pypi).exists()
    assert (rig.web / new.url_path[1:]).exists() == (filters == LATEST)
    rig.run()
    assert versions(rig) == (["3.0"] if filters == LATEST else [])


def test_json_of_what_a_filter_drops_is_as_sync_has_brought_it(rig: Rig, pypi: FakePyPI) -> None:
    rig.options["json"] = "true"
    bring(rig, LATEST)
    verify(rig, status=0)
    document = rig.web / "json" / "foo"
    before = document.read_bytes()
    document.unlink()
    verify(rig, status=6)
    assert document.read_bytes() == before


def test_release_without_files_stays_on_the_page(rig: Rig, pypi: FakePyPI) -> None:
    def add_version(page: dict[str, Any]) -> dict[str, Any]:
        return page | {"versions": ["0.5", *page["versions"]]}

    pypi.fault("/simple/foo/", Edit(add_version), times=None)
    rig.filters = LATEST
    rig.run()
    assert rig.call("sync", "--ignore-filters", "foo").returncode == 0
    assert versions(rig) == ["0.5", "1.0", "2.0"]
    before = rig.tree()
    verify(rig, status=0)
    assert rig.tree() == before


@pytest.mark.parametrize("filters", [BLOCKED, SMALL], ids=["names", "metadata"])
def test_page_that_is_lost_brings_nothing_new_of_what_a_filter_drops(rig: Rig, pypi: FakePyPI, filters: str) -> None:
    bring(rig, filters)
    before = rig.tree()
    pypi.add_file("foo", "3.0", size=3000)
    for page in (rig.web / "simple" / "foo").iterdir():
        page.unlink()
    verify(rig, status=6)
    assert versions(rig) == ["1.0", "2.0"]
    assert {path for path in rig.tree() if path.startswith("packages/")} == {
        path for path in before if path.startswith("packages/")
    }
