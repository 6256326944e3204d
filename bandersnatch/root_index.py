"""Writes the root index: exactly the projects that are held, each with its serial, so that a mirror can follow this one."""

from collections.abc import Sequence
from dataclasses import dataclass

from bandersnatch.config import PagesConfig
from bandersnatch.layout import ALL_PAGES, HTML_PAGES, JSON_PAGE, SIMPLE, StoredPath, page_path
from bandersnatch.simple import IndexedProject, page_names, render_root_html, render_root_json
from bandersnatch.storage import FilesystemStorage


@dataclass(frozen=True, slots=True)
class RootIndex:
    """The root index of one mirror."""

    storage: FilesystemStorage
    config: PagesConfig

    def is_there(self) -> bool:
        """Whether every form that is configured is on disk."""
        return all(self.storage.stat(page_path(SIMPLE, name)) is not None for name in page_names(self.config))

    def write(self, projects: Sequence[IndexedProject], serial: int) -> None:
        """Write all forms that differ from what is there, and delete those that are not configured.

        ``projects`` are in the order of their names; ``serial`` is the one that all of them have reached.
        """
        names = page_names(self.config)
        for name in ALL_PAGES:
            path = page_path(SIMPLE, name)
            if name not in names:
                self.storage.delete(path)
            elif name in HTML_PAGES:
                self._write(path, b"".join(render_root_html(projects)))
            elif name == JSON_PAGE:
                self._write(path, b"".join(render_root_json(projects, serial)))

    def _write(self, path: StoredPath, body: bytes) -> None:
        self.storage.write_bytes(path, body)
