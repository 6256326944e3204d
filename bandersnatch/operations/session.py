"""``Session``: the mirror on disk, for one command: locked, opened, swept, and indexed.

Every command that reads or writes the mirror opens it here. A dry session takes no lock, and nothing that it writes
reaches the disk: so a dry run needs no second version of the code that writes nothing.
"""

import enum
import logging
import time
from collections.abc import Callable, Collection, Iterator, Set
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.amounts import count_of
from bandersnatch.config.config import Config
from bandersnatch.config.config import SharedTree as TreeConfig
from bandersnatch.errors import InterruptedRunError, NotTakenOverError
from bandersnatch.names import NormalizedName
from bandersnatch.operations.disk_options import as_configured
from bandersnatch.operations.leftovers import Leftovers
from bandersnatch.operations.shared_tree import Member, SharedTree
from bandersnatch.pages.change_journal import ChangeJournal
from bandersnatch.pages.forms import IndexedProject, root_paths
from bandersnatch.pages.rebuild_inventory import unreadable
from bandersnatch.state.index_record import IndexRecord
from bandersnatch.state.inventory import Inventory
from bandersnatch.state.reservations import recover_reservations
from bandersnatch.state.saved_state import SavedState, StateFiles
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.stop import StopFlag
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import (
    ALL_PAGES,
    CHANGES_INDEX,
    FINGERPRINT,
    INVENTORY,
    LAST_MODIFIED,
    LOCAL_JSON,
    LOCAL_SERIAL,
    PACKAGES,
    SIMPLE,
    STATE,
    TODO,
    WEB,
    StoredPath,
    is_metadata,
    json_paths,
    page_path,
)
from bandersnatch.storage.lock import run_lock
from bandersnatch.storage.mirror_folder import require_directory

if TYPE_CHECKING:
    from bandersnatch.pages.root_index import RootIndex

logger = logging.getLogger(__name__)

Now = Callable[[], float]
LINES_PER_PATCH = 25
"""Finding a line in the root index takes as long as rendering this many."""
LITTLE_PATCH = 10


class Foreign(enum.Enum):
    """What a command does about a tree that another bandersnatch, or shadowmire, has left."""

    TAKE_OVER = "take over"
    REFUSE = "refuse"
    """If a command made an inventory there, the next run would not recognize the tree as another program's."""
    READ = "read"


class Session(Struct, frozen=True):
    """The mirror as a command finds it, and the root index that it leaves behind.

    A *dry* session has a storage and an inventory that keep all changes to themselves.
    """

    config: Config
    storage: FilesystemStorage
    inventory: Inventory
    stop: StopFlag
    others: tuple[Member, ...] = ()
    """The other indexes that have projects in the same tree."""
    is_dry: bool = False

    @classmethod
    def of(cls, config: Config, storage: FilesystemStorage, stop: StopFlag, now: Now = time.time) -> "Session":
        """Return the session of a command that writes to the mirror; ``now`` returns the time of day."""

        def member(name: str | None) -> Member:
            folder = of_tree.folder(name)
            return Member(name, FilesystemStorage(folder), Inventory(folder / INVENTORY, now))

        of_tree, inventory = _tree_of(config), Inventory(config.directory / INVENTORY, now)
        tree = SharedTree.of(of_tree, Member(of_tree.name, storage, inventory), member, is_dry=False)
        inventory.beside = tuple(tree.inventories[1:])
        return cls(config, storage, inventory, stop, tree.members[1:])

    @classmethod
    def dry(cls, config: Config, stop: StopFlag) -> "Session":
        """Return the session of a command that must not write to the mirror."""
        from bandersnatch.operations.dry_storage import DryStorage, InventoryCopy  # noqa: PLC0415 - for dry runs alone

        def member(name: str | None) -> Member:
            folder = of_tree.folder(name)
            # An index that has had no run yet finds the pages that another one leaves it.
            web = of_tree.directory / WEB if name is not None and not folder.is_dir() else None
            return Member(name, DryStorage(folder, web), InventoryCopy(folder / INVENTORY))

        of_tree = _tree_of(config)
        me = member(of_tree.name)
        tree = SharedTree.of(of_tree, me, member, is_dry=True)
        me.inventory.beside = tuple(tree.inventories[1:])
        return cls(config, me.storage, me.inventory, stop, tree.members[1:], is_dry=True)

    @property
    def tree(self) -> SharedTree:
        """The inventories of all indexes that have projects in the same tree."""
        of_tree = _tree_of(self.config)
        return SharedTree(of_tree, (Member(of_tree.name, self.storage, self.inventory), *self.others), self.is_dry)

    @property
    def states(self) -> StateFiles:
        """The records of earlier runs."""
        return StateFiles(self.storage)

    @property
    def root_index(self) -> "RootIndex":
        """The root index on disk."""
        from bandersnatch.pages.root_index import RootIndex  # noqa: PLC0415 - a run with nothing new need not render pages

        return RootIndex(self.storage, self.config.pages)

    def has_root_index(self) -> bool:
        """Whether every configured form of it is on disk."""
        return all(self.storage.stat(path) is not None for path in root_paths(self.config.pages))

    @contextmanager
    def opened(
        self, foreign: Foreign, check: Callable[[], object] = lambda: None, *, may_be_new: bool = False
    ) -> Iterator[bool]:
        """Lock the mirror for the length of the block, and open it; yield whether its inventory had to be rebuilt.

        ``check`` is called before anything is opened, and may raise. A dry session with ``may_be_new`` does without the
        directory.

        Raises:
            LockHeldError: another command works on the mirror.
            MissingDirectoryError: the directory, or the mirror in it, is missing.
            NotTakenOverError: another bandersnatch made the tree, and this command refuses that.
            StorageError: the disk refused.
        """
        with ExitStack() as held:
            if not self.is_dry:
                # All write the root index, so one command works on the tree at a time.
                held.enter_context(run_lock(self.tree.config.directory))
                self.tree.make_folders()
                if self.tree.config.name is not None:
                    held.enter_context(run_lock(self.config.directory))
            elif not may_be_new:
                require_directory(self.config.directory)
            if not self.is_dry:
                held.enter_context(as_configured(self.storage, self.config.disk))
            is_adopted = self._meet(foreign)
            check()
            is_rebuilt = self.tree.open(held)
            if is_adopted and not self.is_dry:
                projects, files = map(sum, zip(*(each.totals() for each in self.tree.inventories), strict=True))
                logger.info(
                    "taken over: %s, whose pages list %s", count_of(projects, "project"), count_of(files, "file")
                )
            self._sweep()
            yield is_rebuilt
            if not self.is_dry:
                self._write_journal()

    def _write_journal(self) -> None:
        """Write what this command has changed into the static journal: last of all, because others go by it at once."""
        journal = ChangeJournal(self.storage, self.tree)
        if self.config.pages.static_journal:
            journal.write(self.tree.last_serial(self.states.reached()), time.time())
        else:
            journal.delete()

    def saved_state(self, *, is_rebuilt: bool) -> SavedState:
        """Return what the last run saved, except the todo list of another bandersnatch.

        With a rebuilt inventory, such a list can't tell what has been removed since; and projects whose pages could not
        be read for it are work that is left.
        """
        saved = self.states.load()
        if not is_rebuilt or saved.serial is None:
            return SavedState(None, None) if is_rebuilt else saved
        todo = TodoList(saved.serial) if saved.todo is None else saved.todo
        for held in unreadable(self.storage, self.inventory.projects()):
            if held.name not in todo:
                todo.add(held.name, TodoEntry(held.display_name, held.serial))
        return replace(saved, todo=todo) if todo else saved

    def _meet(self, foreign: Foreign) -> bool:
        """Treat another program's tree as the command wants; return whether it was taken over."""
        base = self.tree.base
        if foreign is Foreign.READ or not _has_pages_alone(base):
            return False
        from bandersnatch.operations import adoption  # noqa: PLC0415 - few commands find such a tree

        if foreign is Foreign.TAKE_OVER:
            is_adopted = adoption.adopt(base, is_dry_run=self.is_dry)
            if is_adopted and self.is_dry and self.storage is not base:
                adoption.adopt_pages(self.storage)  # what one dry storage keeps to itself, the other does not see
            return is_adopted
        if adoption.is_foreign(base):
            raise NotTakenOverError(base.root)
        return False

    def _sweep(self) -> None:
        """Delete what a dead run left half-written; the inventory knows where to look, and what its workers have left."""
        if not recover_reservations(self.storage, self.inventory):
            leftovers = Leftovers(self.storage, self.inventory)
            leftovers.record_loss()
            leftovers.note_pages()
        noted = {path for _, path in self.inventory.all_unsettled()}
        # Downloads may be resumed, or even be complete; the pages of their projects decide which are still wanted.
        files = {path for path in noted if path.startswith(f"{PACKAGES}/") and not is_metadata(path)}
        if swept := self.storage.sweep_all(self._doubtful(), files):
            logger.info("deleted %s of a run that was killed", count_of(swept, "temporary file"))

    def write_root_index(self, serial: int, gone: Collection[NormalizedName] = (), *, anew: bool = False) -> None:
        """Write the root index of all held projects except those in ``gone``.

        If it is as we left it, only the lines of projects that have changed are rewritten, unless ``anew``.

        Raises:
            InterruptedRunError: the run was asked to stop.
        """
        held = self.tree.project_count()
        hidden = {*gone, *self.tree.quarantined()}
        lines = held - sum(self.tree.get(project) is not None for project in hidden)
        record = None if anew else self.inventory.index_record(max(LITTLE_PATCH, lines // LINES_PER_PATCH))
        # Forgotten first: if we are killed while writing, the next run must not patch a file that it does not know.
        self.inventory.forget_index_record()
        names = {*gone, *(record.changed if record is not None else ())}
        serial = self.tree.serial(serial, has_changed=record is None or bool(names))
        if record is None or not self._patch_root_index(record, serial, names, hidden, lines):
            self.root_index.write(self._indexed(gone), serial)
        self.inventory.save_index_record(self.root_index.stamps(), lines, gone)

    def _patch_root_index(
        self,
        record: IndexRecord,
        serial: int,
        names: Set[NormalizedName],
        hidden: Set[NormalizedName],
        lines: int,
    ) -> bool:
        changes: dict[NormalizedName, IndexedProject | None] = dict.fromkeys(names)
        for name in names - hidden:
            if (held := self.tree.get(name)) is not None:
                changes[name] = IndexedProject(name, held.display_name, held.serial)
        return self.root_index.patch(record, changes, serial, lines)

    def differing_root_pages(self, serial: int) -> Iterator[tuple[StoredPath, bool]]:
        """Yield the paths that ``write_root_index`` would change, and whether each exists.

        Raises:
            InterruptedRunError: the run was asked to stop.
        """
        return self.root_index.differing(self._indexed, self.tree.last_serial(serial), self.stop.is_set)

    def _indexed(self, gone: Collection[NormalizedName] = ()) -> Iterator[IndexedProject]:
        for row in self.tree.names_and_serials():
            if self.stop.is_set():
                raise InterruptedRunError
            if row[0] not in gone:
                yield IndexedProject._make(row)

    def _doubtful(self) -> Iterator[StoredPath]:
        yield from (STATE, TODO, LAST_MODIFIED, LOCAL_JSON, LOCAL_SERIAL, CHANGES_INDEX)
        yield from (page_path(SIMPLE, page) for page in ALL_PAGES)
        for project, path in self.inventory.all_unsettled():
            yield path
            if path.startswith(f"{SIMPLE}/"):
                yield from (page_path(path, page) for page in ALL_PAGES)
                yield from json_paths(project)


def _has_pages_alone(storage: FilesystemStorage) -> bool:
    """Whether there are pages, but nothing else that a command of ours leaves."""
    has_records = any(storage.stat(path) is not None for path in (FINGERPRINT, STATE, INVENTORY))
    return not has_records and next(storage.folders(SIMPLE), None) is not None


def _tree_of(config: Config) -> TreeConfig:
    return config.tree or TreeConfig(config.directory)
