"""The command as users, cron and schedulers meet it: output, signals and exit status."""

import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest

from bandersnatch import __version__
from bandersnatch.cli.about import LIBRARIES
from tests.support.command_line import call
from tests.support.fakepypi import Call, FakePyPI, Stall, Status
from tests.support.rig import Rig, read_terminal

REPOSITORY = Path(__file__).parents[3]
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR): .+")
SUMMARY = re.compile(
    r"synced to serial (\d+): (\d+) updated, (\d+) removed, (\d+) failed, (\d+) files?, (\d+(?:\.\d)? \w+) in \d+\.\d s$"
)


def bandersnatch(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "bandersnatch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **environment})


def test_help_tells_the_exit_status() -> None:
    result = bandersnatch("--help")
    assert result.returncode == 0
    for status in ("0 ", "1 ", "2 ", "3 ", "4 ", "130 "):
        assert f"\n  {status}" in result.stdout
    assert "143" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", "FILE", "config", "check"),
        ("config", "-c", "FILE", "check"),
        ("config", "check", "-c", "FILE"),
        ("config", "check", "--config=FILE"),
        ("config", "check", "--config-file=FILE"),
        ("--config-file", "FILE", "config", "check"),
        ("--conf", "FILE", "config", "check"),
        ("-c", "/nowhere", "config", "check", "--conf=FILE"),
    ],
    ids=" ".join,
)
def test_configuration_file_may_be_named_anywhere_and_by_the_names_of_other_versions(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    path = tmp_path / "some.conf"
    path.write_text("[mirror]\ndirectory = no/absolute/path\n")
    result = call(*(argument.replace("FILE", str(path)) for argument in arguments))
    assert result.returncode == 2
    assert f"{path}: line 2: [mirror] directory = no/absolute/path" in result.stderr


def test_options_of_all_commands_may_stand_behind_the_command(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    path = str(rig.write_config())
    loud, quiet = bandersnatch("mirror", "-c", path), bandersnatch("mirror", "--quiet", "-c", path)
    assert (loud.returncode, quiet.returncode) == (0, 0)
    assert "INFO" in loud.stderr
    assert quiet.stderr == ""
    assert bandersnatch("--debug", "mirror", "--quiet", "-c", path).returncode == 2


def test_module_of_the_command_line_runs_the_command(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    command = [sys.executable, "-m", "bandersnatch.main", "mirror", f"--config={rig.write_config()}"]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    rig.assert_matches()


def test_version() -> None:
    shown = bandersnatch("--version").stdout.splitlines()
    assert shown[0] == f"bandersnatch {__version__}"
    assert shown[1].startswith(f"{platform.python_implementation()} {platform.python_version()} on ")
    assert shown[2:] == [f"{name} {version(name)}" for name in sorted(LIBRARIES)]


def test_version_tells_of_each_library_that_is_needed() -> None:
    text = (REPOSITORY / "requirements.txt").read_text("utf-8")
    assert re.findall(r"^[A-Za-z0-9_-]+", text, re.MULTILINE) == list(LIBRARIES)


def test_without_arguments_there_is_the_help() -> None:
    result = bandersnatch()
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == bandersnatch("--help").stdout


@pytest.mark.parametrize("arguments", [("--debug",), ("miror",), ("--debug", "--quiet", "mirror")])
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert result.returncode == 2
    assert "usage: bandersnatch" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("miror",), "mirror"),
        (("config", "chek"), "check"),
        (("mirror", "--forcecheck"), "--force-check"),
        (("mirror", "--alow-removals"), "--allow-removals"),
        (("verify", "--buget=2h"), "--budget"),
    ],
)
def test_a_misspelt_word_of_the_command_line_gets_a_suggestion(arguments: tuple[str, ...], meant: str) -> None:
    result = call(*arguments)
    assert result.returncode == 2
    assert result.stderr.endswith(f' (did you mean "{meant}"?)\n')


def test_a_word_that_is_like_none_gets_no_suggestion() -> None:
    assert "did you mean" not in bandersnatch("frobnicate").stderr


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


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("verify", "--json-update"), "--json-update: not needed: the JSON is always compared, if json = true"),
        (("delete", "--workers", "4", "--yes", "foo"), "--workers: not needed: nothing is asked of upstream"),
    ],
    ids=lambda value: value[0],
)
def test_options_of_other_versions_are_accepted_with_a_line_why_they_are_not_needed(
    rig: Rig, pypi: FakePyPI, arguments: tuple[str, ...], line: str
) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    result = rig.call(*arguments)
    assert result.returncode == 0, result.stderr
    assert [each for each in result.stderr.splitlines() if line in each]


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


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("after_bytes", [pytest.param(0, marks=pytest.mark.slow), 2000])
def test_signal_stops_the_run_and_the_next_one_goes_on(
    rig: Rig, pypi: FakePyPI, number: signal.Signals, status: int, after_bytes: int
) -> None:
    pypi.add_file("done", "1.0")
    rig.run()
    file = pypi.add_file("foo", "1.0", size=100_000)
    with stalled_run(rig, pypi, file.url_path, after_bytes) as process:
        process.send_signal(number)
        _, stderr = process.communicate(timeout=10)
    assert process.returncode == status
    assert f"stopped by {number.name}; the next run goes on from here" in stderr
    assert "Traceback" not in stderr
    assert not list(rig.directory.rglob("*.part"))
    assert "foo" in (rig.directory / "todo").read_text()
    pypi.clear_faults()
    pypi.clear_requests()
    assert rig.command("mirror").returncode == 0
    assert [request.path for request in pypi.file_requests()] == [file.url_path]
    rig.assert_matches()


@pytest.mark.slow
@pytest.mark.measured
def test_signal_while_upstream_is_silent_about_the_plan(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    with stalled_run(rig, pypi, "rpc:changelog_last_serial") as process:
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=10)
    assert process.returncode == 143
    assert "the next run goes on" in stderr
    assert "Traceback" not in stderr


def test_signal_while_a_request_waits_for_its_next_attempt(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    asked = threading.Event()
    pypi.fault(file.url_path, Call(asked.set, Status(503, headers={"Retry-After": "100"})), times=None)
    with rig.start_command("mirror") as process:
        assert asked.wait(30)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 130
    assert not list(rig.directory.rglob("*.part"))


def test_killed_run_leaves_no_lock_and_no_temporary_file_for_long(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", size=100_000)
    with stalled_run(rig, pypi, file.url_path, 70_000) as process:
        process.kill()
        process.communicate(timeout=10)
    pypi.clear_faults()
    result = rig.command("mirror")
    assert result.returncode == 0
    rig.assert_matches()


def test_terminal_shows_progress_above_which_lines_scroll(rig: Rig, pypi: FakePyPI) -> None:
    for n in range(40):
        pypi.add_file(f"project-{n}", "1.0")
    status, shown = rig.command_on_terminal("mirror")
    assert status == 0
    assert shown.count(": updated to serial ") == 20
    assert re.search(r"\d\d:\d\d:\d\d INFO: 40 projects to look at", shown)
    assert "projects" in shown
    assert "time left" in shown
    assert SUMMARY.search(" ".join(shown.split()))
    rig.assert_matches()


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


@contextmanager
def stalled_run(rig: Rig, pypi: FakePyPI, path: str, after_bytes: int = 0) -> "Iterator[subprocess.Popen[str]]":
    """A run that waits for the rest of one file."""
    stall = Stall(after_bytes=after_bytes)
    pypi.fault(path, stall, times=None)
    process = rig.start_command("mirror", timeout="60")
    try:
        assert stall.started.wait(30)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_lines_on_a_narrow_terminal_are_not_broken_within_words(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    status, shown = rig.command_on_terminal("mirror", columns=80)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).splitlines()
    assert status == 0
    assert max(map(len, lines)) <= 80
    assert SUMMARY.search(" ".join(" ".join(lines).split()))


@pytest.mark.parametrize("command", ["mirror", "sync", "verify", "delete", "config"])
def test_help_of_a_command_ends_in_its_own_statuses(command: str) -> None:
    statuses = call(command, "--help").stdout.partition("exit status:\n")[2]
    has = {int(number) for number in re.findall(r"^  (\d+)  ", statuses, re.MULTILINE)}
    assert statuses.endswith("  130  interrupted (Ctrl-C); 143: terminated\n")
    assert (6 in has) == (command == "verify")
    assert (5 in has) == (command in ("mirror", "sync", "verify"))
    assert (1 in has) == (command != "config")


def test_interrupt_leaves_no_frozen_bar(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    asked = threading.Event()
    pypi.fault("/simple/foo/", Call(asked.set, Stall()), times=None)
    command = [sys.executable, "-m", "bandersnatch", "-c", str(rig.write_config(timeout="60")), "mirror"]
    ours, theirs = os.openpty()
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(theirs)
        assert asked.wait(30)
        process.send_signal(signal.SIGINT)
        shown = b"".join(read_terminal(ours)).decode()
    assert process.returncode == 130
    assert "stopped by SIGINT" in shown
    last_bar = shown.rpartition("time left")[2]
    assert "\x1b[2K" in last_bar
    assert shown.rpartition("\x1b[?25l")[2].count("\x1b[?25h") == 1


def test_second_signal_ends_a_run_on_a_terminal_without_a_bar_or_a_traceback(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    asked = threading.Event()
    pypi.fault("/simple/foo/", Call(asked.set, Stall()), times=None)
    command = [sys.executable, "-m", "bandersnatch", "-c", str(rig.write_config(timeout="60")), "mirror"]
    ours, theirs = os.openpty()
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(theirs)
        assert asked.wait(30)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)  # a second SIGINT could become one with the first
        shown = b"".join(read_terminal(ours)).decode()
    assert process.returncode in (130, 143)  # on a busy machine the first one may have ended it by then
    assert "Traceback" not in shown
    assert "\x1b[2K" in shown.rpartition("time left")[2]
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is shown again"


DRAWN_AT_THE_END = """
import os, sys, threading
from bandersnatch.main import main

drawn, end, write = threading.Event(), os._exit, sys.stderr.write

def draw(text):
    write(text)
    sys.stderr.flush()
    drawn.set()

def end_when_drawn(status):
    drawn.clear()
    drawn.wait(0.5)  # several times as long as the display takes until it draws again
    end(status)

os._exit, sys.stderr.write = end_when_drawn, draw
sys.exit(main())
"""


def test_a_bar_that_is_drawn_while_the_process_ends_is_not_seen(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    asked = threading.Event()
    pypi.fault("/simple/foo/", Call(asked.set, Stall()), times=None)
    command = [sys.executable, "-c", DRAWN_AT_THE_END, "-c", str(rig.write_config(timeout="60")), "mirror"]
    ours, theirs = os.openpty()
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(theirs)
        assert asked.wait(30)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        shown = b"".join(read_terminal(ours)).decode()
    assert process.returncode in (130, 143)
    assert "\x1b[2K" in shown.rpartition("time left")[2]
