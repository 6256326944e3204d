"""Serials that can't be: whoever tells one, in one answer or for a while, poisons neither a project nor the mirror."""

import json
import re
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from bandersnatch.errors import SerialMovedBackError
from tests.support.fakepypi import Body, Call, FakePyPI, Status
from tests.support.rig import Rig
from tests.support.xmlrpc_calls import LAST, LIST, SINCE, response

ABSURD = [10**9, 2**31 - 1, 3 * 10**9, 2**63 - 1, 2**63, 10**25]
MARK = 1234567
JSON_TYPE = "application/vnd.pypi.simple.v1+json"


def with_mark(value: object, serial: int) -> Body:
    """Return an XML-RPC answer with a serial in the place of the mark, however large."""
    return Body(response(value).content.replace(str(MARK).encode(), str(serial).encode()))


def json_body(document: Any) -> Body:
    return Body(json.dumps(document).encode(), content_type=JSON_TYPE)


def lying_page(pypi: FakePyPI, serial: int) -> Body:
    page = pypi.page("foo")
    page["meta"]["_last-serial"] = serial
    return json_body(page)


def root_index(pypi: FakePyPI, serial: int | None = None, **serials: int) -> Body:
    projects = [
        {"name": name, "_last-serial": serials.get(name, pypi.project_serial(name))} for name in pypi.project_names()
    ]
    return json_body({"meta": {"api-version": "1.4", "_last-serial": serial or pypi.serial}, "projects": projects})


def rows(pypi: FakePyPI, begin: int) -> list[list[Any]]:
    return [[row.name, row.version, 0, row.action, row.serial] for row in pypi.journal_since(begin, 1000)]


@pytest.mark.parametrize("serial", ABSURD)
@pytest.mark.parametrize("is_held", [False, True], ids=["new", "held"])
def test_a_page_beyond_the_journal_is_refused_and_asked_for_again(
    rig: Rig, pypi: FakePyPI, way: str, serial: int, is_held: bool
) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    if is_held:
        rig.run()
        pypi.add_file("foo", "2.0")
    pypi.fault("/simple/foo/", lying_page(pypi, serial))
    rig.run()
    assert (rig.web / "simple/bar/index.html").exists()
    assert rig.run().failures == []
    rig.assert_matches()


@pytest.mark.usefixtures("in_processes_or_not")
def test_a_page_that_is_newer_than_the_plan_is_none_beyond_the_journal(rig: Rig, pypi: FakePyPI, way: str) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Call(lambda: pypi.add_file("foo", "2.0")))
    report = rig.run()
    assert (report.failures, report.files) == ([], 2)
    rig.run()
    rig.assert_matches()


@pytest.mark.parametrize("serial", ABSURD[:4])
def test_a_record_beyond_the_journal_holds_no_later_page_back(rig: Rig, pypi: FakePyPI, way: str, serial: int) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    with closing(sqlite3.connect(rig.directory / "inventory.sqlite", isolation_level=None)) as inventory:
        inventory.execute("UPDATE project SET serial = ?", (serial,))
    pypi.add_file("foo", "2.0")
    assert rig.run().failures == []
    rig.assert_matches()


@pytest.mark.usefixtures("in_processes_or_not")
def test_a_page_a_little_beyond_the_index_is_made_good_for_when_the_index_gets_there(rig: Rig, pypi: FakePyPI) -> None:
    rig.options["api-method"] = "simple"
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", lying_page(pypi, 500))
    rig.run()
    pypi.add_file("foo", "2.0")
    pypi.skip_serials(1000)
    pypi.add_file("bar", "1.0")
    assert rig.run().failures == []
    rig.assert_matches()


@pytest.mark.parametrize("serial", [7, 8, 50, 200, 5000, *ABSURD[:4]])
@pytest.mark.parametrize("times", [1, None], ids=["once", "for a while"])
def test_a_row_beyond_the_journal_is_left_out(
    rig: Rig, pypi: FakePyPI, serial: int, times: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    begin = pypi.serial
    pypi.add_file("foo", "2.0")
    told = [*rows(pypi, begin - 1), ["foo", None, 0, "create", MARK]]
    pypi.fault(SINCE, with_mark(told, serial), times=times)
    for _ in range(2):
        assert rig.run().failures == []
        rig.assert_matches()
    assert "are beyond its newest serial 6: they are left out" in caplog.text
    pypi.clear_faults()
    pypi.add_file("foo", "3.0")
    assert rig.run().failures == []
    rig.assert_matches()


def test_no_change_is_missed_behind_a_row_beyond_the_journal(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    begin = pypi.serial
    pypi.add_file("foo", "2.0")
    pypi.fault(SINCE, with_mark([*rows(pypi, begin - 1), ["foo", None, 0, "create", MARK]], pypi.serial + 12))
    rig.run()
    for number in range(9):
        pypi.add_file("bar", f"{number}.0", kind="sdist")
        assert rig.run().failures == []
        rig.assert_matches()


def test_no_change_is_missed_that_takes_the_serial_of_a_row_that_was_none(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0", kind="sdist")
    rig.run()
    begin = pypi.serial
    pypi.fault(SINCE, with_mark([*rows(pypi, begin - 1), ["foo", None, 0, "add Owner bob", MARK]], begin + 1))
    rig.run()
    pypi.remove_file("bar", pypi.files("bar")[0].filename)
    pypi.add_file("foo", "2.0")
    assert rig.run().failures == []
    rig.assert_matches()


@pytest.mark.parametrize("beyond", [10, 100_000, 900_000])
@pytest.mark.parametrize("method", ["simple", "auto"])
def test_a_page_beyond_the_index_is_asked_for_at_its_next_change(
    rig: Rig, pypi: FakePyPI, method: str, beyond: int
) -> None:
    rig.options["api-method"] = method
    pypi.fault("rpc:*", Status(503), times=None)
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    pypi.fault("/simple/foo/", lying_page(pypi, pypi.serial + beyond))
    assert rig.run().failures == []
    pypi.add_file("foo", "2.0")
    assert rig.run().failures == []
    rig.assert_matches()
    pypi.clear_faults()
    pypi.add_file("foo", "3.0")
    assert rig.run().failures == []
    rig.assert_matches()


def test_a_page_that_is_newer_than_the_index_costs_one_more_question(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    rig.options["api-method"] = "simple"
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Call(lambda: pypi.add_file("foo", "2.0")))
    asked = []
    for _ in range(3):
        pypi.clear_requests()
        assert rig.run().failures == []
        asked.append([request.status for request in pypi.page_requests()])
    assert asked == [[200], [304], []]
    assert "304 Not Modified, but" not in caplog.text
    rig.assert_matches()


@pytest.mark.parametrize("serial", ABSURD[:4])
def test_a_listed_serial_beyond_the_journal_is_not_believed(rig: Rig, pypi: FakePyPI, serial: int) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    pypi.freeze_list()
    pypi.add_file("bar", "2.0")  # the changelog is read from the list's own newest serial on
    pypi.fault(LIST, with_mark({"foo": MARK, "bar": 8}, serial))
    assert rig.run().failures == []
    rig.assert_matches()


def test_very_many_listed_serials_beyond_the_journal_are_told_once(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(50):
        pypi.add_file(f"p{number}", "1.0")
    pypi.fault(LIST, response({f"p{number}": 1_000_000 + number for number in range(50)}))
    assert rig.run().failures == []
    assert caplog.text.count("not believed") == 1
    assert "the list of all projects has 50, p0 for one at serial 1000000, beyond the newest serial" in caplog.text
    rig.assert_matches()


@pytest.mark.parametrize("serial", [2 * 10**9, 2**31 - 1, 3 * 10**9, 2**63 - 1])
def test_a_newest_serial_that_nothing_bears_out_is_not_believed(rig: Rig, pypi: FakePyPI, serial: int) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault(LAST, with_mark(MARK, serial))
    assert rig.run().failures == []
    rig.assert_matches()
    pypi.add_file("foo", "2.0")
    assert rig.run().failures == []
    rig.assert_matches()


@pytest.mark.parametrize("serial", [5000, 2 * 10**9, 2**31 - 1])
@pytest.mark.parametrize("is_held", [False, True], ids=["first run", "later run"])
def test_a_serial_of_the_root_index_that_nothing_bears_out_is_not_believed(
    rig: Rig, pypi: FakePyPI, serial: int, is_held: bool
) -> None:
    rig.options["api-method"] = "simple"
    pypi.add_file("foo", "1.0")
    if is_held:
        rig.run()
        pypi.add_file("foo", "2.0")
    pypi.fault("/simple/", root_index(pypi, serial))
    assert rig.run().failures == []
    rig.assert_matches()
    pypi.add_file("foo", "3.0")
    assert rig.run().failures == []
    rig.assert_matches()


@pytest.mark.parametrize("serial", ABSURD)
def test_one_project_of_the_root_index_with_a_serial_that_can_not_be(rig: Rig, pypi: FakePyPI, serial: int) -> None:
    rig.options["api-method"] = "simple"
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    pypi.fault("/simple/", root_index(pypi, foo=serial), times=2)
    for version in ("2.0", "3.0"):
        assert rig.run().failures == []
        pypi.add_file("bar", version)
    assert rig.run().failures == []
    rig.assert_matches()


@pytest.mark.parametrize("text", ["9" * 19, "3000000000", "9" * 5000, "-1", "2147483648"])
@pytest.mark.parametrize("name", ["state", "todo", "changelog"])
def test_a_record_with_a_serial_that_can_not_be_is_no_use_and_no_harm(
    rig: Rig, pypi: FakePyPI, way: str, name: str, text: str
) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    (rig.directory / name).write_text(f"{text}\n")
    pypi.add_file("foo", "2.0")
    result = rig.call("mirror")
    assert (result.returncode, "Traceback" in result.stderr) == (0, False)
    rig.assert_matches()


def test_the_largest_serial_that_can_be_is_refused_like_any_other(rig: Rig, pypi: FakePyPI, way: str) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    (rig.directory / "state").write_text(f"{2**31 - 1}\n")
    with pytest.raises(SerialMovedBackError):
        rig.run()
    rig.resync()
    rig.run()
    rig.assert_matches()


@pytest.mark.parametrize("times", [1, 2], ids=["once", "for the whole run"])
def test_project_that_a_list_made_up_is_let_go(rig: Rig, pypi: FakePyPI, times: int) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault(LIST, response({"foo": 4, "ghost": 3}), times=times)
    assert [failure.project for failure in rig.run().failures] == ["ghost"][: times - 1]
    assert rig.run().failures == []
    rig.assert_matches()


def test_project_that_a_row_made_up_is_let_go_when_the_list_is_newer(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    pypi.write_journal("ghost", None, "create")
    assert [failure.project for failure in rig.run().failures] == ["ghost"]
    pypi.add_file("foo", "2.0")
    assert rig.run().failures == []
    rig.assert_matches()


def test_the_list_is_not_asked_for_in_every_run_for_a_project_without_a_page(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    pypi.add_file("bar", "1.0")
    pypi.fault("/simple/bar/", Status(404), times=None)
    asked = []
    for _ in range(4):
        pypi.clear_requests()
        assert [failure.project for failure in rig.run().failures] == ["bar"]
        asked.append(pypi.rpc_calls().count("list_packages_with_serial"))
    assert asked == [1, 1, 0, 0]
    todo = rig.directory / "todo"
    todo.write_text(re.sub(r"@(\d+)", lambda found: f"@{int(found[1]) - 3600}", todo.read_text()))
    pypi.clear_requests()
    rig.run()
    assert pypi.rpc_calls().count("list_packages_with_serial") == 1
    pypi.clear_faults()
    assert rig.run().failures == []
    rig.assert_matches()


def test_project_that_is_listed_and_has_no_page_is_a_failure(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    pypi.fault("/simple/foo/", Status(404), times=None)
    for _ in range(2):
        assert [failure.project for failure in rig.run().failures] == ["foo"]
    pypi.clear_faults()
    assert rig.run().failures == []
    rig.assert_matches()


@pytest.mark.parametrize("serial", [200_000, 2 * 10**9, 2**31 - 1])
def test_a_newest_serial_that_nothing_bears_out_is_not_believed_by_a_short_allowlist(
    rig: Rig, pypi: FakePyPI, serial: int
) -> None:
    rig.filters = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages =\n    foo\n"
    pypi.add_file("foo", "1.0")
    pypi.fault(LAST, with_mark(MARK, serial))
    assert rig.run().failures == []
    rig.assert_matches()
    pypi.add_file("foo", "2.0")
    assert rig.run().failures == []
    rig.assert_matches()
