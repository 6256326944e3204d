"""What a run works with: the index, the disk, the display, the flag that stops it."""

import time

from msgspec import Struct

from bandersnatch.progress import Progress
from bandersnatch.stop import StopFlag
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.upstream.index import Upstream

_LOOK_SECONDS = 0.01


class RunResources(Struct, frozen=True):
    """What a run works with: the index, the disk, the display, the flag that stops it."""

    upstream: Upstream
    storage: FilesystemStorage
    progress: Progress
    stop: StopFlag

    def unwind(self, seconds: float) -> None:
        """End the workers after an error, and leave nothing half-written; they have so many seconds to end by themselves."""
        self.stop.set()
        end = time.monotonic() + seconds
        while self.storage.is_writing() and time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
        self.storage.abandon()
