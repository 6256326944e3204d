"""Keeps the prepared work of projects whose new pages remove files, so that these pages are not fetched twice.

Such a project waits until all other work of the run is done and its removals are allowed. After a change of filters there
may be hundreds of thousands of them, so the memory for this is limited; the pages of the others are fetched again.
"""

from bandersnatch.names import NormalizedName
from bandersnatch.project.prepared import Prepared
from bandersnatch.project.report import Shrinks

_MOST_BYTES = 50 * 1024 * 1024
_FILE_BYTES = 1024
"""About how much memory one file of a page takes."""


class Shrinking:
    """The prepared work of projects that wait. Not thread-safe: only the main thread uses it."""

    def __init__(self) -> None:
        self._prepared: dict[NormalizedName, Prepared] = {}
        self._left_bytes = _MOST_BYTES

    def keep(self, shrinks: Shrinks) -> None:
        """Keep the prepared work of a project, if the limit of memory allows it."""
        prepared = shrinks.prepared
        if isinstance(prepared, Prepared) and (size_bytes := _size_of(prepared)) <= self._left_bytes:
            self._left_bytes -= size_bytes
            self._prepared[shrinks.project] = prepared

    def take(self, project: NormalizedName) -> Prepared | None:
        """Return the prepared work of a project and forget it; None if its page must be fetched again."""
        return self._prepared.pop(project, None)

    def clear(self) -> None:
        """Forget everything."""
        self._prepared.clear()


def _size_of(prepared: Prepared) -> int:
    json, held = prepared.wanted.legacy_json, prepared.held
    files = len(prepared.wanted.page.files) + (len(held.files) if held is not None else 0)
    return files * _FILE_BYTES + len((json.body if json is not None else None) or b"")
