"""The brake on removals."""

from bandersnatch.inifile.option import RemovalLimit
from bandersnatch.plan.brake import Doomed, Removals, excess
from bandersnatch.storage.layout import StoredPath
from tests.support.builders import SAMPLE, named

FILES = tuple(StoredPath(f"web/packages/aa/{number}.whl") for number in range(3))
LIMIT = RemovalLimit(2, 0.0)


def test_no_removals_are_none() -> None:
    assert not Removals()
    assert Removals().listing() == ""
    assert Removals().excess(RemovalLimit(0, 0.0), 0, 0) is None


def test_projects_or_files_are_removals() -> None:
    assert Removals(projects=[SAMPLE])
    assert Removals(files={SAMPLE: FILES})


def test_what_the_limit_allows_is_no_excess() -> None:
    assert Removals([SAMPLE, named("other")], {named("third"): FILES[:2]}).excess(LIMIT, 10, 100) is None


def test_too_many_projects_are_an_excess() -> None:
    removals = Removals([named(name) for name in "abc"])
    assert removals.excess(LIMIT, 10, 100) == "3 of 10 projects, and from others 0 of 100 files"


def test_too_many_files_are_an_excess() -> None:
    removals = Removals(files={SAMPLE: FILES[:2], named("other"): FILES[2:]})
    assert removals.excess(LIMIT, 10, 100) == "0 of 10 projects, and from others 3 of 100 files"


def test_the_listing_has_a_line_for_each_in_a_fixed_order() -> None:
    removals = Removals([SAMPLE, named("a")], {named("z"): FILES[:1], named("b"): FILES[1:]})
    assert removals.listing() == (
        "project a\nproject sample\n"
        "file web/packages/aa/1.whl\nfile web/packages/aa/2.whl\nfile web/packages/aa/0.whl\n"
    )


def test_two_lists_of_removals_do_not_share_what_they_hold() -> None:
    Removals().projects.append(SAMPLE)
    assert Removals().projects == []


def test_one_is_no_plural() -> None:
    told = excess(RemovalLimit(), Doomed(1), 1, 1)
    assert told == "1 of 1 project, and from others 0 of 1 file"
