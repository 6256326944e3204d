"""Entity tags that are of no use are neither kept nor sent, and an answer of 304 is believed only about the page here."""

import json
import logging
import sqlite3
from contextlib import closing

import pytest

from bandersnatch.http.entity_tags import are_equivalent, entity_tag
from tests.support.fakepypi import FakePyPI, Status
from tests.support.rig import IN_PROCESSES, Rig

BAD = ["*", "", '""', "x", '"x', 'W/"', '"a" "b"', '"a b"', '"\x7f"', '"' + "x" * 60_000 + '"']


def etags(rig: Rig) -> list[str | None]:
    with closing(sqlite3.connect(rig.directory / "inventory.sqlite")) as connection:
        return [etag for (etag,) in connection.execute("SELECT etag FROM project")]


def poison(rig: Rig, etag: str) -> None:
    with closing(sqlite3.connect(rig.directory / "inventory.sqlite")) as connection, connection:
        connection.execute("UPDATE project SET etag = ?", (etag,))


def conditions(pypi: FakePyPI) -> list[str | None]:
    return [request.headers.get("If-None-Match") for request in pypi.page_requests()]


@pytest.mark.parametrize("value", [None, *BAD])
def test_what_is_no_short_entity_tag_is_none(value: str | None) -> None:
    assert entity_tag(value) is None


@pytest.mark.parametrize("value", ['"x"', 'W/"x"', '"' + "x" * 200 + '"', '"!#\'"'])
def test_a_short_entity_tag_weak_or_not_is_kept(value: str) -> None:
    assert entity_tag(f" {value} ") == value


def test_weak_tags_are_those_of_the_same_page() -> None:
    assert are_equivalent('W/"x"', '"x"')
    assert not are_equivalent('"x"', '"y"')


@pytest.mark.usefixtures("in_processes_or_not")
@pytest.mark.parametrize("tag", ["*", "", '"' + "x" * 30_000 + '"'], ids=["star", "empty", "long"])
def test_a_bad_entity_tag_is_not_stored(rig: Rig, pypi: FakePyPI, tag: str) -> None:
    pypi.add_file("foo", "1.0", kind="sdist")
    rig.run()
    good = etags(rig)
    body = json.dumps(pypi.page("foo")).encode()
    told = {"ETag": tag, "X-PyPI-Last-Serial": str(pypi.serial)}
    kind = "application/vnd.pypi.simple.v1+json"
    pypi.fault("/simple/foo/", Status(200, headers=told, body=body, content_type=kind), times=None)
    poison(rig, '"other"')
    rig.resync()
    assert rig.run().failures == []
    assert good != [None]
    assert etags(rig) == [None]


@pytest.mark.usefixtures("in_processes_or_not")
@pytest.mark.parametrize("tag", ["*", "", '"' + "x" * 60_000 + '"'], ids=["star", "empty", "long"])
def test_what_an_old_inventory_holds_of_that_kind_is_not_sent(rig: Rig, pypi: FakePyPI, tag: str) -> None:
    pypi.add_file("foo", "1.0", kind="sdist")
    rig.run()
    poison(rig, tag)
    pypi.add_file("foo", "2.0", kind="sdist")
    pypi.clear_requests()
    assert rig.run().failures == []
    assert conditions(pypi) == [None]
    assert tag not in etags(rig)
    rig.assert_matches()


WRONG_304 = {
    "another tag": {"ETag": '"another"', "X-PyPI-Last-Serial": "{serial}"},
    "no serial": {},
    "a newer serial": {"X-PyPI-Last-Serial": "{serial}"},
}


@pytest.mark.usefixtures("in_processes_or_not")
@pytest.mark.parametrize("headers", WRONG_304.values(), ids=WRONG_304)
def test_a_304_that_is_not_about_the_page_here_is_asked_again_without_condition(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture, headers: dict[str, str]
) -> None:
    pypi.add_file("foo", "1.0", kind="sdist")
    rig.run()
    pypi.add_file("foo", "2.0", kind="sdist")
    told = {name: value.format(serial=pypi.serial) for name, value in headers.items()}
    # Alone, the connection is one that was used before, on which such an answer is doubted for that alone.
    pypi.fault("/simple/foo/", Status(304, headers=told), times=1 if rig.tuning is IN_PROCESSES else 2)
    pypi.clear_requests()
    caplog.set_level(logging.WARNING)
    assert rig.run().failures == []
    assert conditions(pypi)[-1] is None
    assert "the page is fetched without a condition" in caplog.text
    rig.assert_matches()


@pytest.mark.usefixtures("in_processes_or_not")
def test_a_server_that_only_says_304_leaves_its_project_on_the_todo_list(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0", kind="sdist")
    rig.run()
    pypi.add_file("foo", "2.0", kind="sdist")
    pypi.fault("/simple/foo/", Status(304, headers={"X-PyPI-Last-Serial": str(pypi.serial)}), times=None)
    assert [failure.project for failure in rig.run().failures] == ["foo"]
    assert "foo " in (rig.directory / "todo").read_text()
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()
