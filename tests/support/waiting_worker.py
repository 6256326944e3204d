"""The command, with a worker process that waits for ever in the middle of the first file that it writes.

It tells so through the FIFO in its first argument; the others are the command's.
"""

import os
import sys
import threading
from pathlib import Path

from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import PACKAGES, StoredPath
from tests.support.killed_runs import Point, acting_storage


def waiting_storage(told_through: Path) -> type[FilesystemStorage]:
    """Return the storage with which the processes of workers wait."""
    main = os.getpid()

    def wait(point: Point, path: StoredPath) -> None:
        if point is Point.WRITTEN and os.getpid() != main and path.startswith(PACKAGES):
            told_through.write_bytes(b".")
            threading.Event().wait()

    return acting_storage(wait)


if __name__ == "__main__":
    from bandersnatch.cli.invocation import end_process
    from bandersnatch.main import main
    from bandersnatch.storage import filesystem as storage

    # The command has no door for it.
    storage.FilesystemStorage = waiting_storage(Path(sys.argv[1]))  # type: ignore[misc]
    end_process(main(sys.argv[2:]))
