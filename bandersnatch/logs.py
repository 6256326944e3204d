"""How log lines look, and where they go: to stderr, on a terminal above the progress display."""

import logging
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bandersnatch.errors import ConfigError
from bandersnatch.shown_text import printable

if TYPE_CHECKING:
    from rich.console import Console

LINE_FORMAT = "%(asctime)s %(levelname)s: %(message)s"
TERMINAL_TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
OF_PROJECT = {"is_of_project": True}
"""``extra`` for a line that a run may log once per project, thousands of times."""
_MOST_PROJECTS_SHOWN = 20
TOLD_ONCE: set[str] = set()
"""The keys of the warnings that were logged and must not be repeated."""
_telling = threading.Lock()


class PlainFormatter(logging.Formatter):
    """One event, one line: text from upstream can neither move the cursor nor forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, followed by the traceback if there is one."""
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        lines = [self.formatMessage(record)]
        # A record from another process carries its traceback as text.
        traceback = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        lines += traceback.splitlines() if traceback else []
        return "\n".join(map(printable, lines))


class PlainRecord(logging.LogRecord):
    """A record that is safe to write, whatever formatter and handler the operator's logging configuration uses."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.exc_info:  # formatters prefer exc_text, so the escaped traceback is used
            self.exc_text = "\n".join(map(printable, logging.Formatter().formatException(self.exc_info).splitlines()))

    def getMessage(self) -> str:  # noqa: N802 - as logging has it
        """Return the formatted message as one line."""
        return printable(super().getMessage())


class ConsoleHandler(logging.Handler):
    """Writes lines through rich's console, which keeps them above the progress display."""

    def __init__(self, console: "Console") -> None:
        super().__init__()
        self._console = console
        self._projects = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line without markup, wrapped between words to the width of the terminal."""
        if self._is_one_too_many(record):
            return
        for line in self.format(record).split("\n"):
            shown = "\n".join(_broken(line, self._console.width)) if self._console.is_terminal else line
            self._console.print(shown, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def _is_one_too_many(self, record: logging.LogRecord) -> bool:
        """Whether to drop one of thousands of lines, between which the progress display would be unreadable."""
        if not getattr(record, "is_of_project", False) or logging.getLogger("bandersnatch").isEnabledFor(logging.DEBUG):
            return False
        self._projects += 1
        if self._projects == _MOST_PROJECTS_SHOWN + 1:
            record.msg, record.args = "further projects are counted but not named here; --debug names them all", None
        return self._projects > _MOST_PROJECTS_SHOWN + 1


def _broken(line: str, width: int) -> list[str]:
    """Return the line wrapped to ``width``; a longer word, such as a URL or path, stays whole so it can be copied."""
    pieces = [""]
    for word in line.split(" "):
        if pieces[-1].strip() and len(pieces[-1]) + 1 + len(word) > width:
            pieces.append(f"  {word}")
        else:
            pieces[-1] = f"{pieces[-1]} {word}" if pieces[-1] else word
    return pieces


class KeptRecords(logging.Handler):
    """Collects log records in a worker process until they are sent to the main process."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record as text, since its arguments may not be picklable."""
        record.msg, record.args = record.getMessage(), None
        if record.exc_info:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        self._records.append(record)

    def has_some(self) -> bool:
        """Whether there are records since the last call of ``take``."""
        return bool(self._records)

    def take(self) -> list[logging.LogRecord]:
        """Return the records since the last call."""
        taken, self._records = self._records, []
        return taken


def keep_records() -> KeptRecords:
    """Collect all that this process logs from now on, in place of the handlers that a fork has copied.

    Two processes that rotate one file, or write to one socket, corrupt each other's output; copied buffers would be
    written twice; and a thread that did not survive the fork may have held the lock of the progress display.
    """
    kept = KeptRecords()
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
    logging.getLogger().handlers[:] = [kept]
    return kept


def warn_once(logger: logging.Logger, key: str, message: str, *values: object) -> None:
    """Log a warning once per key; the main process also drops repeats that come from workers."""
    if _is_news(key):
        logger.warning(message, *values, extra={"once": key})


def _is_news(key: str) -> bool:
    with _telling:
        is_news = key not in TOLD_ONCE
        TOLD_ONCE.add(key)
        return is_news


def log_kept(records: Iterable[logging.LogRecord]) -> None:
    """Log the records that another process has collected."""
    for record in records:
        if (key := getattr(record, "once", None)) is not None and not _is_news(key):
            continue
        logging.getLogger(record.name).handle(record)


class _LostLines:
    """Reports once that a handler can't write, as to a full disk; logging would print a traceback for each line."""

    def __init__(self, handler: logging.Handler) -> None:
        self._place = getattr(handler, "baseFilename", type(handler).__name__)
        self._is_told = False

    def __call__(self, _record: logging.LogRecord) -> None:
        if self._is_told:
            return
        self._is_told = True
        error = sys.exception()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
        with suppress(OSError, ValueError):
            sys.stderr.write(printable(f"{self._place}: the log can't be written, lines are lost: {reason}") + "\n")


def set_up_logging(level: int, console: "Console | None", log_config: Path | None) -> None:
    """Send log lines to the console, to stderr if there is none, or wherever ``log_config`` says.

    Raises:
        ConfigError: ``log_config`` can't be used.
    """
    if log_config is not None:
        logging.setLogRecordFactory(PlainRecord)
        from logging.config import fileConfig  # noqa: PLC0415 - it takes 3 ms, which only this case needs

        for name in ("bandersnatch", "urllib3"):
            logging.getLogger(name).setLevel(logging.NOTSET)  # so that the levels in the file decide
        try:
            fileConfig(log_config, disable_existing_loggers=False)
        except Exception as error:  # fileConfig does not document what it raises
            raise ConfigError([f"{log_config}: no logging configuration: {error!r}"]) from error
        for known in (logging.getLogger(), *logging.Logger.manager.loggerDict.values()):
            for own in known.handlers if isinstance(known, logging.Logger) else ():
                setattr(own, "handleError", _LostLines(own))  # noqa: B010 - it is a method that is replaced
        return
    handler: logging.Handler = logging.StreamHandler() if console is None else ConsoleHandler(console)
    handler.setFormatter(PlainFormatter(LINE_FORMAT, None if console is None else TERMINAL_TIME_FORMAT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Of other libraries, only warnings and errors matter to an operator.
    root.setLevel(logging.WARNING)
    logging.getLogger("bandersnatch").setLevel(level)
    if level > logging.DEBUG:
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns of each attempt; we report only the last
