"""On a filesystem without file locks, runs are kept apart all the same, and a run that was killed keeps nobody out."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from bandersnatch.errors import LockHeldError
from bandersnatch.storage.claims import claim
from bandersnatch.storage.layout import LOCK
from bandersnatch.storage.lock import run_lock
from bandersnatch.storage.lock_holder import Fate, Holder
from tests.support.fakepypi import FakePyPI
from tests.support.refusing_kernel import Refusal, RefusingKernel, refusing_kernel
from tests.support.rig import Rig
from tests.unit.storage.test_lock import HOLD_THE_LOCK

COUNT_HOLDERS = """
import os, sys
from pathlib import Path
from bandersnatch.errors import LockHeldError
from bandersnatch.storage.lock import run_lock
directory, got = Path(sys.argv[1]), 0
for _ in range(10):
    try:
        with run_lock(directory):
            os.close(os.open(directory / "held", os.O_CREAT | os.O_EXCL))
            os.unlink(directory / "held")
            got += 1
    except LockHeldError:
        pass
print(got)
"""


@pytest.fixture(params=["ENOSYS", "ENOLCK", "EOPNOTSUPP", "EINVAL"])
def kernel(request: pytest.FixtureRequest) -> Iterator[RefusingKernel]:
    with refusing_kernel(Refusal("flock", getattr(errno, request.param))) as kernel:
        yield kernel


@pytest.fixture
def without_locks() -> Iterator[RefusingKernel]:
    with refusing_kernel(Refusal("flock", errno.ENOSYS)) as kernel:
        yield kernel


def hold(kernel: RefusingKernel, directory: Path) -> "subprocess.Popen[str]":
    """Start a process that holds the lock until its standard input ends."""
    directory.mkdir(exist_ok=True)
    process = kernel.start([sys.executable, "-c", HOLD_THE_LOCK, str(directory)], stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n", process.communicate()[1]
    return process


def claims(directory: Path) -> list[Path]:
    return list(directory.glob(f"{LOCK}.*"))


def test_runs_work_without_file_locks_and_say_so_once(rig: Rig, pypi: FakePyPI, kernel: RefusingKernel) -> None:
    pypi.add_file("foo", "1.0")
    rig.start = kernel.start
    result = rig.command("mirror")
    assert result.returncode == 0, result.stderr
    rig.assert_matches()
    assert result.stderr.count("this filesystem has no file locks") == 1
    assert "Warning" not in result.stderr
    assert claims(rig.directory) == []
    quiet = rig.command("--quiet", "mirror")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert kernel.refused


def test_second_run_is_kept_out_and_told_of_the_first(rig: Rig, pypi: FakePyPI, kernel: RefusingKernel) -> None:
    rig.start = kernel.start
    with hold(kernel, rig.directory) as holder:
        result = rig.command("mirror")
        assert result.returncode == 3
        assert f"another run holds the lock (process {holder.pid}, since " in result.stderr
        assert "delete" not in result.stderr
        assert pypi.requests == []
        holder.communicate("")
    assert rig.command("mirror").returncode == 0


def test_run_after_one_that_was_killed_goes_on(rig: Rig, pypi: FakePyPI, kernel: RefusingKernel) -> None:
    rig.start = kernel.start
    for _ in range(2):
        with hold(kernel, rig.directory) as holder:
            holder.kill()
        assert len(claims(rig.directory)) == 1
    result = rig.command("mirror")
    assert result.returncode == 0, result.stderr
    assert claims(rig.directory) == []


def test_what_was_killed_while_it_wrote_its_claim_is_cleaned_up(tmp_path: Path, without_locks: RefusingKernel) -> None:
    (tmp_path / f"{LOCK}.{'0' * 32}.new").touch()
    (tmp_path / f"{LOCK}.{'1' * 32}").touch()  # as after a power cut
    with hold(without_locks, tmp_path) as holder:
        assert len(claims(tmp_path)) == 1
        holder.communicate("")
    assert claims(tmp_path) == []


@pytest.mark.parametrize("leftover", ["", "process 1, since 2026-11-01 00:00:00 UTC\n", "garbage", "1\n"])
def test_what_runs_with_locks_have_left_is_no_hindrance(
    tmp_path: Path, without_locks: RefusingKernel, leftover: str
) -> None:
    with run_lock(tmp_path):
        pass
    if leftover:
        (tmp_path / LOCK).write_text(leftover)
    with hold(without_locks, tmp_path) as holder:
        holder.communicate("")


def test_run_with_a_lock_keeps_out_one_that_can_get_none(tmp_path: Path, without_locks: RefusingKernel) -> None:
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(tmp_path)]
    with run_lock(tmp_path):
        result = without_locks.run(command)
    assert "LockHeldError" in result.stderr
    assert f"process {os.getpid()}, since " in result.stderr
    with hold(without_locks, tmp_path) as holder:
        with pytest.raises(LockHeldError, match=f"process {holder.pid}, since "), run_lock(tmp_path):
            pytest.fail("the block was entered")
        holder.communicate("")
    with run_lock(tmp_path):
        pass


def test_other_programs_soft_lock_keeps_us_out_as_long_as_it_lives(
    tmp_path: Path, without_locks: RefusingKernel
) -> None:
    here = Holder.of_this_process().host
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(tmp_path)]
    (tmp_path / LOCK).write_text(f"{os.getpid()}\n{here}\n")
    assert "LockHeldError" in without_locks.run(command).stderr
    (tmp_path / LOCK).write_text(f"{dead_process()}\n{here}\n")
    assert "LockHeldError" not in without_locks.run(command).stderr


def test_of_many_runs_at_the_same_time_one_at_most_holds_the_directory(
    tmp_path: Path, without_locks: RefusingKernel
) -> None:
    command = [sys.executable, "-c", COUNT_HOLDERS, str(tmp_path)]
    with ExitStack() as stack:
        processes = [stack.enter_context(without_locks.start(command)) for _ in range(4)]
        ended = [process.communicate(timeout=100) for process in processes]
    assert [stderr for _, stderr in ended] == [""] * 4
    assert sum(int(stdout) for stdout, _ in ended) > 0
    assert claims(tmp_path) == []


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


HERE = Holder.of_this_process()


def leave(directory: Path, holder: Holder) -> Path:
    path = directory / f"{LOCK}.{'a' * 32}"
    path.write_bytes(holder.render())
    return path


@pytest.mark.parametrize(
    "holder",
    [
        replace(HERE, host="elsewhere", boot="1", machine="2", pid=2**22 + 1),
        replace(HERE, machine="2", boot="1"),
        replace(HERE, machine="", boot="1"),
        replace(HERE, boot="1"),
        replace(HERE, namespace="pid:[1]"),
    ],
    ids=[
        "another host",
        "another host of the same name",
        "nothing to tell hosts apart",
        "a copy of this machine",
        "another container",
    ],
)
def test_claim_that_can_not_be_judged_from_here_is_left_alone(tmp_path: Path, holder: Holder) -> None:
    path = leave(tmp_path, replace(holder, since=time.time() - 10))  # it has begun since we booted
    with pytest.raises(LockHeldError) as caught, claim(tmp_path):
        pytest.fail("the block was entered")
    assert path.exists()
    assert f"on {holder.host}" in str(caught.value)
    assert str(caught.value).endswith(
        f"where alone it can be seen whether it still runs); if it has ended: delete {path}"
    )
    assert claims(tmp_path) == [path]


@pytest.mark.parametrize(
    "holder",
    [
        replace(HERE, start="1"),
        replace(HERE, machine="2", boot="1") if not HERE.machine else replace(HERE, boot="1", since=1.0),
        replace(HERE, pid=2**22 + 1),
    ],
    ids=["its number is another process's", "before the last boot", "no such process"],
)
def test_claim_of_a_process_that_has_ended_is_deleted(tmp_path: Path, holder: Holder) -> None:
    if holder.machine != HERE.machine:
        pytest.skip("this system has no machine-id")
    path = leave(tmp_path, holder)
    with claim(tmp_path):
        assert not path.exists()


def test_claim_that_is_no_plain_record_is_no_holder(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(HERE.render())
    (tmp_path / f"{LOCK}.{'a' * 32}").symlink_to(target)
    (tmp_path / f"{LOCK}.{'b' * 32}").write_bytes(b"x\n{}\n")
    os.mkfifo(tmp_path / f"{LOCK}.{'c' * 32}")
    with claim(tmp_path):
        pass
    assert target.exists()


def test_record_comes_back_whole_and_its_host_can_not_end_a_line() -> None:
    holder = replace(HERE, host="web\n1\x1b")
    assert Holder.parse(holder.render(), 0.0) == holder
    assert str(holder).endswith(", on web?1?")
    assert HERE.fate() is Fate.RUNS
    assert Holder.parse(HERE.render_ended(), 0.0) is None
    assert msgspec.json.decode(HERE.render().splitlines()[1])["pid"] == os.getpid()
