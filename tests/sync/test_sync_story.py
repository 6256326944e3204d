"""What upstream publishes is what the mirror holds, after every kind of event."""

import sqlite3
from contextlib import closing

import pytest

from tests.support.fakepypi import Call, FakePyPI, Status
from tests.support.rig import Rig

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("in_processes_or_not", "way")]


def test_first_run_mirrors_everything(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("Foo.Bar", "1.0", requires_python=">=3.8,<4")
    pypi.add_file("Foo.Bar", "1.0", kind="sdist")
    pypi.add_file("foo_baz", "2!1.0rc1")
    pypi.create_project("empty")
    report = rig.run()
    assert (report.updated, report.removed, report.files, report.failures) == (3, 0, 3, [])
    rig.assert_matches()


def test_first_run_of_an_empty_index(rig: Rig, pypi: FakePyPI) -> None:
    assert rig.run().serial == 0
    rig.assert_matches()
    pypi.add_file("first", "1.0")
    rig.run()
    rig.assert_matches()


def test_run_with_nothing_new_asks_once_and_writes_no_page(rig: Rig, pypi: FakePyPI, way: str) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    before, written = rig.tree(), rig.mtimes()
    pypi.clear_requests()
    report = rig.run()
    without_journal = ["/changes/index.json", "/simple/"]  # the first is small, and may make the second unnecessary
    asked = {
        "by the journal": ["changelog_since_serial"],
        "by the index": without_journal,
        "without XML-RPC": ["changelog_since_serial", *without_journal],
    }
    assert [request.rpc_method or request.path for request in pypi.requests] == asked[way]
    assert pypi.page_requests() == []
    assert report.updated == 0
    assert rig.mtimes() == written
    assert rig.tree().keys() == before.keys()


def test_incremental_run_asks_for_changed_pages_and_new_files_only(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(10):
        pypi.add_file(f"project-{number}", "1.0")
    rig.run()
    pypi.clear_requests()
    pypi.add_file("project-3", "1.1")
    new = pypi.add_file("brand-new", "0.1")
    report = rig.run()
    assert {request.path for request in pypi.page_requests()} == {"/simple/project-3/", "/simple/brand-new/"}
    assert len(pypi.file_requests()) == 2
    assert any(request.path == new.url_path for request in pypi.file_requests())
    assert (report.updated, report.files) == (2, 2)
    rig.assert_matches()


def test_yanks_with_and_without_reason_are_shown(rig: Rig, pypi: FakePyPI) -> None:
    for version in ("1.0", "1.1", "1.2"):
        pypi.add_file("foo", version)
    pypi.yank("foo", "1.2")
    rig.run()
    pypi.yank("foo", "1.0", 'broken: "<b>quoted</b>" & ☃')
    pypi.yank("foo", "1.1")
    pypi.unyank("foo", "1.2")
    rig.run()
    rig.assert_matches()
    assert len(pypi.file_requests()) == 3


def test_removed_file_and_release_leave_pages_and_disk(rig: Rig, pypi: FakePyPI) -> None:
    doomed = pypi.add_file("foo", "1.0", kind="sdist")
    pypi.add_file("foo", "1.0")
    pypi.add_file("foo", "2.0")
    rig.run()
    pypi.remove_file("foo", doomed.filename)
    rig.run()
    rig.assert_matches()
    pypi.remove_release("foo", "2.0")
    rig.run()
    rig.assert_matches()
    pypi.remove_release("foo", "1.0")
    rig.run()
    rig.assert_matches()
    assert pypi.page("foo")["files"] == []


def test_removed_project_leaves_the_mirror_in_the_same_run(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("keep", "1.0")
    pypi.add_file("malware", "6.6.6")
    rig.run()
    pypi.remove_project("malware")
    report = rig.run()
    assert report.removed == 1
    assert not (rig.web / "simple/malware").exists()
    rig.assert_matches()


def test_removal_is_believed_although_a_cache_still_has_the_page(rig: Rig, pypi: FakePyPI, way: str) -> None:
    pypi.add_file("malware", "6.6.6")
    pypi.add_file("other", "1.0")  # an index that lists nothing is an outage
    rig.run()
    pypi.freeze_page("malware")
    pypi.remove_project("malware")
    removed = rig.run().removed
    pypi.thaw_page("malware")
    if way != "by the journal":  # the index alone can't tell it from a quarantined project, which keeps its page
        assert removed == 0
        removed = rig.run().removed
    assert removed == 1
    rig.assert_matches()


def test_project_created_again_under_another_spelling(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("Re.Born", "1.0")
    rig.run()
    pypi.remove_project("Re.Born")
    pypi.add_file("re_born", "2.0")
    report = rig.run()
    assert (report.updated, report.removed) == (1, 0)
    rig.assert_matches()


def test_project_removed_before_it_was_ever_mirrored_costs_no_request(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("keep", "1.0")
    rig.run()
    pypi.add_file("spam", "1.0")
    pypi.remove_project("spam")
    pypi.clear_requests()
    assert rig.run().failures == []
    assert pypi.page_requests() == []
    rig.assert_matches()


def test_display_name_changes_with_an_upload(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("Under_Score", "1.0")
    rig.run()
    pypi.add_file("under.score", "1.1")
    rig.run()
    rig.assert_matches()
    assert b">under.score<" in (rig.web / "simple/index.html").read_bytes()


def test_quarantined_project_keeps_its_page_and_loses_its_files(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("suspect", "1.0")
    rig.run()
    pypi.quarantine_project("suspect")
    rig.run()
    rig.assert_matches()
    assert b'content="quarantined"' in (rig.web / "simple/suspect/index.html").read_bytes()
    assert not (rig.web / file.url_path.lstrip("/")).exists()
    for name in ("index.html", "index.v1_html", "index.v1_json"):
        assert b"suspect" not in (rig.web / "simple" / name).read_bytes()
    pypi.clear_quarantine("suspect")
    rig.run()
    rig.assert_matches()


def test_quarantined_project_is_not_asked_for_in_every_run(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("suspect", "1.0")
    rig.run()
    pypi.quarantine_project("suspect")
    rig.run()
    pypi.clear_requests()
    pypi.add_file("other", "1.0")
    rig.run()
    rig.run()
    assert [request.path for request in pypi.page_requests()] == ["/simple/other/"]
    pypi.clear_quarantine("suspect")
    rig.run()
    pypi.remove_project("suspect")
    assert rig.run().removed == 1
    rig.assert_matches()


def test_project_that_was_quarantined_before_the_mirror_had_it_is_taken_when_that_is_over(
    rig: Rig, pypi: FakePyPI
) -> None:
    pypi.add_file("other", "1.0")
    pypi.add_file("suspect", "1.0")
    pypi.quarantine_project("suspect")
    rig.run()
    pypi.add_file("another", "1.0")
    pypi.quarantine_project("another")
    assert rig.run().failures == []
    assert sorted(path.name for path in (rig.web / "simple").iterdir() if path.is_dir()) == ["other"]
    rig.assert_matches()
    pypi.clear_quarantine("suspect")
    pypi.clear_quarantine("another")
    rig.run()
    rig.assert_matches()
    assert (rig.web / "simple/another/index.html").exists()


def test_first_runs_leave_out_a_project_while_it_is_quarantined(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("Foo.Bar", "1.0")
    pypi.quarantine_project("Foo.Bar")
    pypi.add_file("other", "1.0")  # an index that lists nothing is taken for an outage
    for _ in range(2):
        assert rig.run().failures == []
        assert [path.parent.name for path in rig.web.glob("simple/*/index.html")] == ["other"]
        assert not (rig.directory / "todo").exists()
        rig.assert_matches()
    pypi.clear_quarantine("Foo.Bar")
    rig.run()
    rig.assert_matches()
    assert (rig.web / "simple/foo-bar/index.html").exists()


def test_full_resync_keeps_a_quarantined_project(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("suspect", "1.0")
    rig.run()
    pypi.quarantine_project("suspect")
    rig.run()
    rig.resync()
    rig.run()
    assert (rig.web / "simple/suspect/index.html").exists()
    rig.assert_matches()


@pytest.mark.parametrize("simple_format", ["ALL", "HTML", "JSON"])
def test_what_is_quarantined_is_found_out_from_the_pages_where_no_record_tells(
    rig: Rig, pypi: FakePyPI, simple_format: str
) -> None:
    rig.options["simple-format"] = simple_format
    pypi.add_file("suspect", "1.0")
    pypi.create_project("empty")
    rig.run()
    pypi.quarantine_project("suspect")
    rig.run()
    with closing(sqlite3.connect(rig.directory / "inventory.sqlite", isolation_level=None)) as inventory:
        inventory.execute("DROP TABLE quarantined")  # as in an inventory of an earlier version
    for _ in range(2):
        pypi.add_file("other", f"1.{pypi.serial}")
        rig.run()
        for page in (rig.web / "simple").glob("index.*"):
            assert (b"suspect" in page.read_bytes(), b"empty" in page.read_bytes()) == (False, True)
        (rig.directory / "inventory.sqlite").unlink()


def test_quarantine_is_told_as_such(rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture) -> None:
    pypi.add_file("suspect", "1.0")
    rig.run()
    pypi.quarantine_project("suspect")
    caplog.set_level("INFO")
    rig.run()
    assert "suspect: quarantined by upstream; its page stays, files deleted: 1" in caplog.text
    assert "suspect: updated" not in caplog.text


def test_quarantined_release_and_back(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("suspect", "1.0")
    pypi.add_file("suspect", "2.0")
    rig.run()
    pypi.quarantine_release("suspect", "2.0")
    rig.run()
    rig.assert_matches()
    pypi.clear_release_quarantine("suspect", "2.0")
    rig.run()
    rig.assert_matches()


def test_role_actions_neither_wait_nor_fail(rig: Rig, pypi: FakePyPI, way: str) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    pypi.freeze_page("foo")  # as PyPI's cache does, which is not purged after an invitation
    pypi.invite_role("foo", "Maintainer", "bob")
    pypi.clear_requests()
    report = rig.run()
    assert report.failures == []
    assert len(pypi.page_requests()) == (1 if way == "by the journal" else 3)  # the index does not say what has changed
    assert (rig.directory / "state").read_text().strip() == str(pypi.serial)


def test_changes_of_roles_move_the_serial_of_the_page(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    pypi.add_role("foo", "Maintainer", "bob")
    rig.run()
    rig.assert_matches()


@pytest.mark.parametrize("action", ["something new", None, "docdestroy", "remove Owner alice"])
def test_odd_journal_rows_do_no_harm(rig: Rig, pypi: FakePyPI, action: str | None) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    pypi.write_journal("foo", None, action)
    pypi.write_journal("user:bob", None, "nuke user")
    pypi.write_journal(None, None, action)
    pypi.skip_serials(5)
    pypi.add_file("bar", "1.0")
    assert rig.run().failures == []
    rig.assert_matches()


def test_core_metadata_comes_out_of_the_wheel(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    assert pypi.metadata_requests() == []
    rig.assert_matches()


def test_core_metadata_that_differs_from_the_wheel_is_fetched(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0", metadata_in_wheel=False)
    rig.run()
    assert len(pypi.metadata_requests()) == 1
    rig.assert_matches()


def test_core_metadata_is_advertised_only_where_it_is_there(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", metadata_in_wheel=False)
    pypi.fault(f"{file.url_path}.metadata", Status(404), times=None)
    assert rig.run().failures == []
    assert b"core-metadata=" not in (rig.web / "simple/foo/index.html").read_bytes()
    pypi.clear_faults()
    rig.resync()
    rig.run()
    rig.assert_matches()


def test_files_of_one_project_are_fetched_by_all_workers(rig: Rig, pypi: FakePyPI) -> None:
    from threading import Barrier

    files = [pypi.add_file("big", f"1.{number}") for number in range(8)]
    barrier = Barrier(4, timeout=30)  # it only opens when four requests are under way at a time
    for file in files:
        pypi.fault(file.url_path, Call(barrier.wait))
    assert rig.run(workers="4").failures == []
    rig.assert_matches()


def test_changes_during_a_run_are_picked_up_by_the_next(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    pypi.fault("/simple/foo/", Call(lambda: pypi.add_file("foo", "1.1")))
    pypi.fault("/simple/bar/", Call(lambda: pypi.remove_project("bar")))
    rig.run()
    rig.run()
    rig.assert_matches()


def test_file_upload_time_is_the_modification_time(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    rig.run()
    stored = rig.web / file.url_path.lstrip("/")
    assert int(stored.stat().st_mtime) == int(file.upload_time.timestamp())
