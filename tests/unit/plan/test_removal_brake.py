"""The brake on removals."""

from bandersnatch.inifile.option import RemovalLimit
from bandersnatch.plan.removal_brake import Doomed, excess

LIMIT = RemovalLimit(2, 0.0)


def test_what_the_limit_allows_is_no_excess() -> None:
    assert excess(LIMIT, Doomed(2, files=2), 10, 100) is None


def test_too_many_projects_are_an_excess() -> None:
    assert excess(LIMIT, Doomed(3), 10, 100) == "3 of 10 projects, and from others 0 of 100 files"


def test_too_many_files_are_an_excess() -> None:
    assert excess(LIMIT, Doomed(0, files=3), 10, 100) == "0 of 10 projects, and from others 3 of 100 files"


def test_a_list_of_all_projects_may_lack_one_but_not_the_last() -> None:
    limit = RemovalLimit(10, 10.0)
    assert excess(limit, Doomed(1, concluded=1), 2, 2) is None
    assert excess(limit, Doomed(1), 1, 1) is None  # the journal says so
    assert excess(limit, Doomed(1, concluded=1), 1, 1) == "1 of 1 project, and from others 0 of 1 file"


def test_files_of_which_nobody_knows_how_many_are_told_as_such() -> None:
    told = excess(LIMIT, Doomed(3, files=None), 10, 100)
    assert told == "3 of 10 projects, and from others it is not known how many of 100 files"


def test_one_is_no_plural() -> None:
    told = excess(RemovalLimit(), Doomed(1), 1, 1)
    assert told == "1 of 1 project, and from others 0 of 1 file"
