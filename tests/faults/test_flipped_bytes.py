"""A byte that is wrong in the name of a file, in upstream's page, in ours, or in a folder, keeps nothing out for ever."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.fakepypi import Edit, FakePyPI
from tests.support.rig import Rig

DAY, MINUTE = 86_400.0, 60.0
NAME = "foo-1.0-py3-none-any.whl"
FLIPPED = "goo-1.0-py3-none-any.whl"


class Clock:
    """The time of day, which passes when a test says so."""

    def __init__(self, rig: Rig) -> None:
        self.now = 1_800_000_000.0
        rig.tuning = replace(rig.tuning, wall_clock=lambda: self.now)


@pytest.fixture
def clock(rig: Rig) -> Clock:
    return Clock(rig)


@pytest.mark.usefixtures("in_processes_or_not", "way")
@pytest.mark.parametrize("key", ["filename", "url"])
def test_name_that_upstreams_page_had_wrong_once(rig: Rig, pypi: FakePyPI, clock: Clock, key: str) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("foo", "2.0")

    def flip(page: dict[str, object]) -> object:
        files = page["files"]
        assert isinstance(files, list)
        return page | {"files": [file | {key: file[key].replace(NAME, FLIPPED)} for file in files]}

    pypi.fault("/simple/foo/", Edit(flip), times=None)
    rig.run()
    pypi.clear_faults()
    clock.now += MINUTE
    rig.run()
    rig.assert_matches()


def flip_in(name: str, before: str = "") -> Callable[[Path], None]:
    def flip(web: Path) -> None:
        page = web / "simple/foo" / name
        body = page.read_text()
        assert f"{before}{NAME}" in body
        page.write_text(body.replace(f"{before}{NAME}", f"{before}{FLIPPED}"))

    return flip


def rename(end: str) -> Callable[[Path], None]:
    def flip(web: Path) -> None:
        (path,) = web.rglob(f"{NAME}{end}")
        path.rename(path.with_name(f"{FLIPPED}{end}"))

    return flip


PAGES = {name: flip_in(name) for name in ("index.html", "index.v1_html", "index.v1_json")}
PAGES |= {"name in JSON": flip_in("index.v1_json", '"'), "link in JSON": flip_in("index.v1_json", "/")}
IN_A_PAGE = pytest.mark.parametrize("flip", [pytest.param(flip, id=name) for name, flip in PAGES.items()])
ANYWHERE = pytest.mark.parametrize(
    "flip",
    [
        *(pytest.param(flip, id=name) for name, flip in PAGES.items()),
        pytest.param(rename(""), id="file"),
        pytest.param(rename(".metadata"), id="metadata"),
    ],
)


def mirror_of_two_files(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0", metadata_in_wheel=False)
    pypi.add_file("foo", "2.0")
    rig.run()


def without_flipped(rig: Rig) -> None:
    """Assert that the mirror is right, but for what has the wrong name on disk, which only ``verify --delete`` finds."""
    for path in rig.web.rglob(f"{FLIPPED}*"):
        path.unlink()
    rig.assert_matches()


@IN_A_PAGE
@pytest.mark.usefixtures("in_processes_or_not")
def test_name_in_a_page_of_ours_is_mended_by_refresh(
    rig: Rig, pypi: FakePyPI, clock: Clock, flip: Callable[[Path], None]
) -> None:
    mirror_of_two_files(rig, pypi)
    flip(rig.web)
    clock.now += 31 * DAY
    assert rig.run().failures == []
    rig.assert_matches()


@ANYWHERE
@pytest.mark.usefixtures("in_processes_or_not")
@pytest.mark.parametrize("deleted", ["remove", "keep"])
def test_name_is_mended_when_the_project_changes(
    rig: Rig, pypi: FakePyPI, flip: Callable[[Path], None], deleted: str
) -> None:
    rig.options["deleted"] = deleted
    mirror_of_two_files(rig, pypi)
    flip(rig.web)
    pypi.add_file("foo", "3.0")
    report = rig.run()
    assert (report.failures, report.withheld) == ([], None)
    without_flipped(rig)


@ANYWHERE
@pytest.mark.usefixtures("in_processes_or_not")
@pytest.mark.parametrize("method", ["hash", "stat"])
def test_name_is_mended_by_a_forced_check(rig: Rig, pypi: FakePyPI, flip: Callable[[Path], None], method: str) -> None:
    rig.options["compare-method"] = method
    mirror_of_two_files(rig, pypi)
    flip(rig.web)
    rig.resync()
    report = rig.run()
    assert (report.failures, report.withheld) == ([], None)
    without_flipped(rig)


@ANYWHERE
@pytest.mark.parametrize("quick", [[], ["--quick"]])
def test_name_is_mended_by_verify(rig: Rig, pypi: FakePyPI, flip: Callable[[Path], None], quick: list[str]) -> None:
    mirror_of_two_files(rig, pypi)
    flip(rig.web)
    assert rig.call("verify", *quick).returncode == 6
    without_flipped(rig)
