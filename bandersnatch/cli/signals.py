"""What SIGINT and SIGTERM do while no run is there to be stopped: they end the process, with a word and their status.

``__main__`` asks for this before it imports the rest of the program, which takes tenths of a second. So nothing is imported
here that takes time.
"""

import os
import signal
import time
from types import FrameType

from bandersnatch.cli.exit_codes import SIGNAL_BASE

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_at_signals() -> None:
    """Let SIGINT and SIGTERM end the process at once, until somebody else handles them."""
    for number in STOP_SIGNALS:
        signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    """End the process; what it was about to log must not be met, so the line does not go through ``logging``."""
    thousandths = "" if os.isatty(2) else f",{int(time.time() * 1000) % 1000:03}"
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S')}{thousandths} WARNING: stopped by {signal.Signals(number).name}\n"
    try:
        os.write(2, line.encode())
    finally:  # also where nobody reads it
        os._exit(SIGNAL_BASE + number)
