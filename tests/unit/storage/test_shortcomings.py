"""What a filesystem can't do is done in another way, and told once; what fails is an error all the same."""

import errno
import os
import sys
from pathlib import Path

import pytest

from bandersnatch.storage.layout import LOCK
from tests.support.fakepypi import FakePyPI
from tests.support.refusing_kernel import Call, Refusal, is_folder, refusing_kernel
from tests.support.rig import Rig, start_process
from tests.support.umask import umask

RUN_IN_PROCESSES = """
import logging, sys
from pathlib import Path
from tests.support.rig import run_in_processes
logging.basicConfig(level=logging.INFO)
print(len(run_in_processes(Path(sys.argv[1])).failures))
"""
WHOLE = "can't flush single files or folders; it is flushed as a whole"
ALL = "can't be flushed alone; all filesystems are"
TIMES = "does not let this user set times"
MODES = "does not let this user set permissions"
UNABLE = ["EPERM", "ENOSYS", "EOPNOTSUPP", "EINVAL"]


def world(pypi: FakePyPI) -> None:
    for number in range(6):
        pypi.add_file(f"project-{number}", "1.0", size=2_000)
        pypi.add_file(f"project-{number}", "1.1", size=1_500_000)


def is_no_folder(call: Call) -> bool:
    return not is_folder(call)


SHORTCOMINGS = {
    "syncfs": (Refusal("syncfs", 0), ALL),
    "fsync of folders": (Refusal("fsync", 0, is_folder), WHOLE),
    "fsync of files": (Refusal("fsync", 0, lambda call: is_no_folder(call) and "sqlite" not in call.path), WHOLE),
    "times": (Refusal("utimensat", 0), TIMES),
    "permissions": (Refusal("fchmod", 0, lambda call: LOCK not in call.path and "sqlite" not in call.path), MODES),
}


@pytest.mark.parametrize("code", UNABLE)
@pytest.mark.parametrize("shortcoming", SHORTCOMINGS)
def test_what_a_filesystem_can_not_do_is_told_once_and_is_no_hindrance(
    rig: Rig, pypi: FakePyPI, shortcoming: str, code: str
) -> None:
    world(pypi)
    refusal, told = SHORTCOMINGS[shortcoming]
    with refusing_kernel(refusal._replace(code=getattr(errno, code))) as kernel, umask(0o027):
        rig.start = kernel.start
        for version in ("1.2", "1.3") if code == "EPERM" else ("1.2",):
            result = rig.command("mirror")
            assert result.returncode == 0, result.stderr
            assert result.stderr.count(told) == 1
            assert result.stderr.count("this filesystem") == 1
            rig.assert_matches(times=shortcoming != "times")
            pypi.add_file("project-1", version)
    assert kernel.refused


@pytest.mark.parametrize("shortcoming", ["times", "permissions", "fsync of folders", "syncfs"])
def test_workers_do_without_it_too_and_it_is_told_once_all_the_same(rig: Rig, pypi: FakePyPI, shortcoming: str) -> None:
    world(pypi)
    for number in range(100):
        pypi.add_file(f"small-{number}", "1.0")
    refusal, told = SHORTCOMINGS[shortcoming]
    with refusing_kernel(refusal._replace(code=errno.EPERM)) as kernel, umask(0o027):
        result = kernel.run([sys.executable, "-c", RUN_IN_PROCESSES, str(rig.write_config())])
    assert (result.returncode, result.stdout) == (0, "0\n"), result.stderr
    assert result.stderr.count(told) == 1
    assert pypi.pages_for_others > 0
    rig.assert_matches(times=shortcoming != "times")


@pytest.mark.parametrize("code", ["EIO", "ENOSPC", "EDQUOT"])
@pytest.mark.parametrize("call", ["syncfs", "fsync"])
def test_disk_that_fails_to_flush_is_an_error(rig: Rig, pypi: FakePyPI, call: str, code: str) -> None:
    world(pypi)
    with refusing_kernel(Refusal(call, getattr(errno, code), lambda call: "sqlite" not in call.path)) as kernel:
        rig.start = kernel.start
        result = rig.command("mirror")
    assert result.returncode == 4
    assert "can't flush" in result.stderr.splitlines()[-1]
    assert str(rig.directory) in result.stderr.splitlines()[-1]
    assert not (rig.directory / "state").exists()


def test_times_that_can_not_be_set_do_not_fetch_files_again(rig: Rig, pypi: FakePyPI) -> None:
    world(pypi)
    with refusing_kernel(Refusal("utimensat", errno.EPERM)) as kernel:
        rig.start = kernel.start
        assert rig.command("mirror", compare_method="stat").returncode == 0
        fetched = [request.path for request in pypi.requests if request.path.startswith("/packages/")]
        for command in (["mirror", "--force-check"], ["verify"], ["verify", "--quick"]):
            assert rig.command_again(*command).returncode == 0
    assert [request.path for request in pypi.requests if request.path.startswith("/packages/")] == fetched
    rig.assert_matches(times=False)


def test_parts_beside_their_place_need_no_hard_links(rig: Rig, pypi: FakePyPI, tmp_path: Path) -> None:
    world(pypi)
    packages = rig.web / "packages"
    packages.mkdir(parents=True)
    packages.chmod(0o2755)  # what hands its group down has its half-written files beside their places
    with refusing_kernel(Refusal("link", errno.EPERM), Refusal("linkat", errno.EPERM)) as kernel:
        rig.start = kernel.start
        result = rig.command("mirror")
    assert result.returncode == 0, result.stderr
    assert kernel.refused
    rig.assert_matches()
    assert not list(rig.directory.rglob("*.part"))


@pytest.mark.parametrize("tuning", ["in one thread", "in processes"])
@pytest.mark.parametrize("code", ["ENAMETOOLONG", "EILSEQ"])
def test_name_that_the_filesystem_can_not_have_fails_its_project_alone(
    rig: Rig, pypi: FakePyPI, code: str, tuning: str
) -> None:
    world(pypi)
    pypi.add_file("awkward", "1.0")
    pypi.add_file("awkward-too", "1.0")  # not even its page has a place
    number = getattr(errno, code)

    def is_awkward(call: Call) -> bool:
        return ("packages" in call.path and "awkward-1" in call.path) or "simple/awkward-too" in call.path

    names = ("newfstatat", "openat", "renameat", "rename", "mkdir")
    with refusing_kernel(*(Refusal(name, number, is_awkward) for name in names)) as kernel:
        rig.start = kernel.start
        if tuning == "in one thread":
            result = rig.command("mirror")
            assert result.returncode == 1
            assert f"the filesystem does not allow this name: {os.strerror(number)}" in result.stderr
        else:
            result = kernel.run([sys.executable, "-c", RUN_IN_PROCESSES, str(rig.write_config())])
            assert result.stdout == "2\n", result.stderr
            assert pypi.pages_for_others > 0
    assert result.stderr.count("files fetched: 2 ") == 6
    assert "Traceback" not in result.stderr
    assert not (rig.web / "simple" / "awkward").exists()
    assert rig.command_again("mirror").returncode == 1
    rig.start = start_process
    assert rig.command_again("mirror").returncode == 0
    rig.assert_matches()


def test_versions_of_pages_without_symbolic_links_say_what_is_missing(rig: Rig, pypi: FakePyPI) -> None:
    world(pypi)
    refusals = [Refusal(name, errno.EPERM) for name in ("symlink", "symlinkat")]
    with refusing_kernel(*refusals) as kernel:
        rig.start = kernel.start
        result = rig.command("mirror", keep_index_versions="2")
    assert result.returncode == 4
    assert "keep_index_versions needs symbolic links, and this filesystem has none" in result.stderr.splitlines()[-1]
