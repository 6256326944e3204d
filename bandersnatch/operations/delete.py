"""``Deletion``: removes projects from the mirror because the operator says so, whatever upstream has."""

import logging
from collections.abc import Collection, Sequence

from msgspec import Struct

from bandersnatch.amounts import count_of
from bandersnatch.config.config import Config
from bandersnatch.errors import InterruptedRunError, RefusedPlaceError
from bandersnatch.names import NormalizedName
from bandersnatch.operations.run_resources import RunResources
from bandersnatch.operations.session import Foreign, Session
from bandersnatch.pages.remover import Remover
from bandersnatch.project.report import Failure
from bandersnatch.storage.layout import StoredPath, is_metadata

logger = logging.getLogger(__name__)


class DoomedProject(Struct, frozen=True):
    """What goes with a project: its pages, and the files that no other project's page lists."""

    project: NormalizedName
    pages: tuple[StoredPath, ...]
    files: tuple[StoredPath, ...]
    size_bytes: int


class Deletion:
    """One call of ``bandersnatch delete``."""

    def __init__(self, config: Config, resources: RunResources) -> None:
        self._config, self._resources = config, resources

    def preview(self, projects: Collection[NormalizedName]) -> tuple[list[DoomedProject], list[Failure]]:
        """Return what would be deleted of those projects that exist, and which of them we may not read.

        It takes no lock and writes nothing.

        Raises:
            StorageError: the mirror can't be read.
        """
        session = Session.dry(self._config, self._resources.stop)
        with session.opened(Foreign.READ):
            remover = Remover(session.storage, session.inventory, self._config.pages)
            doomed: list[DoomedProject] = []
            refused: list[Failure] = []
            for project in projects:
                try:
                    found = _look_at(project, remover)
                except RefusedPlaceError as error:
                    refused.append(Failure(project, error))
                    continue
                if found is not None:
                    doomed.append(found)
            return doomed, refused

    def run(self, projects: Sequence[NormalizedName]) -> list[Failure]:
        """Delete the projects: from the root index, their pages and files, and their entries on the todo list.

        Return those that we lack the permission to delete: the root index lists them again.

        Raises:
            LockHeldError: a run works on the directory.
            NotTakenOverError: another bandersnatch made the tree.
            StorageError: the disk refused.
            InterruptedRunError: the command was asked to stop; the root index no longer lists what was deleted by then.
        """
        session = Session.of(self._config, self._resources.storage, self._resources.stop)
        with session.opened(Foreign.REFUSE):
            saved = session.states.load()
            session.write_root_index(saved.serial or 0, set(projects))
            remover = Remover(session.storage, session.inventory, self._config.pages)
            refused: list[Failure] = []
            for project in projects:
                if self._resources.stop.is_set():
                    raise InterruptedRunError
                try:
                    files = remover.remove(project, keep_files=False)
                except RefusedPlaceError as error:
                    refused.append(Failure(project, error))
                    continue
                logger.info("%s: deleted, with %s", project, count_of(files, "file"))
            deleted = set(projects) - {failure.project for failure in refused}
            if refused:
                session.write_root_index(saved.serial or 0, deleted)
            session.storage.flush()
            if saved.todo is not None and any(project in saved.todo for project in deleted):
                for project in deleted:
                    saved.todo.discard(project)
                session.states.save_todo(saved.todo)
            return refused


def _look_at(project: NormalizedName, remover: Remover) -> DoomedProject | None:
    """Return what there is of a project, or None where there is nothing."""
    storage = remover.storage
    pages = tuple(path for path in remover.pages_of(project) if storage.stat(path) is not None)
    stored = {path: storage.stat(path) for path in sorted(remover.files_of(project))}
    sizes = {path: found.size for path, found in stored.items() if found is not None}
    if not pages and not sizes and remover.inventory.get(project) is None:
        return None
    files = tuple(path for path in sizes if not is_metadata(path))
    return DoomedProject(project, pages, files, sum(sizes.values()))
