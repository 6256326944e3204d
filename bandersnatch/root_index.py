"""Writes the root index: exactly the projects that are held, each with its serial, so that a mirror can follow this one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bandersnatch.config import PagesConfig
from bandersnatch.layout import ALL_PAGES, HTML_PAGES, SIMPLE, page_path
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

    def write(self, projects: Callable[[], Iterable[IndexedProject]], serial: int) -> None:
        """Write all forms that differ from what is there, and delete those that are not configured.

        ``projects()`` yields them in the order of their names, anew for each form; ``serial`` is the one that all of them
        have reached.
        """
        names = page_names(self.config)
        for name in ALL_PAGES:
            path = page_path(SIMPLE, name)
            if name not in names:
                self.storage.delete(path)
            elif name in HTML_PAGES:
                self.storage.write_pieces(path, render_root_html(projects()))
            else:
                self.storage.write_pieces(path, render_root_json(projects(), serial))
