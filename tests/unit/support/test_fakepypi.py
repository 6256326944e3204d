"""The fake index itself: its story, as the changelog and the pages tell it."""

import json

import pytest

from tests.support.fakepypi import FakePyPI
from tests.support.plain_client import JSON, actions, call, page, request


def test_each_event_writes_the_rows_of_pypi(pypi: FakePyPI) -> None:
    pypi.add_file("Foo.Bar", "1.0")
    pypi.add_file("Foo.Bar", "1.0", kind="sdist")
    pypi.remove_file("foo-bar", "foo_bar-1.0.tar.gz")

    assert [action for _, action in actions(pypi)] == [
        "create",
        "add Owner alice",
        "new release",
        "add py3 file foo_bar-1.0-py3-none-any.whl",
        "add source file foo_bar-1.0.tar.gz",
        "remove file foo_bar-1.0.tar.gz",
    ]
    assert pypi.serial == pypi.project_serial("foo-bar") == 6


def test_another_spelling_in_an_upload_becomes_the_display_name(pypi: FakePyPI) -> None:
    pypi.add_file("Foo.Bar", "1.0")
    before = pypi.serial
    pypi.add_file("foo_bar", "1.1")

    assert pypi.display_name("FOO-BAR") == "foo_bar"
    assert actions(pypi, before) == [
        ("foo_bar", "new release"),
        ("foo_bar", "add py3 file foo_bar-1.1-py3-none-any.whl"),
    ]


def test_rename_writes_no_row_but_later_rows_carry_the_name(pypi: FakePyPI) -> None:
    pypi.create_project("foo")
    pypi.rename_project("foo", "Foo")
    pypi.add_role("foo")
    pypi.invite_role("foo")
    pypi.remove_role("foo")

    assert actions(pypi, 2) == [
        ("Foo", "add Maintainer bob"),
        ("Foo", "invite Maintainer carol"),
        ("Foo", "remove Maintainer bob"),
    ]


def test_skipped_serials_leave_a_gap(pypi: FakePyPI) -> None:
    pypi.create_project("foo")
    pypi.skip_serials(10)

    assert pypi.serial == 2
    assert pypi.write_journal("user:mallory", None, "nuke user", timestamp=7) == 13
    assert call(pypi, "changelog_since_serial", 2) == [["user:mallory", None, 7, "nuke user", 13]]


def test_a_row_moves_the_serial_only_of_the_project_spelled_so(pypi: FakePyPI) -> None:
    pypi.create_project("Foo")
    pypi.write_journal("foo", None, "odd")

    assert (pypi.serial, pypi.project_serial("Foo")) == (3, 2)


def test_actions_are_escaped_twice_as_at_pypi(pypi: FakePyPI) -> None:
    pypi.write_journal(None, None, "snow ☃\x01")
    pypi.write_journal("foo", None, None)

    assert [row[3] for row in call(pypi, "changelog_since_serial", 0)] == ["snow &#9731;", None]


def test_archiving_and_provenance_change_the_page_but_not_the_serial(pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    before = pypi.serial
    pypi.archive("foo")
    pypi.add_provenance("foo", file.filename)

    assert page(pypi, "foo")["project-status"] == {"status": "archived"}
    assert page(pypi, "foo")["files"][0]["provenance"].startswith(f"{pypi.url}/integrity/foo/1.0/")
    assert pypi.serial == before
    pypi.unarchive("foo")
    assert page(pypi, "foo")["project-status"] == {"status": "active"}


def test_quarantined_projects_have_empty_pages_and_are_on_one_list_only(pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.quarantine_project("foo")

    assert page(pypi, "foo")["files"] == pypi.files("foo") == []
    assert call(pypi, "list_packages_with_serial") == {"foo": 5}
    assert json.loads(request(pypi, "/simple/", Accept=JSON).body)["projects"] == []
    assert request(pypi, "/pypi/foo/json").status == 404
    pypi.clear_quarantine("foo")
    assert len(page(pypi, "foo")["files"]) == 1


def test_quarantined_releases_vanish_from_the_page(pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("foo", "2.0")
    pypi.quarantine_release("foo", "2.0")

    assert page(pypi, "foo")["versions"] == ["1.0"]
    pypi.clear_release_quarantine("foo", "2.0")
    assert page(pypi, "foo")["versions"] == ["1.0", "2.0"]


def test_removed_projects_are_404_but_their_files_stay(pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    pypi.remove_project("foo")

    assert request(pypi, "/simple/foo/").status == 404
    assert request(pypi, file.url_path).body == file.content
    assert pypi.project_names() == []


def test_a_filename_cannot_be_used_again(pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.remove_project("foo")

    with pytest.raises(ValueError, match="used before"):
        pypi.add_file("foo", "1.0")


def test_uploading_the_same_file_again_changes_nothing(pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")

    assert pypi.add_file("foo", "1.0") is file
    assert pypi.serial == 4


def test_requires_python_belongs_to_the_release(pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0", requires_python=">=3.8")
    pypi.add_file("foo", "1.0", kind="sdist")

    assert [file["requires-python"] for file in page(pypi, "foo")["files"]] == [">=3.8", ">=3.8"]
    with pytest.raises(ValueError, match="already"):
        pypi.add_file("foo", "1.0", python_tag="py2", requires_python=">=2")


def test_changelog_stops_silently_at_its_limit() -> None:
    with FakePyPI(changelog_limit=2) as pypi:
        pypi.add_file("foo", "1.0")
        assert [row[4] for row in call(pypi, "changelog_since_serial", 1)] == [2, 3]


def test_frozen_pages_answer_what_they_said(pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.freeze_page("foo")
    pypi.freeze_page("later")
    pypi.remove_project("foo")
    pypi.create_project("later")

    assert request(pypi, "/simple/foo/").headers["X-PyPI-Last-Serial"] == "4"
    assert request(pypi, "/pypi/foo/json").status == 200
    assert request(pypi, "/simple/later/").status == 404
    pypi.thaw_page("foo")
    assert request(pypi, "/simple/foo/").status == 404


def test_frozen_lists_answer_what_they_said(pypi: FakePyPI) -> None:
    pypi.create_project("foo")
    pypi.freeze_list()
    pypi.create_project("bar")

    assert call(pypi, "list_packages_with_serial") == {"foo": 2}
    assert json.loads(request(pypi, "/simple/", Accept=JSON).body)["meta"]["_last-serial"] == 2
    assert call(pypi, "changelog_last_serial") == 4
    pypi.thaw_list()
    assert call(pypi, "list_packages_with_serial") == {"bar": 4, "foo": 2}
