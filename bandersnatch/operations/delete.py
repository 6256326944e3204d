"""``Deletion``: takes projects out of the mirror because the operator says so, whatever upstream has."""

import logging
from collections.abc import Collection, Sequence
from contextlib import closing

from msgspec import Struct
from packaging.utils import NormalizedName

from bandersnatch.amounts import count_of
from bandersnatch.config.config import Config
from bandersnatch.errors import InterruptedRunError
from bandersnatch.operations.disk_options import as_configured
from bandersnatch.operations.overlay import DryStorage, InventoryCopy
from bandersnatch.operations.session import Session
from bandersnatch.pages.publisher import Publisher
from bandersnatch.pages.root_index import RootIndex
from bandersnatch.project.equipment import Equipment
from bandersnatch.state.inventory import Inventory
from bandersnatch.state.state_store import StateStore
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import INVENTORY, StoredPath, is_metadata
from bandersnatch.storage.lock import run_lock
from bandersnatch.storage.mirror_folder import require_directory

logger = logging.getLogger(__name__)


class DoomedProject(Struct, frozen=True):
    """What a project has on disk that goes with it; files that another project's page lists are not among it."""

    project: NormalizedName
    pages: tuple[StoredPath, ...]
    files: tuple[StoredPath, ...]
    size_bytes: int


class Deletion:
    """One call of ``bandersnatch delete``."""

    def __init__(self, config: Config, equipment: Equipment) -> None:
        self._config, self._equipment = config, equipment

    def preview(self, projects: Collection[NormalizedName]) -> list[DoomedProject]:
        """Return what would be deleted of those projects of which there is anything, without a lock, and writing nothing.

        Raises:
            StorageError: the mirror can't be read.
        """
        require_directory(self._config.directory)
        storage = DryStorage(self._config.directory)
        with closing(InventoryCopy(self._config.directory / INVENTORY)) as inventory:
            self._session(storage, inventory).open()
            publisher = self._publisher(storage, inventory)
            doomed = (_look_at(project, publisher) for project in projects)
            return [each for each in doomed if each is not None]

    def run(self, projects: Sequence[NormalizedName]) -> None:
        """Delete the projects: root index, pages, files, and what was still to be done for them.

        Raises:
            LockHeldError: a run works on the directory.
            NotTakenOverError: the tree is one of another bandersnatch.
            StorageError: the disk refused.
            InterruptedRunError: the command was asked to stop; what is deleted by then is out of the root index too.
        """
        storage = self._equipment.storage
        with (
            run_lock(self._config.directory),
            closing(Inventory(self._config.directory / INVENTORY)) as inventory,
            as_configured(storage, self._config.disk),
        ):
            session = self._session(storage, inventory)
            session.check_taken_over()
            session.open()
            session.sweep()
            states = StateStore(storage)
            saved = states.load()
            session.write_root_index(saved.serial or 0, set(projects))
            publisher = self._publisher(storage, inventory)
            for project in projects:
                if self._equipment.stop.is_set():
                    raise InterruptedRunError
                files = publisher.remove(project, keep_files=False)
                logger.info("%s: deleted, with %s", project, count_of(files, "file"))
            storage.flush()
            if saved.todo is not None and any(project in saved.todo for project in projects):
                for project in projects:
                    saved.todo.discard(project)
                states.save_todo(saved.todo)

    def _session(self, storage: FilesystemStorage, inventory: Inventory) -> Session:
        return Session(storage, inventory, RootIndex(storage, self._config.pages), self._equipment.stop)

    def _publisher(self, storage: FilesystemStorage, inventory: Inventory) -> Publisher:
        equipment = self._equipment
        return Publisher(equipment.upstream, storage, inventory, self._config.pages, equipment.stop.is_set)


def _look_at(project: NormalizedName, publisher: Publisher) -> DoomedProject | None:
    """Return what there is of a project, or None where there is nothing."""
    storage = publisher.storage
    pages = tuple(path for path in publisher.pages_of(project) if storage.stat(path) is not None)
    stored = {path: storage.stat(path) for path in sorted(publisher.files_of(project))}
    sizes = {path: found.size for path, found in stored.items() if found is not None}
    if not pages and not sizes and publisher.inventory.get(project) is None:
        return None
    files = tuple(path for path in sizes if not is_metadata(path))
    return DoomedProject(project, pages, files, sum(sizes.values()))
