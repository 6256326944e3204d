"""``Invocation``: one call of the command line, and what all commands share: logging, signals, the parts of a run.

Whatever only some commands need is imported when they ask for it, so that a run from cron with nothing to do costs
little.
"""

import logging
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from msgspec import Struct, field

from bandersnatch.cli import collector
from bandersnatch.cli.exit_codes import DONE, REMOVALS_WITHHELD, SIGNAL_BASE, SOME_FAILED, STOPPED
from bandersnatch.cli.signals import STOP_SIGNALS
from bandersnatch.config.config import DEFAULT_PATH
from bandersnatch.errors import UsageError
from bandersnatch.logs import set_up_logging
from bandersnatch.memory import require_memory

if TYPE_CHECKING:
    from rich.console import Console

    from bandersnatch.config.config import Config
    from bandersnatch.operations.run_resources import RunResources
    from bandersnatch.progress import Progress
    from bandersnatch.project.report import Report
    from bandersnatch.stop import StopFlag
    from bandersnatch.storage.filesystem import FilesystemStorage

logger = logging.getLogger(__name__)

_CLEAR_LINE = b"\r\x1b[2K\x1b[?25h"
"""Clears the line of the progress display, and shows the cursor again."""


class Invocation(Struct, frozen=True):
    """The log level, the terminal if there is one, and the signals that asked the command to stop."""

    level: int
    console: "Console | None" = None
    caught: list[int] = field(default_factory=list)

    def load_config(self, path: Path) -> "Config":
        """Read the configuration, set up its logging, and log its warnings and remarks.

        Raises:
            ConfigMissingError: there is no such file.
            ConfigError: it has problems.
        """
        from bandersnatch.config.config import Config

        config = Config.load(path)
        if config.log_config is not None:
            set_up_logging(self.level, self.console, config.log_config)
        for warning in config.warnings:
            logger.warning("%s", warning)
        for remark in config.remarks:
            logger.info("%s", remark)
        return config

    @contextmanager
    def resources(self, config: "Config") -> "Iterator[RunResources]":
        """Give what a run works with, for a block that signals can stop within two seconds.

        Raises:
            UsageError: the configuration is of several indexes, and not of one part of them.
        """
        from bandersnatch.http.conversation import Conversation
        from bandersnatch.operations.run_resources import RunResources
        from bandersnatch.stop import StopFlag
        from bandersnatch.storage.filesystem import FilesystemStorage
        from bandersnatch.upstream.index import Upstream

        if config.upstreams:  # the command has not taken it apart: it would follow the first index alone
            sections = ", ".join(f"[upstream {each.name}]" for each in config.upstreams)
            raise UsageError(f"{sections}: this command can't follow several indexes yet")
        collector.resume()
        require_memory(config.threads)
        stop = StopFlag()
        progress = self._progress()
        storage = FilesystemStorage(config.directory)
        with (
            closing(Conversation(config.http, wait=stop.wait)) as conversation,
            self._stopped_by_signals(stop, storage, progress),
        ):
            yield RunResources(Upstream.configured(config.http, conversation), storage, progress, stop)

    def tell_stopped(self) -> int:
        """Log which signal stopped the command, and return its exit status."""
        number = self.caught[0] if self.caught else signal.SIGINT
        logger.warning("stopped by %s; the next run goes on from here", signal.Signals(number).name)
        return SIGNAL_BASE + number

    @contextmanager
    def _stopped_by_signals(
        self, stop: "StopFlag", storage: "FilesystemStorage", progress: "Progress"
    ) -> Iterator[None]:
        """Let SIGINT and SIGTERM ask the run to stop within two seconds; a second one ends the process at once."""
        from bandersnatch.cli.deadline import StopDeadline

        def handle(number: int, _frame: FrameType | None) -> None:
            if self.caught:
                try:
                    if self.console is not None:
                        _take_display_away()
                finally:  # even if the terminal is gone
                    os._exit(SIGNAL_BASE + number)
            self.caught.append(number)
            stop.set()

        def end() -> None:
            if not self.caught:
                return  # the run stopped itself, and reports why
            # Threads may still be writing; from here on, nothing that they finish may appear.
            storage.abandon()
            progress.stop()
            end_process(self.tell_stopped())

        deadline = StopDeadline(stop, end)
        before = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            deadline.cancel()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _progress(self) -> "Progress":
        from bandersnatch.progress import LogProgress, SilentProgress, TerminalProgress

        if self.level > logging.INFO:
            return SilentProgress()
        return LogProgress() if self.console is None else TerminalProgress(self.console)


def _take_display_away() -> None:
    """Clear the progress line for good, without rich, whose lock another thread may hold."""
    terminal = os.dup(2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # that thread may draw once more
    os.write(terminal, _CLEAR_LINE)


def tell_report(report: "Report", summary: str, to_go_on: str) -> int:
    """Log the result of a run, and return its exit status; ``to_go_on`` is the command for withheld removals."""
    if report.withheld is not None:
        logger.error("%s; to go on: %s", report.withheld, to_go_on)
    if report.outage is not None:
        logger.error("the run has ended: %s", report.outage)
    is_good = not report.failures and report.outage is None and report.withheld is None
    logger.log(logging.INFO if is_good else logging.WARNING, "%s", summary)
    if report.outage is not None:
        return STOPPED
    if report.withheld is not None:
        return REMOVALS_WITHHELD
    return SOME_FAILED if report.failures else DONE


def how_to_begin(config: Path) -> str:
    """Return what to do if the mirror is missing."""
    option = "" if config == DEFAULT_PATH else f" -c {shlex.quote(str(config))}"
    return f"mount its disk, or, if a new mirror is to begin there, run: bandersnatch{option} mirror --init"


def end_process(status: int) -> NoReturn:
    """End the process at once; a normal exit would wait for all threads first."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):  # nobody reads it any more
            stream.flush()
    os._exit(status)
