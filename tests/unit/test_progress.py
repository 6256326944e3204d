"""What a run shows of itself: nothing, log lines, or a line on the terminal."""

import io
import logging
import re
from collections.abc import Callable
from threading import Thread

import pytest
from rich.console import Console

from bandersnatch.progress import LogProgress, Progress, SilentProgress, TerminalProgress


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120, height=25)


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
