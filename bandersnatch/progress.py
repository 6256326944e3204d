"""Shows a run's progress: not at all, as log lines, or as a bar on the terminal."""

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
"""The most columns that the rest of the line takes; the whole fits into 80."""


class Progress(Protocol):
    """Receives events of a run; several threads call it at once."""

    def start(self, projects: int) -> None:
        """The work begins, with so many projects on the todo list."""

    def received(self, size_bytes: int) -> None:
        """A chunk of a distribution file has arrived."""

    def project_done(self) -> None:
        """One more project has succeeded or failed."""

    def stop(self) -> None:
        """The work has ended; called once, even after an error."""


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
    """Logs a line every few minutes, so that the log of a long run shows that it is alive."""

    def __init__(self, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self._projects = self._done = self._bytes = 0
        self._next_line = time.monotonic() + heartbeat_seconds
        self._guard = threading.Lock()

    def start(self, projects: int) -> None:
        """Start counting."""
        self._projects = projects
        self._next_line = time.monotonic() + self._heartbeat_seconds

    def received(self, size_bytes: int) -> None:
        """Count bytes, and log a line if one is due: a single large project may take hours."""
        with self._guard:
            self._bytes += size_bytes
            self._write_line_if_due()

    def project_done(self) -> None:
        """Count a project, and log a line if one is due."""
        with self._guard:
            self._done += 1
            self._write_line_if_due()

    def _write_line_if_due(self) -> None:
        if time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + self._heartbeat_seconds
            of_all = count_of(self._projects, "project")
            logger.info("%d of %s done, %s received", self._done, of_all, size_of(self._bytes))

    def stop(self) -> None:
        """Do nothing."""


class TimeLeft:
    """Estimates the time left from this run's pace so far; the caller passes the time of ``time.monotonic``."""

    def __init__(self) -> None:
        self._projects = self._done = 0
        self._begun = self._last = 0.0

    def start(self, projects: int, now: float) -> None:
        """Start the clock for so many projects."""
        self._projects, self._done = projects, 0
        self._begun = self._last = now

    def project_done(self, now: float) -> None:
        """One more project is done."""
        self._done += 1
        self._last = now

    def seconds(self, now: float) -> float | None:
        """Return the time left in seconds, or None if it is unknown: before the first project is done, and after the
        last.

        It is never shorter than the time since the last project ended: those left may be far larger than the average.
        """
        left = self._projects - self._done
        if self._done == 0 or left <= 0:
            return None
        return max(left * (self._last - self._begun) / self._done, now - self._last)

    def text(self, now: float) -> str:
        """Return the time left, such as ``0:01:40``, or ``-:--:--`` if it is unknown."""
        seconds = self.seconds(now)
        return "-:--:--" if seconds is None else str(timedelta(seconds=math.ceil(seconds)))


class _TimeLeftNow:
    """Computes the time left whenever rich redraws, so that it counts down between updates."""

    def __init__(self, time_left: TimeLeft) -> None:
        self._time_left = time_left

    def __rich__(self) -> str:
        return self._time_left.text(time.monotonic())


class TerminalProgress:
    """Draws a bar with rate and time left, below the log lines of the same console."""

    def __init__(self, console: "Console") -> None:
        # Imported here because it takes 50 ms, and a run from cron never needs it.
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
        """Count bytes, and redraw at most ten times a second."""
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
        """Remove the bar."""
        self._rich.stop()
