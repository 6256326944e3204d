"""How log lines look, and where they go: to stderr, on a terminal above the progress display."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from bandersnatch.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

LINE_FORMAT = "%(asctime)s %(levelname)s: %(message)s"


class PlainFormatter(logging.Formatter):
    """One event, one line: what came from upstream can neither move the cursor nor forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and below it the lines of a traceback where there is one."""
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        lines = [self.formatMessage(record)]
        if record.exc_info:
            lines += self.formatException(record.exc_info).splitlines()
        return "\n".join(map(_printable, lines))


def _printable(line: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


class ConsoleHandler(logging.Handler):
    """Writes lines through rich's console, which keeps them above the progress display."""

    def __init__(self, console: "Console") -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, as it is: no markup, no wrapping."""
        self._console.print(self.format(record), markup=False, emoji=False, highlight=False, soft_wrap=True)


def set_up_logging(level: int, console: "Console | None", log_config: Path | None) -> None:
    """Send log lines to the console, or to stderr where there is none, or wherever ``log_config`` says.

    Raises:
        ConfigError: ``log_config`` can't be used.
    """
    if log_config is not None:
        from logging.config import fileConfig  # noqa: PLC0415 - it takes 3 ms, which runs without such a file need not wait for

        for name in ("bandersnatch", "urllib3"):
            logging.getLogger(name).setLevel(logging.NOTSET)
        try:
            fileConfig(log_config, disable_existing_loggers=False)
        except Exception as error:  # fileConfig promises no kind of error
            raise ConfigError([f"{log_config}: no logging configuration: {error!r}"]) from error
        return
    handler: logging.Handler = logging.StreamHandler() if console is None else ConsoleHandler(console)
    handler.setFormatter(PlainFormatter(LINE_FORMAT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("bandersnatch").setLevel(level)
    if level > logging.DEBUG:
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns of each attempt; we tell of the last one
