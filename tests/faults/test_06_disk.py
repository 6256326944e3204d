"""6. The disk: full, out of inodes, read-only, gone. The run stops with one error, and goes on by itself afterwards."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bandersnatch.errors import OversizedFileError, StorageError
from bandersnatch.operations.tuning import Tuning
from tests.faults.failing_storage import FailingStorage
from tests.faults.test_05_kills import assert_pages_are_true
from tests.support.fakepypi import Edit, FakePyPI
from tests.support.rig import HURRIED, IN_PROCESSES, Rig
from tests.support.umask import umask

Mount = Callable[[str], Path]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small filesystem")


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a small filesystem of its own in memory, or changes its options."""
    point = tmp_path / "disk"
    point.mkdir()
    mounted: list[Path] = []

    def do(options: str) -> Path:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", point], check=True)
        mounted.append(point)
        return point

    yield do
    for path in mounted:
        subprocess.run(["umount", "-l", path], check=True)  # files of the run may still be open here


def remount(point: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", point], check=True)


def assert_goes_on(rig: Rig, disk: Path, options: str) -> None:
    """Assert that one plain run is enough when the disk is well again."""
    remount(disk, options)
    assert rig.command("mirror").returncode == 0
    rig.assert_matches()


def world(pypi: FakePyPI) -> None:
    for number in range(20):
        pypi.add_file(f"project-{number}", "1.0", size=60_000)


@needs_root
def test_full_disk_stops_the_run_and_more_room_lets_it_go_on(pypi: FakePyPI, mount: Mount) -> None:
    disk = mount("size=1m")
    world(pypi)
    rig = Rig(pypi, disk)
    result = rig.command("mirror")
    assert result.returncode == 4
    assert "No space left on device" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not list(disk.rglob("*.part"))
    assert_pages_are_true(rig.web)
    assert_goes_on(rig, disk, "size=20m")


@needs_root
def test_full_disk_during_an_update_keeps_the_state(pypi: FakePyPI, mount: Mount) -> None:
    disk = mount("size=3m")
    rig = Rig(pypi, disk)
    world(pypi)
    assert rig.command("mirror").returncode == 0
    state = (rig.directory / "state").read_bytes()
    for number in range(20):
        pypi.add_file(f"project-{number}", "2.0", size=300_000)
    assert rig.command("mirror").returncode == 4
    assert (rig.directory / "state").read_bytes() == state
    assert_pages_are_true(rig.web)
    assert_goes_on(rig, disk, "size=20m")


@needs_root
def test_disk_without_inodes(pypi: FakePyPI, mount: Mount) -> None:
    disk = mount("size=20m,nr_inodes=60")
    world(pypi)
    rig = Rig(pypi, disk)
    result = rig.command("mirror")
    assert result.returncode == 4
    assert "No space left on device" in result.stderr
    assert_goes_on(rig, disk, "nr_inodes=0")


@needs_root
def test_disk_that_became_read_only(pypi: FakePyPI, mount: Mount) -> None:
    disk = mount("size=20m")
    rig = Rig(pypi, disk)
    world(pypi)
    rig.command("mirror")
    pypi.add_file("new", "1.0")
    rig.write_config()
    remount(disk, "ro")
    result = rig.command_again("mirror")
    assert result.returncode == 4
    assert "Read-only file system" in result.stderr
    assert "Traceback" not in result.stderr
    assert_goes_on(rig, disk, "rw")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMLINK, errno.EACCES])
@pytest.mark.parametrize("fails_from", [3, 12, 30])
def test_any_error_of_the_disk_is_one_error_of_the_run(
    rig: Rig, pypi: FakePyPI, code: int, fails_from: int, caplog: pytest.LogCaptureFixture
) -> None:
    world(pypi)
    rig.make_storage = partial(FailingStorage, fails_from=fails_from, code=code)
    with pytest.raises(StorageError, match=os.strerror(code)):
        rig.run()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]  # main tells of it, once
    rig.make_storage = Rig(pypi, rig.folder).make_storage
    rig.run()
    rig.assert_matches()


@pytest.mark.parametrize("fails_from", [1, 5, 20])
def test_disk_that_is_gone(rig: Rig, pypi: FakePyPI, fails_from: int) -> None:
    world(pypi)
    rig.make_storage = partial(FailingStorage, fails_from=fails_from, code=errno.EIO, reads_too=True)
    with pytest.raises(StorageError):
        rig.run()
    rig.make_storage = Rig(pypi, rig.folder).make_storage
    rig.run()
    rig.assert_matches()


def test_reserve_is_never_eaten_into(rig: Rig, pypi: FakePyPI) -> None:
    world(pypi)
    free = os.statvfs(rig.folder)
    with pytest.raises(StorageError, match="would not leave the reserve of"):
        rig.run(reserve=str(free.f_bavail * free.f_frsize + 10**9))
    assert not list(rig.directory.rglob("*.whl"))
    assert rig.run(reserve="1M").failures == []
    rig.assert_matches()


@needs_root
def test_reserve_on_a_small_disk(pypi: FakePyPI, mount: Mount) -> None:
    disk = mount("size=4m")
    rig = Rig(pypi, disk)
    world(pypi)
    assert rig.command("mirror", reserve="3M").returncode == 4
    found = os.statvfs(disk)
    assert found.f_bavail * found.f_frsize > 2_500_000  # state and pages are small, and are not counted
    assert rig.command("mirror", reserve="1M").returncode == 0
    rig.assert_matches()


@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_state_files_keep_the_permissions_that_the_operator_gave_them(rig: Rig, pypi: FakePyPI, mask: int) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    (rig.directory / "state").chmod(0o600)
    pypi.add_file("foo", "1.1")
    with umask(mask):
        rig.run()
    assert (rig.directory / "state").stat().st_mode & 0o777 == 0o600


def without_size(page: Any) -> Any:
    return page | {"files": [file | {"size": None} for file in page["files"]]}


@needs_root
@pytest.mark.parametrize(("size", "reserve"), [("24m", "0"), ("60m", "40M")], ids=["full", "reserve"])
@pytest.mark.parametrize("tuning", [HURRIED, IN_PROCESSES], ids=["in one thread", "in processes"])
def test_file_of_unknown_size_that_has_no_room_fails_its_project_alone(
    pypi: FakePyPI, mount: Mount, size: str, reserve: str, tuning: Tuning
) -> None:
    disk = mount(f"size={size}")
    rig = Rig(pypi, disk)
    rig.options |= {"reserve": reserve, "workers": "1"}
    pypi.add_file("endless", "1.0", content=b"x" * 30_000_000, kind="sdist")
    pypi.fault("/simple/endless/", Edit(without_size), times=None)
    world(pypi)
    report = rig.run(tuning=tuning)
    (failure,) = report.failures
    assert (failure.project, type(failure.error)) == ("endless", OversizedFileError)
    assert "gives no size for this file, which gets too large: " in str(failure.error)
    assert "would come, which would not " in str(failure.error)
    assert report.updated == 20
    assert not list(disk.rglob("*.part"))
    assert_pages_are_true(rig.web)
    remount(disk, "size=200m")
    assert rig.run(tuning=tuning).failures == []
    assert (rig.web / "simple/endless/index.html").exists()
