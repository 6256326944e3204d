"""What a run shows of itself while it works: nothing, log lines, or a line on the terminal."""

import logging
import threading
import time
from typing import TYPE_CHECKING, Protocol

from bandersnatch.amounts import count_of, size_of

if TYPE_CHECKING:
    from rich.console import Console

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 120.0
REDRAW_SECONDS = 0.1


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


class TerminalProgress:
    """Draws a bar with rate and time left, below the log lines that go through the same console."""

    def __init__(self, console: "Console") -> None:
        # Imported here because it costs 50 ms, and a run from cron never needs it.
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
        from rich.progress import Progress as RichProgress  # noqa: PLC0415

        self._rich = RichProgress(
            MofNCompleteColumn(),
            TextColumn("projects"),
            BarColumn(),
            TextColumn("{task.fields[volume]}"),
            TextColumn("time left"),
            TimeRemainingColumn(),
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
        self._rich.advance(self._task)

    def stop(self) -> None:
        """Take the bar away."""
        self._rich.stop()
