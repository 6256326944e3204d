"""Writes the root index: exactly the projects that are held, each with its serial, so that a mirror can follow this one."""

import hashlib
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from bandersnatch.config import PagesConfig
from bandersnatch.errors import StorageError
from bandersnatch.layout import ALL_PAGES, HTML_PAGES, JSON_PAGE, SIMPLE, StoredPath, page_path
from bandersnatch.simple import IndexedProject, page_names, render_root_html, render_root_json
from bandersnatch.storage import FilesystemStorage


class RootIndex(Struct, frozen=True):
    """The root index of one mirror."""

    storage: FilesystemStorage
    config: PagesConfig

    def is_there(self) -> bool:
        """Whether every form that is configured is on disk."""
        return all(self.storage.stat(page_path(SIMPLE, name)) is not None for name in page_names(self.config))

    def differing(
        self, projects: Callable[[], Iterable[IndexedProject]], serial: int, is_stopped: Callable[[], bool]
    ) -> Iterator[tuple[StoredPath, bool]]:
        """Yield what ``write`` would write or delete, and whether it is there at all."""
        digests: dict[bool, str] = {}
        for name in ALL_PAGES:
            path, is_html = page_path(SIMPLE, name), name in HTML_PAGES
            is_there = self.storage.stat(path) is not None
            if name not in page_names(self.config):
                if is_there:
                    yield path, True
                continue
            if is_html not in digests:  # the HTML pages are alike
                digests[is_html] = _digest(
                    render_root_html(projects()) if is_html else render_root_json(projects(), serial)
                )
            if not is_there or self._digest(path, is_stopped) != digests[is_html]:
                yield path, is_there

    def write(self, projects: Callable[[], Iterable[IndexedProject]], serial: int) -> None:
        """Write all forms that differ from what is there, and delete those that are not configured.

        ``projects()`` yields them in the order of their names, anew for each form; ``serial`` is the one that all of them
        have reached.
        """
        names = page_names(self.config)
        for name in ALL_PAGES:
            if name not in names:
                self.storage.delete(page_path(SIMPLE, name))
        if JSON_PAGE in names:
            self.storage.write_pieces(page_path(SIMPLE, JSON_PAGE), render_root_json(projects(), serial))
        first, *others = (page_path(SIMPLE, name) for name in HTML_PAGES)
        if HTML_PAGES[0] in names:
            self.storage.write_pieces(first, render_root_html(projects()))
            for other in others:  # they are alike, and to render them takes longer than to read one
                self.storage.write_pieces(other, self.storage.pieces(first))

    def _digest(self, path: StoredPath, is_stopped: Callable[[], bool]) -> str | None:
        """Return the SHA-256 of a stored page, or None where it can't be read."""
        try:
            return self.storage.digest(path, "sha256", is_stopped)
        except StorageError:
            return None


def _digest(pieces: Iterable[bytes]) -> str:
    hasher = hashlib.sha256()
    for piece in pieces:
        hasher.update(piece)
    return hasher.hexdigest()
