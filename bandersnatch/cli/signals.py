"""Handles SIGINT and SIGTERM while there is no run to stop: they end the process, with a line of log and their status.

``__main__`` calls this before it imports the rest of the program, which takes tenths of a second. So this module
imports nothing that takes time.
"""

import os
import signal
import time
from types import FrameType

from bandersnatch.cli.exit_codes import SIGNAL_BASE

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_at_signals() -> None:
    """Let SIGINT and SIGTERM end the process at once, until a run handles them."""
    for number in STOP_SIGNALS:
        signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    """End the process. The line does not go through ``logging``, whose lock the interrupted code may hold."""
    thousandths = "" if os.isatty(2) else f",{int(time.time() * 1000) % 1000:03}"
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S')}{thousandths} WARNING: stopped by {signal.Signals(number).name}\n"
    try:
        os.write(2, line.encode())
    finally:  # even if nobody reads it
        os._exit(SIGNAL_BASE + number)
