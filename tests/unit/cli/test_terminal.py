"""A run on a terminal: its display, and what is left of that when a signal ends the run."""

import os
import re
import signal
import subprocess
import sys
import threading

from tests.support.command_line import SUMMARY
from tests.support.fakepypi import Call, FakePyPI, Stall
from tests.support.rig import Rig, read_terminal


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


def test_lines_on_a_narrow_terminal_are_not_broken_within_words(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    status, shown = rig.command_on_terminal("mirror", columns=80)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).splitlines()
    assert status == 0
    assert max(map(len, lines)) <= 80
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO: ", lines[0]), "people need no milliseconds"
    assert SUMMARY.search(" ".join(" ".join(lines).split()))


def stopped_on_terminal(
    rig: Rig, pypi: FakePyPI, *numbers: signal.Signals, program: tuple[str, str] = ("-m", "bandersnatch")
) -> tuple[int, str]:
    """Send signals to a run on a terminal, one after the other; return its status, and all that was shown."""
    pypi.add_file("foo", "1.0")
    asked = threading.Event()
    pypi.fault("/simple/foo/", Call(asked.set, Stall()), times=None)
    command = [sys.executable, *program, "-c", str(rig.write_config(timeout="60")), "mirror"]
    ours, theirs = os.openpty()
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(theirs)
        assert asked.wait(30)
        for number in numbers:
            process.send_signal(number)
        shown = b"".join(read_terminal(ours)).decode()
    return process.returncode, shown


def test_interrupt_leaves_no_frozen_bar(rig: Rig, pypi: FakePyPI) -> None:
    status, shown = stopped_on_terminal(rig, pypi, signal.SIGINT)
    assert status == 130
    assert "stopped by SIGINT" in shown
    last_bar = shown.rpartition("time left")[2]
    assert "\x1b[2K" in last_bar
    assert shown.rpartition("\x1b[?25l")[2].count("\x1b[?25h") == 1


def test_second_signal_ends_a_run_on_a_terminal_without_a_bar_or_a_traceback(rig: Rig, pypi: FakePyPI) -> None:
    # a second SIGINT could become one with the first
    status, shown = stopped_on_terminal(rig, pypi, signal.SIGINT, signal.SIGTERM)
    assert status in (130, 143)  # on a busy machine the first one may have ended it by then
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
    status, shown = stopped_on_terminal(rig, pypi, signal.SIGINT, signal.SIGTERM, program=("-c", DRAWN_AT_THE_END))
    assert status in (130, 143)
    assert "\x1b[2K" in shown.rpartition("time left")[2]
