"""Keeps what was prepared for projects whose pages would remove files, so that no page is asked for a second time.

Such a project waits until all other work of a run is done, and its removals are allowed. Where filters have changed there
may be hundreds of thousands of them, so that only so much is kept as memory allows; for the others the page is asked for
again.
"""

from packaging.utils import NormalizedName

from bandersnatch.project.prepared import Prepared
from bandersnatch.project.report import Shrinks

_MOST_BYTES = 50 * 1024 * 1024
_FILE_BYTES = 1024
"""About what one file of a page takes."""


class Shrinking:
    """What was prepared for projects that wait. Not thread-safe: only the main thread has it."""

    def __init__(self) -> None:
        self._prepared: dict[NormalizedName, Prepared] = {}
        self._left_bytes = _MOST_BYTES

    def keep(self, shrinks: Shrinks) -> None:
        """Keep what was prepared for a project, if there is room for it."""
        prepared = shrinks.prepared
        if isinstance(prepared, Prepared) and (size_bytes := _size_of(prepared)) <= self._left_bytes:
            self._left_bytes -= size_bytes
            self._prepared[shrinks.project] = prepared

    def take(self, project: NormalizedName) -> Prepared | None:
        """Return what was prepared for a project, once; None where its page must be asked for."""
        return self._prepared.pop(project, None)

    def clear(self) -> None:
        """Keep nothing any more."""
        self._prepared.clear()


def _size_of(prepared: Prepared) -> int:
    json, held = prepared.wanted.legacy_json, prepared.held
    files = len(prepared.wanted.page.files) + (len(held.files) if held is not None else 0)
    return files * _FILE_BYTES + len((json.body if json is not None else None) or b"")
