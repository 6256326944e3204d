"""A mirror that no web server can read is told of."""

import re

import pytest

from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig
from tests.support.umask import umask
from tests.test_readme import README


def test_folders_that_are_closed_to_others_are_told_at_the_end_of_a_run(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    pypi.add_file("foo", "1.0")
    rig.directory.mkdir(mode=0o755)
    with umask(0o077):
        rig.run()
    [record] = [record for record in caplog.records if "no web server" in record.message]
    assert f"{rig.web} has mode 0700" in record.message
    assert record.message.endswith(f"chmod -R go+rX {rig.web}")
    assert record.levelname == "WARNING"


def test_a_closed_directory_of_the_mirror_is_told_of(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    pypi.add_file("foo", "1.0")
    rig.directory.mkdir(mode=0o700)
    rig.run()
    assert f"{rig.directory} has mode 0700" in caplog.text


def test_what_a_web_server_of_the_group_can_read_is_not_told_of(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    pypi.add_file("foo", "1.0")
    with umask(0o027):
        rig.run()
    assert "no web server" not in caplog.text


def test_modes_that_are_the_operators_business_are_not_told_of(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    pypi.add_file("foo", "1.0")
    with umask(0o077):
        rig.run(storage_filesystem_manage_permissions="false")
    assert "no web server" not in caplog.text


def test_folders_that_a_later_run_closes_are_told_of_too(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    pypi.add_file("foo", "1.0")
    with umask(0o022):
        rig.run()
    pypi.add_file("foo", "2.0")
    with umask(0o077):
        rig.run()
    [record] = [record for record in caplog.records if "no web server" in record.message]
    assert "under umask 0077: no web server of another user can read the mirror" in record.message
    assert record.message.endswith(f"chmod -R go+rX {rig.web}")


def test_a_run_with_nothing_new_does_not_tell_it_again(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    pypi.add_file("foo", "1.0")
    with umask(0o077):
        rig.run()
        caplog.clear()
        rig.run()
    assert "no web server" not in caplog.text


def test_cron_job_of_readme_runs_as_the_user_that_readme_makes() -> None:
    [user] = re.findall(r"^useradd --system .* (\S+)$", README, re.MULTILINE)
    [owner] = re.findall(r"^install -d -o (\S+) -g \S+ -m 0755 /srv/pypi /var/lib/bandersnatch$", README, re.MULTILINE)
    [runs_as] = re.findall(
        r"^\*/2 \* \* \* \* (\S+) bandersnatch mirror \|& logger -t bandersnatch\[mirror\]$", README, re.MULTILINE
    )
    assert user == owner == runs_as


def test_filesystem_that_ignores_case_is_told_of_by_a_full_run(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    pypi.add_file("foo", "1.0")
    rig.run()
    assert "ignores case" not in caplog.text
    (rig.web / "SIMPLE").symlink_to("simple")  # as it looks there
    rig.resync()
    rig.run()
    assert caplog.text.count("ignores case") == 1
    rig.run()
    assert caplog.text.count("ignores case") == 1
