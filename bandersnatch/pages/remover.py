"""Deletes what the mirror shall have no longer: files that no page lists any more, or a whole project.

The order is the mirror's promise: a page before the deletions that it allows.
"""

from collections.abc import Iterable

from msgspec import Struct

from bandersnatch.config.option_groups import PagesConfig
from bandersnatch.names import NormalizedName, possible_projects
from bandersnatch.pages.stored_page import read_held_page
from bandersnatch.pages.versions import PageStore
from bandersnatch.state.inventory import Inventory
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import PACKAGES, Layout, StoredPath, is_metadata, json_paths


class Remover(Struct, frozen=True):
    """Removes what a web server shows of a project."""

    storage: FilesystemStorage
    inventory: Inventory
    config: PagesConfig

    def delete_unlisted(self, project: NormalizedName, paths: Iterable[StoredPath]) -> bool:
        """Delete files that a project's page no longer lists, unless another's does; return whether any was there.

        Raises:
            StorageError: the disk refused.
        """
        free = [path for path in paths if not self._is_listed_elsewhere(project, path)]
        return sum(map(self.storage.delete, free)) > 0

    def pages_of(self, project: NormalizedName) -> list[StoredPath]:
        """Return where pages and legacy JSON of a project may lie, with the versions that are kept of the pages."""
        pages = (path for folder in self._folders(project) for path in self._pages.paths(folder))
        return [*json_paths(project), *pages]

    def files_of(self, project: NormalizedName, *, keep_listed: bool = False) -> set[StoredPath]:
        """Return the files that only this project has, ``.metadata`` files included, wherever they are noted or listed."""
        noted = {path for path in self.inventory.unsettled(project) if path.startswith(f"{PACKAGES}/")}
        for folder in self._folders(project):
            if held := read_held_page(self.storage, folder):
                noted = noted - held.paths if keep_listed else noted | held.paths
        return {path for path in noted if not self._is_listed_elsewhere(project, path)}

    def remove(self, project: NormalizedName, *, keep_files: bool) -> int:
        """Take a project away: its pages, then its files, then its record; return the number of files deleted.

        The folders of its pages are noted too: a project that is killed here has a record and no page, which would
        otherwise mean that the inventory is wrong.
        """
        doomed = self.files_of(project, keep_listed=keep_files)  # first: the pages say it, and go
        self.inventory.note_unsettled((project, path) for path in (*doomed, *self._folders(project)))
        for path in json_paths(project):
            self.storage.delete(path)
        for folder in self._folders(project):
            self._pages.delete(folder)
        self.storage.sweep(doomed)  # what is half-written of them
        deleted = sum(self.storage.delete(path) and not is_metadata(path) for path in doomed)
        self.inventory.remove(project)
        return deleted

    def _is_listed_elsewhere(self, project: NormalizedName, path: StoredPath) -> bool:
        """Whether another project's page lists a file: upstream may say so, although no index of honest people does.

        It is a project whose name the file's name begins with, or one of which it is noted; only those pages are read.
        """
        file = StoredPath(path.removesuffix(".metadata"))  # core metadata stays or goes with its file
        named = possible_projects(file.rpartition("/")[2])
        for other in dict.fromkeys([*named, *self.inventory.with_stranger(file)]):
            if other == project:
                continue
            if self.inventory.is_noted(other, path):
                return True  # it may be for a page that is about to be published
            held = read_held_page(self.storage, Layout(self.config.hash_index).page_folder(other))
            if held is not None and path in held.paths:
                return True
        return False

    def _folders(self, project: NormalizedName) -> tuple[StoredPath, StoredPath]:
        layout = Layout(self.config.hash_index)
        return layout.page_folder(project), layout.other_page_folder(project)

    @property
    def _pages(self) -> PageStore:
        return PageStore(self.storage, self.config.keep_versions)
