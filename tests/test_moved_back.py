"""An upstream that has gone back, as after a backup was restored, is not followed by itself, in whatever way it tells."""

import pytest

from bandersnatch.errors import SerialMovedBackError
from tests.fakepypi import FakePyPI
from tests.rig import Rig

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
    result = rig.command("mirror")
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
