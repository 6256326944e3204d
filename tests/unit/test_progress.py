"""What a run shows of itself: nothing, log lines, or a line on the terminal."""

import io
import logging
import re
from collections.abc import Callable
from threading import Thread

import pytest
from rich.console import Console

from bandersnatch.progress import LogProgress, Progress, SilentProgress, TerminalProgress, TimeLeft


def terminal(width: int = 120) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=25)


def written(console: Console) -> str:
    """Return what a console wrote, without escape codes."""
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


def silent() -> Progress:
    return SilentProgress()


def log() -> Progress:
    return LogProgress()


def on_terminal() -> Progress:
    return TerminalProgress(terminal())


@pytest.mark.parametrize("make", [silent, log, on_terminal])
def test_every_form_can_be_told_what_happens_by_several_threads(make: Callable[[], Progress]) -> None:
    progress = make()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                progress.received(1000)
        except BaseException as error:  # noqa: BLE001 - the main thread shows it
            errors.append(error)

    progress.start(2)
    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    progress.project_done()
    progress.stop()
    assert errors == []


@pytest.mark.parametrize("make", [silent, log, on_terminal])
def test_every_form_can_be_stopped_without_work(make: Callable[[], Progress]) -> None:
    progress = make()
    progress.start(0)
    progress.stop()


def test_silence_is_silent(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    progress = SilentProgress()
    progress.start(1)
    progress.received(5)
    progress.project_done()
    progress.stop()
    assert caplog.messages == []
    assert capsys.readouterr() == ("", "")


def test_a_log_line_is_written_when_one_is_due(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    progress = LogProgress(heartbeat_seconds=0.0)
    progress.start(3)
    progress.received(1000)
    progress.received(500)
    progress.project_done()
    progress.project_done()
    progress.stop()
    assert caplog.messages == [
        "0 of 3 projects done, 1.0 kB received",
        "0 of 3 projects done, 1.5 kB received",
        "1 of 3 projects done, 1.5 kB received",
        "2 of 3 projects done, 1.5 kB received",
    ]


def test_no_log_line_is_written_before_one_is_due(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    progress = LogProgress(heartbeat_seconds=3600.0)
    progress.start(3)
    progress.project_done()
    progress.stop()
    assert caplog.messages == []


def test_the_terminal_shows_how_many_projects_are_done() -> None:
    console = terminal()
    progress = TerminalProgress(console)
    progress.start(3)
    progress.project_done()
    progress.project_done()
    progress.stop()
    assert "2/3 projects" in written(console)


def test_the_terminal_shows_bytes_and_a_rate() -> None:
    console = terminal()
    progress = TerminalProgress(console)
    progress.start(3)
    progress.received(2_500_000)
    progress.stop()
    assert re.search(r"2\.5 MB, [0-9.]+ [kMG]B/s", written(console))


def test_the_terminal_shows_nothing_before_the_work_begins() -> None:
    console = terminal()
    TerminalProgress(console)
    assert written(console) == ""


def test_the_display_goes_when_the_work_has_ended() -> None:
    console = terminal()
    progress = TerminalProgress(console)
    progress.start(1)
    progress.project_done()
    progress.stop()
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.rstrip().endswith("\x1b[2K"), "the line is erased"
    assert "\x1b[?25l" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is shown again"


def test_lines_that_are_printed_meanwhile_stand_above_the_display() -> None:
    console = terminal()
    progress = TerminalProgress(console)
    progress.start(1)
    console.print("a log line")
    progress.stop()
    assert "a log line\n" in written(console)


def test_the_line_of_a_large_run_fits_into_80_columns() -> None:
    console = terminal(80)
    progress = TerminalProgress(console)
    progress.start(736_000)
    for _ in range(3):
        progress.project_done()
    progress.received(999_900_000_000)
    progress.stop()
    drawn = [line.rstrip() for line in re.split(r"[\r\n]+", written(console)) if line.strip()]
    assert all(re.match(r" *\d+/736000 projects .* time left +[-:\d]+$", line) for line in drawn)
    assert any("999.9 GB, " in line for line in drawn)
    assert max(map(len, drawn)) <= 80


def test_time_left_goes_by_the_projects_that_this_run_has_done() -> None:
    left = TimeLeft()
    left.start(100, now=5000.0)
    for number in range(20):
        left.project_done(now=5000.0 + number + 1)
    assert left.seconds(now=5020.0) == 80.0
    assert left.text(now=5020.0) == "0:01:20"


def test_what_came_fast_at_last_does_not_count_for_more() -> None:
    left = TimeLeft()
    left.start(100, now=0.0)
    for _ in range(9):
        left.project_done(now=99.0)
    left.project_done(now=100.0)
    assert left.seconds(now=100.0) == 900.0


def test_time_left_is_not_known_before_the_first_and_after_the_last_project() -> None:
    left = TimeLeft()
    assert left.text(now=7.0) == "-:--:--"
    left.start(2, now=0.0)
    assert left.seconds(now=30.0) is None
    left.project_done(now=40.0)
    assert left.seconds(now=40.0) == 40.0
    left.project_done(now=50.0)
    assert left.seconds(now=50.0) is None
    left.project_done(now=60.0)  # one that failed at first, and was worked on again
    assert left.text(now=60.0) == "-:--:--"


def test_no_work_has_no_time_left() -> None:
    left = TimeLeft()
    left.start(0, now=0.0)
    assert left.seconds(now=1.0) is None


def test_the_last_project_of_many_is_not_said_to_end_at_once_while_it_goes_on() -> None:
    left = TimeLeft()
    left.start(1001, now=0.0)
    for number in range(1000):
        left.project_done(now=(number + 1) / 10)
    assert left.text(now=100.0) == "0:00:01"
    assert left.seconds(now=114.0) == 14.0


def test_a_long_time_left_is_told_in_days() -> None:
    left = TimeLeft()
    left.start(736_000, now=0.0)
    left.project_done(now=1.0)
    assert left.text(now=1.0) == "8 days, 12:26:39"


def test_the_terminal_shows_the_time_left() -> None:
    console = terminal()
    progress = TerminalProgress(console)
    progress.start(3)
    progress.project_done()
    progress.stop()
    assert re.search(r"time left 0:00:0[0-9]", written(console))
