"""The lock of a mirror's directory keeps other runs out, and says who holds it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bandersnatch.errors import LockHeldError, MissingDirectoryError, StorageError
from bandersnatch.storage.layout import LOCK
from bandersnatch.storage.lock import run_lock
from tests.support.umask import umask

HOLD_THE_LOCK = """
import sys
from pathlib import Path
from bandersnatch.storage.lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "mirror"
    path.mkdir()
    return path


@contextmanager
def another_process_with_the_lock(directory: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.stdin.close()
            process.wait(timeout=30)


def test_the_lock_is_a_file_in_the_directory(directory: Path) -> None:
    with run_lock(directory):
        assert (directory / LOCK).is_file()


def test_the_lock_does_not_make_the_directory(directory: Path) -> None:
    directory.rmdir()
    with pytest.raises(MissingDirectoryError, match="there is no such directory"), run_lock(directory):
        pytest.fail("the block was entered")
    assert not directory.exists()


def test_the_lock_keeps_another_process_out_and_says_who_holds_it(directory: Path) -> None:
    with another_process_with_the_lock(directory) as process:
        for _ in range(2):
            with (
                pytest.raises(LockHeldError, match=rf"another run holds the lock \(process {process.pid}, since "),
                run_lock(directory),
            ):
                pytest.fail("the block was entered")


def test_the_lock_is_free_when_its_holder_has_ended(directory: Path) -> None:
    with another_process_with_the_lock(directory):
        pass
    with run_lock(directory):
        assert f"process {os.getpid()}, since " in (directory / LOCK).read_text()


def test_the_lock_is_free_when_its_holder_was_killed(directory: Path) -> None:
    with another_process_with_the_lock(directory) as process:
        process.kill()
        process.wait(timeout=30)
        with run_lock(directory):
            assert f"process {os.getpid()}, since " in (directory / LOCK).read_text()


def test_the_lock_keeps_out_a_second_user_in_the_same_process(directory: Path) -> None:
    with run_lock(directory), pytest.raises(LockHeldError), run_lock(directory):
        pytest.fail("the block was entered")


def test_the_lock_is_released_after_an_error(directory: Path) -> None:
    with pytest.raises(ValueError, match="x"), run_lock(directory):
        raise ValueError("x")
    with run_lock(directory):
        pass


def test_an_empty_lock_file_of_another_tool_is_taken(directory: Path) -> None:
    (directory / LOCK).touch()
    with run_lock(directory):
        pass


@pytest.mark.parametrize(("mask", "mode"), [(0, 0o664), (0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
def test_the_lock_is_never_writable_by_all(directory: Path, mask: int, mode: int) -> None:
    with umask(mask):
        with run_lock(directory):
            assert (directory / LOCK).stat().st_mode & 0o777 == mode
        (directory / LOCK).chmod(0o666)
        with run_lock(directory):
            assert (directory / LOCK).stat().st_mode & 0o777 == mode
    (directory / LOCK).chmod(0o600)
    with run_lock(directory):
        pass
    assert (directory / LOCK).stat().st_mode & 0o777 == 0o600  # as the operator wanted it


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_in_place_of_the_lock_is_not_followed(directory: Path, exists: bool) -> None:
    target = directory.parent / "target"
    if exists:
        target.write_text("precious")
    (directory / LOCK).symlink_to(target)
    with (
        pytest.raises(StorageError, match="can't lock: it is a link, which is not followed"),
        run_lock(directory),
    ):
        pytest.fail("the block was entered")
    assert target.exists() is exists
    assert not exists or target.read_text() == "precious"


def test_a_file_that_has_another_name_too_is_no_lock(directory: Path) -> None:
    target = directory / "target"
    target.touch()
    (directory / LOCK).hardlink_to(target)
    with pytest.raises(StorageError, match="not a plain file with one name"), run_lock(directory):
        pytest.fail("the block was entered")
    target.unlink()
    with run_lock(directory):
        pass


def test_a_pipe_in_place_of_the_lock_holds_nobody(directory: Path) -> None:
    os.mkfifo(directory / LOCK)
    with pytest.raises(StorageError, match="can't lock"), run_lock(directory):
        pytest.fail("the block was entered")


def test_the_file_tells_who_held_the_lock_last(directory: Path) -> None:
    with run_lock(directory):
        pass
    assert re.fullmatch(rf"process {os.getpid()}, since .* UTC, on .*, until .* UTC\n", (directory / LOCK).read_text())
