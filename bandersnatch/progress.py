"""What a run shows of itself while it works: nothing, log lines, or a line on the terminal."""

import logging
import math
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from bandersnatch.amounts import count_of, size_of

if TYPE_CHECKING:
    from rich.console import Console

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 120.0
REDRAW_SECONDS = 0.1

_BAR_LEAST, _BAR_MOST = 5, 40
_BESIDE_BAR = 72
"""So many columns the other parts of the line take at the most: with 80 of them, nothing is broken."""


class Progress(Protocol):
    """Is told what happens; called from several threads at once."""

    def start(self, projects: int) -> None:
        """The work begins: so many projects are on the todo list."""

    def received(self, size_bytes: int) -> None:
        """A piece of a distribution file has arrived."""

    def project_done(self) -> None:
        """The work on one more project has ended, well or not."""

    def stop(self) -> None:
        """The work has ended; called once, also after an error."""


class SilentProgress:
    """Shows nothing."""

    def start(self, projects: int) -> None:
        """Do nothing."""

    def received(self, size_bytes: int) -> None:
        """Do nothing."""

    def project_done(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


class LogProgress:
    """Writes a line every few minutes, so that a log of a long run shows that it lives."""

    def __init__(self, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self._projects = self._done = self._bytes = 0
        self._next_line = time.monotonic() + heartbeat_seconds
        self._guard = threading.Lock()

    def start(self, projects: int) -> None:
        """Begin to count."""
        self._projects = projects
        self._next_line = time.monotonic() + self._heartbeat_seconds

    def received(self, size_bytes: int) -> None:
        """Count bytes, and write a line where one is due, as in the middle of a large project."""
        with self._guard:
            self._bytes += size_bytes
            self._write_line_if_due()

    def project_done(self) -> None:
        """Count a project, and write a line where one is due."""
        with self._guard:
            self._done += 1
            self._write_line_if_due()

    def _write_line_if_due(self) -> None:
        if time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + self._heartbeat_seconds
            of_all = count_of(self._projects, "project")
            logger.info("%d of %s done, %s received", self._done, of_all, size_of(self._bytes))

    def stop(self) -> None:
        """Nothing is left to do."""


class TimeLeft:
    """Estimates when the work will have ended, from what this run has done of it; the caller tells what time it is."""

    def __init__(self) -> None:
        self._projects = self._done = 0
        self._begun = self._last = 0.0

    def start(self, projects: int, now: float) -> None:
        """The work on so many projects begins."""
        self._projects, self._done = projects, 0
        self._begun = self._last = now

    def project_done(self, now: float) -> None:
        """One more project is done."""
        self._done += 1
        self._last = now

    def seconds(self, now: float) -> float | None:
        """Return the time left, or None where it can't be known: before the first project is done, and after the last.

        It is no shorter than the time in which no project has ended: the last ones may be far larger than the average.
        """
        left = self._projects - self._done
        if self._done == 0 or left <= 0:
            return None
        return max(left * (self._last - self._begun) / self._done, now - self._last)

    def text(self, now: float) -> str:
        """Return such as ``0:01:40``, or ``-:--:--`` where it can't be known."""
        seconds = self.seconds(now)
        return "-:--:--" if seconds is None else str(timedelta(seconds=math.ceil(seconds)))


class _TimeLeftNow:
    """What rich draws of it, at the moment at which it draws."""

    def __init__(self, time_left: TimeLeft) -> None:
        self._time_left = time_left

    def __rich__(self) -> str:
        return self._time_left.text(time.monotonic())


class TerminalProgress:
    """Draws a bar with rate and time left, below the log lines that go through the same console."""

    def __init__(self, console: "Console") -> None:
        # Imported here because it costs 50 ms, and a run from cron never needs it.
        from rich.progress import BarColumn, MofNCompleteColumn, RenderableColumn, TextColumn  # noqa: PLC0415
        from rich.progress import Progress as RichProgress  # noqa: PLC0415

        self._time_left = TimeLeft()
        self._rich = RichProgress(
            MofNCompleteColumn(),
            TextColumn("projects"),
            BarColumn(bar_width=max(_BAR_LEAST, min(_BAR_MOST, console.width - _BESIDE_BAR))),
            TextColumn("{task.fields[volume]}"),
            TextColumn("time left"),
            RenderableColumn(_TimeLeftNow(self._time_left)),
            console=console,
            transient=True,
        )
        self._task = self._rich.add_task("", total=None, visible=False, volume="")
        self._guard = threading.Lock()
        self._bytes = 0
        self._begun = self._next_update = time.monotonic()

    def start(self, projects: int) -> None:
        """Draw the bar."""
        self._begun = time.monotonic()
        self._time_left.start(projects, self._begun)
        self._rich.update(self._task, total=projects, visible=True)
        self._rich.start()

    def received(self, size_bytes: int) -> None:
        """Count bytes, and show them ten times a second at the most."""
        with self._guard:
            self._bytes += size_bytes
            now = time.monotonic()
            if now < self._next_update:
                return
            self._next_update = now + REDRAW_SECONDS
            rate = self._bytes / max(now - self._begun, REDRAW_SECONDS)
        volume = f"{size_of(self._bytes)}, {size_of(int(rate))}/s"
        self._rich.update(self._task, volume=volume)

    def project_done(self) -> None:
        """Move the bar."""
        self._time_left.project_done(time.monotonic())
        self._rich.advance(self._task)

    def stop(self) -> None:
        """Take the bar away."""
        self._rich.stop()
