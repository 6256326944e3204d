"""Databases on a filesystem that has neither locks of parts of files nor memory that processes share."""

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bandersnatch.state.database_connection import connect, connect_in_wal
from tests.support.fakepypi import FakePyPI
from tests.support.refusing_kernel import Call, Refusal, is_folder, refusing_kernel
from tests.support.rig import Rig


def test_database_is_shared_where_that_can_be_done(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for name, opened, mode in (("a", connect, "delete"), ("b", connect_in_wal, "wal")):
        with closing(opened(tmp_path / name)) as one, closing(opened(tmp_path / name)) as other:
            one.execute("CREATE TABLE x (y)")
            assert other.execute("SELECT * FROM x").fetchall() == []
            assert one.execute("PRAGMA journal_mode").fetchone() == (mode,)
    assert caplog.text == ""


def test_lock_of_another_program_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with closing(connect(path)) as holder:
        holder.execute("CREATE TABLE x (y)")
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            connect(path)


def test_what_is_no_database_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x" * 5000)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        connect(tmp_path / "a")


@pytest.mark.parametrize(
    ("call", "code"), [("fcntl", "ENOLCK"), ("fcntl", "ENOSYS"), ("fcntl", "EOPNOTSUPP"), ("mmap", "ENODEV")]
)
def test_runs_do_without_and_say_so_once(rig: Rig, pypi: FakePyPI, call: str, code: str) -> None:
    pypi.add_file("foo", "1.0")

    def is_file_of_mirror(call: Call) -> bool:
        return call.path.startswith(str(rig.directory)) and not is_folder(call)  # Python copies descriptors of folders

    refused = Refusal(call, getattr(errno, code), is_file_of_mirror)
    with refusing_kernel(refused, Refusal("flock", errno.ENOSYS)) as kernel:
        rig.start = kernel.start
        for version in ("1.1", "1.2"):
            pypi.add_file("foo", version)
            result = rig.command("mirror")
            assert result.returncode == 0, result.stderr
            assert result.stderr.count("this filesystem can't share a database") == 1
            rig.assert_matches()
        process = rig.start_command("mirror")
        process.kill()
        process.communicate()
        assert rig.command("verify", "--delete").returncode == 0
        assert rig.command("mirror", "--dry-run").returncode == 0
    assert {call.name for call in kernel.refused} == {call, "flock"}
    assert rig.call("mirror").returncode == 0
    rig.assert_matches()
