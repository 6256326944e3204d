"""Serves distribution files as an index: `python -m tests.support.fakepypi --port 0 FILE-OR-DIRECTORY...`.

The first line of the output is the URL. Runs until it is interrupted or terminated.
"""

import argparse
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Event

from .fake import FakePyPI

SUFFIXES = (".whl", ".tar.gz", ".zip")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.fakepypi", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("paths", nargs="*", type=Path, metavar="FILE-OR-DIRECTORY", help="wheels and sdists")
    arguments = parser.parse_args()
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with FakePyPI(port=arguments.port) as pypi:
        for path in _distributions(arguments.paths):
            pypi.add_local_file(path)
        print(pypi.url, flush=True)
        stopped.wait()
    return 0


def _distributions(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the named files, and those that look like distributions in named directories."""
    for path in paths:
        if path.is_dir():
            yield from (each for each in sorted(path.rglob("*")) if each.name.endswith(SUFFIXES))
        else:
            yield path


if __name__ == "__main__":
    sys.exit(main())
