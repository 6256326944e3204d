"""The command as cron and schedulers meet it: messages, log and exit status."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command_line import LINE, SUMMARY, bandersnatch, call
from tests.support.fakepypi import FakePyPI, Status
from tests.support.rig import Rig
from tests.support.stalled_run import stalled_run


def test_module_of_the_command_line_runs_the_command(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    command = [sys.executable, "-m", "bandersnatch.main", "mirror", f"--config={rig.write_config()}"]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    rig.assert_matches()


def test_messages_have_absolute_paths(tmp_path: Path) -> None:
    (tmp_path / "my.conf").write_text("[mirror]\nworkers = ten\n")
    command = [sys.executable, "-m", "bandersnatch", "-c", "my.conf", "config", "check"]
    result = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert f"ERROR: {tmp_path}/my.conf: line 2: [mirror] workers = ten" in result.stderr


def test_missing_configuration_is_written_as_the_example(tmp_path: Path) -> None:
    path = tmp_path / "bandersnatch.conf"
    result = bandersnatch("-c", str(path), "mirror")
    assert result.returncode == 1
    assert path.read_text() == Path("bandersnatch.conf.example").read_text()
    assert f"{path}: there was no configuration file, so an example was written there" in result.stderr
    assert "run bandersnatch mirror again" in result.stderr
    assert "ERROR" not in result.stderr


@pytest.mark.parametrize("arguments", [("mirror", "--dry-run"), ("verify",)], ids=lambda arguments: arguments[0])
def test_missing_configuration_is_only_told_of_where_nothing_is_to_be_written(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    path = tmp_path / "bandersnatch.conf"
    result = call("-c", str(path), *arguments)
    assert result.returncode == 2
    assert "there is no such file; bandersnatch mirror writes an example there" in result.stderr
    assert not path.exists()


def test_missing_configuration_that_cannot_be_written_shows_the_option(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "bandersnatch.conf"
    result = call("-c", str(path), "mirror")
    assert result.returncode == 1
    assert f"{path}: there is no configuration file, and the example can't be written there" in result.stderr
    assert "bandersnatch -c FILE mirror" in result.stderr


def test_all_problems_of_a_configuration_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bandersnatch.conf"
    path.write_text("[mirror]\nworkers = ten\nwokers = 3\nmaster = http://example.org\n")
    result = call("-c", str(path), "mirror")
    assert result.returncode == 2
    assert [line.split("ERROR: ")[1] for line in result.stderr.splitlines()] == [
        f"{path}: line 1: [mirror] directory: must be given: where the mirror lies; web/ below it is for the web server",
        f"{path}: line 2: [mirror] workers = ten: expected a whole number from 1 up",
        f'{path}: line 3: [mirror] wokers = 3: unknown option (did you mean "workers"?)',
        f"{path}: line 4: [mirror] master = http://example.org: expected https://, or allow-non-https = true beside it",
    ]


def test_log_of_a_run_from_cron(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    result = rig.command("mirror")
    lines = result.stderr.splitlines()
    assert result.returncode == 0
    assert result.stdout == ""
    assert all(LINE.fullmatch(line) for line in lines)
    assert sum("foo: updated" in line for line in lines) == 1
    summary = SUMMARY.search(lines[-1])
    assert summary is not None
    assert summary.groups()[:5] == (str(pypi.serial), "2", "0", "0", "2")
    assert "\x1b" not in result.stderr


def test_last_line_is_the_same_with_nothing_new(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.call("mirror")
    summary = SUMMARY.search(rig.call("mirror").stderr.splitlines()[-1])
    assert summary is not None
    assert summary.groups()[:5] == (str(pypi.serial), "0", "0", "0", "0")


def test_quiet_run_that_succeeds_says_nothing(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    result = rig.command("--quiet", "mirror")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    rig.assert_matches()


def test_failed_project_is_status_1_and_named(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    pypi.fault(file.url_path, Status(404), times=None)
    result = rig.call("--quiet", "mirror")
    first, last = result.stderr.splitlines()
    assert result.returncode == 1
    assert f"ERROR: foo failed: {pypi.url}{file.url_path}: not found; the next run tries it again" in first
    assert "0 updated, 0 removed, 1 failed" in last


@pytest.mark.slow
@pytest.mark.measured
def test_upstream_that_is_away_is_status_4_and_one_line(rig: Rig, pypi: FakePyPI) -> None:
    result = rig.command("mirror", master="http://127.0.0.1:9")
    assert result.returncode == 4
    assert [line.split(": ", 1)[1] for line in result.stderr.splitlines()][-1] == (
        "the run has ended: http://127.0.0.1:9/pypi: Connection refused; "
        "and the root index can't replace XML-RPC, for the same reason"
    )
    assert "Traceback" not in result.stderr


def test_directory_that_cannot_be_made_is_status_4(rig: Rig, pypi: FakePyPI) -> None:
    (rig.folder / "file").write_text("")
    result = rig.call("mirror", "--init", directory=str(rig.folder / "file" / "mirror"))
    assert result.returncode == 4
    assert "can't make the directory: Not a directory" in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_tells_where_an_error_came_from(rig: Rig, pypi: FakePyPI) -> None:
    (rig.folder / "file").write_text("")
    result = rig.command("--debug", "mirror", "--init", directory=str(rig.folder / "file" / "mirror"))
    assert result.returncode == 4
    assert "Traceback" in result.stderr


def test_second_run_says_who_holds_the_lock(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    with stalled_run(rig, pypi, file.url_path) as first:
        second = rig.command("mirror")
        assert second.returncode == 3
        assert f"another run holds the lock (process {first.pid}, since 20" in second.stderr


def test_quiet_run_that_meets_another_is_told_of_when_that_is_older_than_a_day(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    with stalled_run(rig, pypi, file.url_path):
        second = rig.command("--quiet", "mirror")
        assert (second.returncode, second.stderr) == (3, "")
        yesterday = time.time() - 86_500
        os.utime(rig.directory / ".lock", (yesterday, yesterday))
        third = rig.command("--quiet", "mirror")
        assert third.returncode == 3
        assert "ERROR: " in third.stderr
        assert "another run holds the lock" in third.stderr


def test_run_that_ends_early_counts_the_projects_that_were_not_tried(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("first", "1.0")
    rig.run()
    pypi.add_file("good", "1.0")
    for number in range(40):
        pypi.add_file(f"project-{number}", "1.0")
        pypi.fault(f"/simple/project-{number}/", Status(503), times=None)
    report = rig.run(workers="1")
    assert report.outage is not None
    assert report.untried == 41 - report.updated - len(report.failures)
    assert report.untried > 0
    assert report.summary().endswith(f"; not tried: {report.untried} projects")
    pypi.clear_faults()
    assert rig.run().untried == 0


def test_log_configuration_is_used(rig: Rig, pypi: FakePyPI) -> None:
    log = rig.folder / "mirror.log"
    settings = rig.folder / "log.ini"
    settings.write_text(
        "[loggers]\nkeys = root\n[handlers]\nkeys = file\n[formatters]\nkeys =\n"
        "[logger_root]\nlevel = INFO\nhandlers = file\n"
        f"[handler_file]\nclass = FileHandler\nargs = ({str(log)!r},)\n"
    )
    pypi.add_file("foo", "1.0")
    result = rig.command("mirror", log_config=str(settings))
    assert (result.returncode, result.stderr) == (0, "")
    assert "foo: updated" in log.read_text()


def test_warnings_of_the_configuration_are_logged(rig: Rig, pypi: FakePyPI) -> None:
    result = rig.call("mirror", delete_packages="true")
    assert result.returncode == 0
    assert "[mirror] delete-packages: not needed: what upstream removed is removed here too" in result.stderr
