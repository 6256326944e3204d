"""An upstream that has gone back, as after a backup was restored, is not followed by itself, in whatever way it tells."""

import json
import shutil

import pytest

from bandersnatch.errors import SerialMovedBackError
from bandersnatch.operations.tuning import Tuning
from tests.support.fakepypi import FakePyPI, Status
from tests.support.rig import HURRIED, IN_PROCESSES, Rig

pytestmark = pytest.mark.usefixtures("way")


def go_back(rig: Rig, pypi: FakePyPI) -> None:
    """Let upstream lose a file of foo and all of bar, which the mirror has."""
    pypi.add_file("foo", "1.0")
    pypi.add_file("other", "1.0")
    rig.run()
    backup = pypi.back_up()
    pypi.add_file("foo", "2.0")
    pypi.add_file("bar", "1.0")
    rig.run()
    rig.assert_matches()
    pypi.restore(backup)


def refusal(pypi: FakePyPI, ours: int) -> str:
    return (
        f"{pypi.url}: upstream's last serial is {pypi.serial}, but this mirror is at {ours} already. "
        "Was upstream restored from a backup, or is it another index? Nothing was changed; "
    )


def test_an_upstream_that_was_restored_is_refused(rig: Rig, pypi: FakePyPI) -> None:
    go_back(rig, pypi)
    before = rig.tree()
    ours = int((rig.directory / "state").read_text())
    result = rig.call("mirror")
    assert result.returncode == 4
    assert refusal(pypi, ours) in result.stderr.splitlines()[-1]
    assert rig.tree() == before


def test_an_upstream_that_was_restored_is_refused_where_work_is_left(rig: Rig, pypi: FakePyPI) -> None:
    go_back(rig, pypi)
    (rig.directory / "todo").write_text("14\nfoo 10\n")
    with pytest.raises(SerialMovedBackError, match="this mirror is at 14 already"):
        rig.run()


def test_a_serial_that_upstream_never_reached_is_refused(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    (rig.directory / "state").write_text("1000\n")
    with pytest.raises(SerialMovedBackError, match="upstream's last serial is 4, but this mirror is at 1000 already"):
        rig.run()


def test_an_upstream_that_lost_everything_is_refused(rig: Rig, pypi: FakePyPI) -> None:
    backup = pypi.back_up()
    pypi.add_file("foo", "1.0")
    rig.run()
    pypi.restore(backup)
    with pytest.raises(SerialMovedBackError, match="upstream's last serial is 0"):
        rig.run()


def test_an_old_list_of_an_upstream_that_has_not_gone_back_is_no_reason_to_refuse(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    old = pypi.fresh_listing()
    pypi.add_file("foo", "1.1")
    rig.run()
    pypi.freeze_list(old)
    assert rig.run().failures == []
    rig.assert_matches()


def test_a_removal_after_the_list_was_made_is_no_reason_to_refuse(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    old = pypi.fresh_listing()
    pypi.add_file("doomed", "1.0")
    pypi.add_file("foo", "1.1")
    rig.run()
    pypi.remove_project("doomed")
    rig.run()
    pypi.freeze_list(old)
    assert rig.run().failures == []
    rig.assert_matches()


@pytest.mark.parametrize("how", ["delete state and todo", "force a check"])
@pytest.mark.parametrize("tuning", [HURRIED, IN_PROCESSES], ids=["in one thread", "in processes"])
def test_after_the_documented_recovery_the_mirror_follows(rig: Rig, pypi: FakePyPI, how: str, tuning: Tuning) -> None:
    go_back(rig, pypi)
    if how == "force a check":
        assert rig.call("mirror", "--force-check").returncode == 0
    else:
        rig.resync()
        assert rig.run(tuning=tuning).failures == []
    rig.assert_matches()
    pypi.add_file("foo", "3.0")
    assert rig.run(tuning=tuning).failures == []
    rig.assert_matches()


def test_a_recovery_that_is_interrupted_is_gone_on_with(rig: Rig, pypi: FakePyPI, way: str) -> None:
    go_back(rig, pypi)
    rig.resync()
    pypi.fault("/simple/foo/", Status(403), times=None)
    assert [failure.project for failure in rig.run().failures] == ["foo"]
    pypi.clear_faults()
    if way == "without XML-RPC":
        pypi.fault("rpc:*", Status(404), times=None)
    assert rig.run().failures == []
    rig.assert_matches()


def test_a_file_that_was_uploaded_anew_after_the_backup_is_taken_as_documented(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    backup = pypi.back_up()
    pypi.add_file("foo", "2.0", content=b"before", kind="sdist")
    rig.run()
    pypi.restore(backup)
    pypi.add_file("foo", "2.0", content=b"after", kind="sdist")
    rig.resync()
    (failure,) = rig.run().failures
    assert "upstream lists foo-2.0.tar.gz with SHA-256" in str(failure.error)
    shutil.rmtree(rig.web / "simple/foo")
    rig.resync()
    assert rig.run().failures == []
    assert [file["hashes"]["sha256"] for file in held_files(rig)] == [file.sha256 for file in pypi.files("foo")]


def held_files(rig: Rig) -> list[dict[str, dict[str, str]]]:
    files: list[dict[str, dict[str, str]]] = json.loads((rig.web / "simple/foo/index.v1_json").read_bytes())["files"]
    return files


@pytest.mark.parametrize("records", [("inventory.sqlite",), ("inventory.sqlite", "state", "todo")])
def test_records_that_are_lost_are_no_loss(rig: Rig, pypi: FakePyPI, records: tuple[str, ...]) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    pypi.add_file("foo", "2.0")
    for name in records:
        (rig.directory / name).unlink(missing_ok=True)
    assert rig.run().failures == []
    rig.assert_matches()
