"""A resync, and runs that go on from records that are lost or another's: everything is looked at, and little fetched."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bandersnatch.operations.tuning import Tuning
from bandersnatch.project.local_check import ONE_CALL_FILES
from bandersnatch.storage.lock import run_lock
from tests.support.fakepypi import FakePyPI, Status, UploadedFile
from tests.support.rig import HURRIED, IN_PROCESSES, Rig


def spoil(stored: Path) -> None:
    """Change all bytes of a file, as a bad disk would: neither its size nor its time tells."""
    found = stored.stat()
    stored.write_bytes(bytes(found.st_size))
    os.utime(stored, ns=(found.st_atime_ns, found.st_mtime_ns))


def test_archiving_has_no_serial_and_is_found_by_a_resync(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("old", "1.0")
    pypi.add_file("other", "1.0")
    rig.run()
    pypi.archive("old")
    rig.resync()
    report = rig.run()
    assert report.updated == 1
    rig.assert_matches()
    assert len(pypi.file_requests()) == 2


def test_provenance_added_later_is_found_by_a_resync(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    rig.run()
    pypi.add_provenance("foo", file.filename)
    rig.resync()
    rig.run()
    rig.assert_matches()
    assert b"data-provenance" in (rig.web / "simple/foo/index.html").read_bytes()


def test_resync_downloads_nothing_that_is_right(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(5):
        pypi.add_file(f"project-{number}", "1.0")
    rig.run()
    before, written = rig.tree(), rig.mtimes()
    pypi.clear_requests()
    rig.resync()
    report = rig.run()
    assert pypi.file_requests() == []
    assert {request.status for request in pypi.page_requests()} == {304}
    assert report.updated == 0
    assert rig.mtimes() == written
    assert {k: v for k, v in rig.tree().items() if k != "last-modified"} == {
        k: v for k, v in before.items() if k != "last-modified"
    }


def test_resync_repairs_what_is_missing_or_torn(rig: Rig, pypi: FakePyPI) -> None:
    gone, torn, bare = (pypi.add_file(name, "1.0") for name in ("gone", "torn", "bare"))
    pypi.add_file("pageless", "1.0")
    rig.run()
    (rig.web / gone.url_path.lstrip("/")).unlink()
    (rig.web / torn.url_path.lstrip("/")).write_bytes(b"half")
    (rig.web / f"{bare.url_path.lstrip('/')}.metadata").unlink()
    (rig.web / "simple/pageless/index.v1_json").unlink()
    pypi.clear_requests()
    rig.resync()
    rig.run()
    assert {request.path for request in pypi.file_requests()} == {gone.url_path, torn.url_path}
    rig.assert_matches()


def test_resync_hashes_files_where_the_configuration_says_so(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("rotten", "1.0")
    pypi.add_file("fresh", "1.0")
    rig.run()
    stored = rig.web / file.url_path.lstrip("/")
    stored.write_bytes(bytes(len(stored.read_bytes())))
    pypi.clear_requests()
    rig.resync()
    rig.run(compare_method="stat")
    assert pypi.file_requests() == []
    rig.resync()
    rig.run(compare_method="hash")
    assert [request.path for request in pypi.file_requests()] == [file.url_path]
    rig.assert_matches()


@pytest.mark.parametrize("tuning", [HURRIED, IN_PROCESSES], ids=["in one thread", "in processes"])
@pytest.mark.parametrize("what", ["", ".metadata"], ids=["file", "metadata"])
def test_only_what_fails_a_check_of_digests_costs_a_whole_page(
    rig: Rig, pypi: FakePyPI, what: str, tuning: Tuning
) -> None:
    file = pypi.add_file("rotten", "1.0")
    for name in ("fresh", "firm"):
        pypi.add_file(name, "1.0")
        pypi.add_file(name, "2.0", kind="sdist")
    rig.run()
    stored = rig.web / f"{file.url_path.lstrip('/')}{what}"
    spoil(stored)
    pypi.clear_requests()
    rig.resync()
    assert rig.run(tuning=tuning, compare_method="hash").failures == []
    answered = [(request.path, request.status) for request in pypi.page_requests()]
    assert sorted(answered) == [
        ("/simple/firm/", 304), ("/simple/fresh/", 304), ("/simple/rotten/", 200), ("/simple/rotten/", 304),
    ]  # fmt: skip
    assert [request.path for request in pypi.file_requests()] == ([] if what else [file.url_path])
    rig.assert_matches()


def lose_an_entry(rig: Rig, file: UploadedFile) -> None:
    page = rig.web / "simple/foo/index.v1_json"
    document = json.loads(page.read_bytes())
    document["files"] = [entry for entry in document["files"] if entry["filename"] != file.filename]
    page.write_text(json.dumps(document))
    rot(rig, file)


def rot(rig: Rig, file: UploadedFile) -> None:
    spoil(rig.web / file.url_path.lstrip("/"))


def change_pages(rig: Rig, file: UploadedFile) -> None:
    for name in ("index.html", "index.v1_html"):
        page = rig.web / "simple/foo" / name
        page.write_bytes(page.read_bytes().replace(b"sha256=", b"sha256=0"))


def yank(rig: Rig, file: UploadedFile) -> None:
    page = rig.web / "simple/foo/index.v1_json"
    page.write_bytes(page.read_bytes().replace(b'"yanked":false', b'"yanked":true '))


def cut_legacy_json(rig: Rig, file: UploadedFile) -> None:
    document = rig.web / "json/foo"
    document.write_bytes(document.read_bytes()[:50])


def change_time(rig: Rig, file: UploadedFile) -> None:
    os.utime(rig.web / file.url_path.lstrip("/"), (1, 1))


@pytest.mark.parametrize("damage", [lose_an_entry, rot, change_pages, yank, cut_legacy_json, change_time])
def test_a_check_of_digests_believes_nothing_that_is_not_proven(
    rig: Rig, pypi: FakePyPI, damage: Callable[[Rig, UploadedFile], None]
) -> None:
    pypi.add_file("foo", "1.0")
    file = pypi.add_file("foo", "2.0", kind="sdist")
    rig.run(json="true")
    before = rig.tree()
    stored = rig.web / file.url_path.lstrip("/")
    moment = stored.stat().st_mtime
    damage(rig, file)
    rig.resync()
    assert rig.run(compare_method="hash", json="true").failures == []
    assert rig.tree() == before
    assert stored.stat().st_mtime == moment


def test_a_rebuilt_inventory_proves_no_pages(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    (rig.directory / "inventory.sqlite").unlink()
    pypi.clear_requests()
    rig.resync()
    rig.run(compare_method="hash")
    assert [request.status for request in pypi.page_requests()] == [200]
    rig.resync()
    rig.run(compare_method="hash")
    assert [request.status for request in pypi.page_requests()] == [200, 304]


def test_what_is_too_much_for_one_task_is_hashed_by_all_workers(rig: Rig, pypi: FakePyPI) -> None:
    files = [pypi.add_file("many", f"{number}.0", kind="sdist", content=b"x") for number in range(ONE_CALL_FILES + 1)]
    rig.run()
    (rig.web / files[7].url_path.lstrip("/")).write_bytes(b"y")
    pypi.clear_requests()
    rig.resync()
    rig.run(compare_method="hash")
    assert [request.status for request in pypi.page_requests()] == [200]
    assert [request.path for request in pypi.file_requests()] == [files[7].url_path]
    rig.assert_matches()


def test_resync_removes_what_upstream_no_longer_has(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    rig.run()
    pypi.remove_project("foo")
    rig.resync()
    assert rig.run().removed == 1
    rig.assert_matches()


def test_lost_inventory_is_rebuilt_from_the_pages(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("Foo.Bar", "1.0")
    pypi.add_file("other", "1.0")
    rig.run()
    (rig.directory / "inventory.sqlite").unlink()
    pypi.add_file("other", "1.1")
    rig.run()
    rig.assert_matches()
    assert len(pypi.file_requests()) == 3


def test_lost_todo_loses_nothing(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("good", "1.0")
    rig.run()
    file = pypi.add_file("bad", "1.0")
    pypi.fault(file.url_path, Status(404), times=None)
    assert len(rig.run().failures) == 1
    (rig.directory / "todo").unlink()
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()


def test_state_of_another_bandersnatch_is_taken_over(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    serial = (rig.directory / "state").read_text().strip()
    (rig.directory / "state").rename(rig.directory / "status")
    (rig.directory / "todo").write_text(f"None\nfoo {serial}")
    pypi.add_file("bar", "1.0")
    pypi.clear_requests()
    rig.run()
    assert "list_packages_with_serial" not in pypi.rpc_calls()
    assert not (rig.directory / "status").exists()
    rig.assert_matches()


@pytest.mark.parametrize("name", ["index.html", "index.v1_html"])
@pytest.mark.parametrize("data", [b"", b"<!DOCTYPE html>\n<html>torn"])
def test_resync_mends_a_torn_html_page(rig: Rig, pypi: FakePyPI, name: str, data: bytes) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    (rig.web / "simple/foo" / name).write_bytes(data)
    rig.resync()
    rig.run()
    rig.assert_matches()


@pytest.mark.parametrize("kind", ["empty", "nofiles"])
def test_resync_mends_a_torn_json_page(rig: Rig, pypi: FakePyPI, kind: str) -> None:
    pypi.add_file("foo", "1.0")
    if kind == "empty":
        pypi.remove_release("foo", "1.0")
    else:
        rig.options["release-files"] = "false"
    rig.run()
    page = rig.web / "simple/foo/index.v1_json"
    page.write_bytes(b'{"files": [')
    rig.resync()
    rig.run()
    assert json.loads(page.read_bytes())["name"] == "foo"


@pytest.mark.parametrize("path", ["json/foo", "pypi/foo/json"])
def test_resync_mends_missing_legacy_json(rig: Rig, pypi: FakePyPI, path: str) -> None:
    pypi.add_file("foo", "1.0")
    rig.run(json="true")
    (rig.web / path).unlink()
    rig.resync()
    rig.run(json="true")
    assert (rig.web / path).exists()


@pytest.fixture
def damaged(rig: Rig, pypi: FakePyPI) -> Rig:
    """A mirror that lacks a file, of which no change of upstream tells."""
    gone = pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    rig.run()
    (rig.web / gone.url_path.lstrip("/")).unlink()
    pypi.clear_requests()
    return rig


def test_forced_check_is_a_resync(damaged: Rig, pypi: FakePyPI) -> None:
    assert damaged.call("mirror").returncode == 0
    assert pypi.page_requests() == []
    assert damaged.call("mirror", "--force-check").returncode == 0
    assert len(pypi.file_requests()) == 1
    damaged.assert_matches()
    assert (damaged.directory / "state").read_text() == f"{pypi.serial}\n"


def test_forced_check_with_a_todo_list_checks_the_others_too(damaged: Rig, pypi: FakePyPI) -> None:
    new = pypi.add_file("bar", "2.0")
    pypi.fault(new.url_path, Status(404), times=None)
    damaged.run()
    assert (damaged.directory / "todo").exists()
    pypi.clear_faults()
    assert damaged.call("mirror", "--force-check").returncode == 0
    assert not (damaged.directory / "todo").exists()
    damaged.assert_matches()


def test_forced_check_that_breaks_off_is_gone_on_with(damaged: Rig, pypi: FakePyPI) -> None:
    pypi.fault("/simple/foo/", Status(404), times=None)
    assert damaged.call("mirror", "--force-check").returncode == 1
    assert not (damaged.directory / "state").exists()
    pypi.clear_faults()
    assert damaged.call("mirror").returncode == 0
    damaged.assert_matches()


def test_forced_check_waits_for_the_lock(damaged: Rig) -> None:
    with run_lock(damaged.directory):
        assert damaged.call("mirror", "--force-check").returncode == 3
    assert (damaged.directory / "state").exists()


def test_forced_check_can_be_planned(damaged: Rig) -> None:
    before = damaged.stamps()
    result = damaged.call("mirror", "--dry-run", "--full", "--json", "--force-check")
    damaged.assert_same_tree(before)
    plan = json.loads(result.stdout)
    assert plan["from_serial"] is None
    assert [(update["project"], update["download"]["files"]) for update in plan["update"]] == [("foo", 1)]


def test_force_check_forgets_nothing_before_upstream_has_answered(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    before = (rig.directory / "state").read_text()
    pypi.fault("/pypi", Status(503), times=None)
    pypi.fault("/simple/", Status(503), times=None)
    assert rig.call("mirror", "--force-check").returncode == 4
    assert (rig.directory / "state").read_text() == before


@pytest.mark.parametrize("compare_method", ["stat", "hash"])
def test_forced_check_sets_times_that_are_wrong(rig: Rig, pypi: FakePyPI, compare_method: str) -> None:
    file = pypi.add_file("foo", "1.0")
    rig.run(compare_method=compare_method)
    path = rig.web / file.url_path.lstrip("/")
    os.utime(path, (1000, 1000))
    pypi.clear_requests()
    assert rig.call("mirror", "--force-check", compare_method=compare_method).returncode == 0
    assert int(path.stat().st_mtime) == int(file.upload_time.timestamp())
    assert pypi.file_requests() == []
