"""The command line in the process of the tests: what a process of its own would add to nothing takes tenths of a second."""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from subprocess import CompletedProcess

from bandersnatch.logs import TOLD_ONCE
from bandersnatch.main import main

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR): .+")
SUMMARY = re.compile(
    r"synced to serial (\d+): (\d+) updated, (\d+) removed, (\d+) failed, (\d+) files?, (\d+(?:\.\d)? \w+) in \d+\.\d s$"
)


def bandersnatch(*arguments: str, **environment: str) -> CompletedProcess[str]:
    """Run the command in a process of its own, to its end."""
    command = [sys.executable, "-m", "bandersnatch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **environment})


def call(*arguments: str) -> CompletedProcess[str]:
    """Do what ``bandersnatch ...`` does, with stderr that is no terminal; not for signals, nor for how a process ends."""
    with logging_as_before(), redirect_stdout(StringIO()) as stdout, redirect_stderr(StringIO()) as stderr:
        try:
            status = main(arguments)
        except SystemExit as end:  # argparse ends so, with a number
            status = int(end.code or 0)
    return CompletedProcess(arguments, status, stdout.getvalue(), stderr.getvalue())


@contextmanager
def logging_as_before() -> Iterator[None]:
    """Let the block have a log of its own, and take back what the command line sets up for it."""
    loggers = [logging.getLogger(name) for name in (None, "bandersnatch", "urllib3")]
    handlers, levels = list(loggers[0].handlers), [logger.level for logger in loggers]
    TOLD_ONCE.clear()
    try:
        yield
    finally:
        loggers[0].handlers[:] = handlers
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
