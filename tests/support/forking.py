"""Calls a function in a forked process, as workers are."""

import multiprocessing
from collections.abc import Callable

_SECONDS = 30


def in_process(call: Callable[[], object]) -> None:
    """Call a function in a forked process, and wait until it has ended well."""
    process = multiprocessing.get_context("fork").Process(target=call)
    process.start()
    process.join(_SECONDS)
    assert process.exitcode == 0
