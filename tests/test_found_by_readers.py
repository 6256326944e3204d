"""Bugs that careful readers found, one test for each."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import NormalizedName

from bandersnatch.errors import HostDownError, MirrorError, StorageError
from bandersnatch.inventory import Inventory
from bandersnatch.layout import StoredPath
from bandersnatch.retries import RetryPolicy
from bandersnatch.storage import FilesystemStorage
from tests.fakepypi import Edit, FakePyPI, Reset, ShortBody, Status, WrongBytes
from tests.rig import Rig


def urls(rig: Rig, page: str = "simple/foo/index.v1_json") -> list[str]:
    return [file["url"] for file in json.loads((rig.web / page).read_bytes())["files"]]


def test_option_changed_during_the_first_sync_reaches_the_pages_already_written(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    pypi.fault("/simple/bar/", Status(403), times=None)
    rig.run()
    pypi.clear_faults()
    rig.run(root_uri="https://files.example")
    assert urls(rig)[0].startswith("https://files.example/")


def test_index_changed_during_the_first_sync(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("only-in-the-first", "1.0")
    pypi.add_file("bar", "1.0")
    pypi.fault("/simple/bar/", Status(403), times=None)
    rig.run()
    with FakePyPI() as other:
        other.add_file("only-in-the-second", "1.0")
        other.skip_serials(100)
        other.write_journal(None, None, "something")
        rig.pypi = other
        assert rig.run().failures == []
        rig.assert_matches()


@pytest.mark.parametrize("resync", [False, True])
def test_change_of_the_index_that_is_taken_back_half_way(rig: Rig, pypi: FakePyPI, resync: bool) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    rig.run()
    with FakePyPI() as other:
        other.skip_serials(100)
        other.add_file("foo", "9.0")
        other.add_file("bar", "9.0")
        other.fault("/simple/bar/", Status(403), times=None)
        rig.pypi = other
        rig.run()
        rig.pypi = pypi
        if resync:
            rig.resync()
        else:
            pypi.skip_serials(1000)
            pypi.write_journal(None, None, "something")
        assert rig.run().failures == []
        rig.assert_matches()


def test_removal_told_by_the_index_alone_reaches_a_project_that_failed_before(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    rig.run()
    pypi.add_file("foo", "1.1")
    pypi.fault("/simple/foo/", Status(403), times=None)
    rig.run()
    pypi.clear_faults()
    pypi.remove_project("foo")
    pypi.add_file("bar", "1.1")
    pypi.fault("rpc:*", Status(404), times=None)
    rig.run()
    pypi.clear_faults()
    assert rig.run().failures == []
    rig.assert_matches()


def test_emptied_project_told_by_the_index_alone_that_failed_before(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    rig.run()
    pypi.yank("foo", "1.0")
    pypi.fault("/simple/foo/", Status(403), times=None)
    rig.run()
    pypi.clear_faults()
    pypi.remove_release("foo", "1.0")
    pypi.add_file("bar", "1.1")
    pypi.fault("rpc:*", Status(404), times=None)
    rig.run()
    pypi.clear_faults()
    assert rig.run().failures == []
    rig.assert_matches()


@pytest.mark.parametrize("last", [WrongBytes(), Status(206)])
def test_wrong_body_at_the_last_attempt_is_no_bug(rig: Rig, pypi: FakePyPI, last: Any) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist", size=3_000_000)
    pypi.fault(file.url_path, ShortBody(2_000_000), ShortBody(500_000), last)
    report = rig.run()
    assert all(isinstance(failure.error, MirrorError) for failure in report.failures), report.failures
    assert report.failures == []


@pytest.mark.parametrize("status", [501, 505, 507, 520, 522, 530])
def test_every_5xx_is_tried_again(rig: Rig, pypi: FakePyPI, status: int) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Status(status))
    assert rig.run().failures == []


@pytest.mark.parametrize("fault", [Reset(50), ShortBody(50), Status(403), Status(520)], ids=str)
def test_host_that_always_breaks_off_is_down(rig: Rig, pypi: FakePyPI, fault: Any) -> None:
    for number in range(60):
        pypi.add_file(f"project-{number:02}", "1.0")
    pypi.fault("/simple/project-*", fault, times=None)
    report = rig.run(policy=RetryPolicy(attempts=2, backoff_seconds=0, failures_until_down=5), workers="2")
    assert isinstance(report.outage, HostDownError), (len(report.failures), len(pypi.page_requests()))


SLOW_END = """
import sys, time
from bandersnatch import inventory, storage, main
close = inventory.Inventory.close
def slow(self):
    time.sleep(2.0)  # SQLite's checkpoint on a busy disk
    close(self)
inventory.Inventory.close = slow
def full(self, *a, **k):
    raise storage.StorageError("x", "write", OSError(28, "No space left on device"))
storage.FilesystemStorage.room_for = full
main.console()
"""


def test_error_of_the_disk_is_not_told_as_a_signal(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    path = rig.write_config()
    result = subprocess.run([sys.executable, "-c", SLOW_END, "-c", str(path), "mirror"], capture_output=True, text=True)
    assert (result.returncode, "No space left" in result.stderr) == (4, True), result.stderr


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


def test_another_index_with_the_same_file_name_and_other_bytes(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("in-both", "1.0", kind="sdist", size=1000)
    rig.run()
    with FakePyPI() as other:
        other.add_file("in-both", "1.0", kind="sdist", size=2000)
        other.skip_serials(100)
        other.write_journal(None, None, "something")
        rig.pypi = other
        assert rig.run().failures == []
        rig.assert_matches()


def test_indented_duplicates(rig: Rig) -> None:
    from bandersnatch.config import Config
    from bandersnatch.errors import ConfigError

    path = rig.write_config()
    path.write_text(
        "[mirror]\n" + "".join(f"  {line}\n" for line in path.read_text().splitlines()[1:]) + "  workers = 9\n"
    )
    with pytest.raises(ConfigError):
        Config.load(path)


def test_full_inventory_names_its_cause(tmp_path: Path) -> None:
    with closing(Inventory(tmp_path / "inventory.sqlite")) as inventory:
        inventory.open()
        inventory.put_all([])
        assert inventory._connection is not None
        pages = inventory._connection.execute("PRAGMA page_count").fetchone()[0]
        inventory._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StorageError, match="No space left on device"):
            inventory.note_unsettled(
                NormalizedName("foo"), [StoredPath(f"packages/{number:05}/{'x' * 200}") for number in range(5000)]
            )


def test_reserve_counts_the_downloads_under_way(tmp_path: Path) -> None:
    storage, path = FilesystemStorage(tmp_path), StoredPath("web/packages/aa/foo")
    found = os.statvfs(tmp_path)
    free = found.f_bavail * found.f_frsize
    with (
        storage.room_for(path, free // 3, free // 2),
        pytest.raises(StorageError, match="would not leave the reserve"),
        storage.room_for(path, free // 3, free // 2),
    ):
        pytest.fail("the block was entered")
    with storage.room_for(path, free // 3, free // 2):
        pass


def test_removals_happen_although_the_file_host_is_down(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(30):
        pypi.add_file(f"project-{number:02}", "1.0")
    pypi.add_file("malware", "1.0")
    pypi.add_file("malware2", "1.0")
    rig.run()
    pypi.remove_project("malware2")
    for number in range(10):
        pypi.add_file(f"project-{number:02}", "1.1")
    pypi.quarantine_project("malware")

    def elsewhere(page: dict[str, Any]) -> dict[str, Any]:
        for file in page["files"]:
            file["url"] = file["url"].replace("127.0.0.1", "localhost")
        return page

    pypi.fault("/simple/project-*", Edit(elsewhere), times=None)
    pypi.fault("/packages/*", Reset(0), times=None)
    rig.run(policy=RetryPolicy(attempts=3, backoff_seconds=0, failures_until_down=5), workers="1")
    assert not (rig.web / "simple/malware2").exists()
    assert json.loads((rig.web / "simple/malware/index.v1_json").read_bytes())["files"] == []


def test_quarantine_told_by_the_index_alone_while_the_page_is_stale(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    rig.run()
    pypi.freeze_page("foo")
    pypi.quarantine_project("foo")
    pypi.add_file("bar", "1.1")
    pypi.fault("rpc:*", Status(404), times=None)
    rig.run()
    pypi.clear_faults()
    pypi.thaw_page("foo")
    rig.run()
    rig.run()
    rig.assert_matches()
