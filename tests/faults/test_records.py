"""The records of a mirror are checked like input: their kind and size before they are read, and their paths before use."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig


def make_sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(3 * 1024**3)


@pytest.mark.parametrize("name", ["state", "todo", "changelog", "fingerprint", "status"])
@pytest.mark.parametrize("make", [os.mkfifo, make_sparse], ids=["FIFO", "3 GB"])
def test_a_record_that_can_be_none_is_not_read_and_made_anew(
    rig: Rig, pypi: FakePyPI, name: str, make: Callable[[Path], None]
) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    pypi.add_file("foo", "2.0")
    (rig.directory / name).unlink(missing_ok=True)
    make(rig.directory / name)
    assert rig.run().failures == []
    rig.assert_matches()


@pytest.mark.parametrize(
    "path", ["../victim", "web/../../victim", "web/packages/../../../victim", "/etc/victim", b"\xff", 5]
)
def test_a_noted_path_that_leads_out_of_the_mirror_deletes_nothing(rig: Rig, pypi: FakePyPI, path: object) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    victim = rig.directory.parent / "victim"
    victim.write_bytes(b"somebody's")
    with closing(sqlite3.connect(rig.directory / "inventory.sqlite")) as database, database:
        database.execute("INSERT INTO unsettled VALUES ('foo', ?)", (path,))
        database.execute("INSERT INTO partial VALUES (?, 'etag')", (path,))
    pypi.remove_project("foo")
    rig.run(allow_removals=True)
    assert victim.read_bytes() == b"somebody's"
