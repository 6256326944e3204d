"""``SharedTree``: the inventories of all indexes whose projects are in one tree; a mirror of one index is the case of one.

Each project is in the inventory of its owner. So a run sees the projects of its own index alone, and what is about the tree
as a whole is put together here: the lines of the root index, its serial, and the records of the static journal.
"""

import heapq
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from operator import itemgetter
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.amounts import count_of
from bandersnatch.changes import Position
from bandersnatch.config.config import UPSTREAMS
from bandersnatch.config.config import SharedTree as TreeConfig
from bandersnatch.errors import RefusedPlaceError, StorageError
from bandersnatch.names import NormalizedName
from bandersnatch.operations.inventory_opening import Opening
from bandersnatch.pages.change_journal import ChangeJournal
from bandersnatch.pages.stored_page import read_held_page
from bandersnatch.state.change_record import ChangedProject
from bandersnatch.state.inventory import HeldProject, Inventory
from bandersnatch.state.saved_state import StateFiles
from bandersnatch.state.strangers import strangers_of
from bandersnatch.state.tree_record import TreeRecord, load_tree, save_tree
from bandersnatch.state.upstream_record import has_own_serials
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import FINGERPRINT, INVENTORY, WEB, Layout, StoredPath
from bandersnatch.storage.upstream_folder import prepare_upstream_folder, taken_out

logger = logging.getLogger(__name__)

MOST_NAMED = 10


class Member(Struct, frozen=True):
    """One index in the tree; ``name`` is that of its section, None for ``[mirror]``."""

    name: str | None
    storage: FilesystemStorage
    inventory: Inventory

    @property
    def section(self) -> str:
        """The section of the configuration file."""
        return "[mirror]" if self.name is None else f"[upstream {self.name}]"


class SharedTree(Struct, frozen=True):
    """All indexes of one tree; the first of the ``members`` is the one that the command is about."""

    config: TreeConfig
    members: tuple[Member, ...]
    is_dry: bool = False

    @classmethod
    def of(
        cls, config: TreeConfig, me: Member, open_other: Callable[[str | None], Member], *, is_dry: bool
    ) -> "SharedTree":
        """Return the tree of one member; ``open_other`` makes the others, of which a dry run takes those that are there."""
        names = [name for name in (None, *config.names) if name != config.name]
        others = [open_other(name) for name in names if not is_dry or config.folder(name).is_dir()]
        return cls(config, (me, *others), is_dry)

    @property
    def base(self) -> FilesystemStorage:
        """The mirror's directory."""
        return next((each.storage for each in self.members if each.name is None), self.members[0].storage)

    @property
    def inventories(self) -> list[Inventory]:
        """The inventories of all members."""
        return [each.inventory for each in self.members]

    def make_folders(self) -> None:
        """Make the folders of those that have had no run yet."""
        for name in self.config.names:
            prepare_upstream_folder(self.config.directory, self.config.folder(name), "")

    def open(self, held: ExitStack) -> bool:
        """Open all inventories, and divide the projects; return whether that of the first member had to be rebuilt."""
        for each in self.inventories:
            held.enter_context(closing(each))
        were_there = [each.open() for each in self.inventories]
        if all(were_there) and not self.is_dry:  # before anything changes
            ChangeJournal(self.base, self).reconcile()
        rebuilt = [
            Opening(each.storage, each.inventory, self._owned_by(each.name)).complete(was_there=was_there)
            for each, was_there in zip(self.members, were_there, strict=True)
        ]
        if not self.is_dry:
            self._join_journal(were_there)
        self._divide()
        return rebuilt[0]

    def _join_journal(self, were_there: Sequence[bool]) -> None:
        """Let an index that is new here go on with the static journal of the others.

        It has changed nothing yet. A new journal would send followers to the root index, where a project that another
        index gave up may have the serial of before, and then nothing there tells that its page is another one.
        """
        new = [
            each.inventory
            for each, was_there in zip(self.members, were_there, strict=True)
            if not was_there and each.storage.stat(FINGERPRINT) is None
        ]
        position = _common_position(inventory for inventory in self.inventories if inventory not in new)
        if position is not None:
            for inventory in new:
                inventory.record_journal(position)

    def _owned_by(self, name: str | None) -> Callable[[NormalizedName], bool]:
        return lambda project: self.config.owners.owner_of(project) == name

    # Whose each project is

    def _divide(self) -> None:
        """Move the records of projects that another configuration gave to another index; their pages stay as they are."""
        out = taken_out(self.config.directory / UPSTREAMS, self.config.names)
        record = load_tree(self.base)
        claims = tuple((claim.upstream, claim.pattern) for claim in self.config.owners.claims)
        before = record or TreeRecord()
        if not out and before.is_divided and claims == before.claims:
            return
        if record is None:
            before = TreeRecord(StateFiles(self.base).reached())
        if not self.is_dry:
            save_tree(self.base, replace(before, is_divided=False))
        moved: list[tuple[NormalizedName, Member, str]] = []
        for member in self.members:
            self._move_from(member, moved)
        for folder in out:
            self._move_all(folder, moved)
        if moved:
            told = ", ".join(f"{project} (from {old.section} to {new})" for project, old, new in moved[:MOST_NAMED])
            more = f", and {len(moved) - MOST_NAMED} more" if len(moved) > MOST_NAMED else ""
            words = "%s of another index now, as the configuration says, and checked with it: %s%s"
            logger.warning(words, count_of(len(moved), "project"), told, more)
        if not self.is_dry:
            save_tree(self.base, replace(before, claims=claims, is_divided=True))
            for folder in out:
                _delete_records(folder)

    def _move_all(self, folder: Path, moved: list[tuple[NormalizedName, Member, str]]) -> None:
        """Move what an index had whose section is gone."""
        if not (folder / INVENTORY).is_file():
            self.record_journal(None)
            return
        kind = type(self.members[0].inventory)
        with closing(kind(folder / INVENTORY)) as inventory:
            inventory.open()
            if inventory.journal_position() != self.journal_position() or inventory.unjournaled(1) != []:
                self.record_journal(None)  # a run that was killed has not told all, and nobody will remember it
            self._move_from(Member(folder.name, FilesystemStorage(folder), inventory), moved)

    def _move_from(self, source: Member, moved: list[tuple[NormalizedName, Member, str]]) -> None:
        """Move what is not this index's: into the new inventory first, so that a kill loses nothing."""
        is_gone = source not in self.members
        owner_of = self.config.owners.owner_of
        quarantined = source.inventory.quarantined()
        for held in source.inventory.projects():
            if is_gone or owner_of(held.name) != source.name:
                self._take(replace(held, is_quarantined=held.name in quarantined), source)
                owner = owner_of(held.name)
                moved.append((held.name, source, "[mirror]" if owner is None else f"[upstream {owner}]"))
        for project in {project for project, _ in source.inventory.all_unsettled()}:
            if is_gone or owner_of(project) != source.name:
                self._take_unsettled(project, source)

    def _take(self, held: HeldProject, source: Member) -> None:
        target = self._owner(held.name)
        if target is not None and target.inventory.get(held.name) is None:
            # An index with serials of its own says what is newest; where we count, the next number is a higher one.
            counts = has_own_serials(target.storage) or target.storage.stat(FINGERPRINT) is None
            noted = target.inventory.unsettled(held.name)
            serial = held.serial if counts else 0
            target.inventory.put(replace(held, etag=None, serial=serial, strangers=self._strangers(held.name)))
            target.inventory.note_unsettled((held.name, path) for path in noted)
        self._take_unsettled(held.name, source)

    def _strangers(self, project: NormalizedName) -> tuple[StoredPath, ...]:
        """Return the files of a project whose names begin with another one's; none if we may not read its pages."""
        folders = (Layout(hashed).page_folder(project) for hashed in (False, True))
        try:
            pages = [read_held_page(self.base, folder) for folder in folders]
        except RefusedPlaceError:
            return ()  # this project fails in the run
        return strangers_of(project, (file.path for page in pages if page is not None for file in page.files))

    def _take_unsettled(self, project: NormalizedName, source: Member) -> None:
        if (target := self._owner(project)) is not None:
            target.inventory.note_unsettled((project, path) for path in source.inventory.unsettled(project))
        source.inventory.remove(project)

    def _owner(self, project: NormalizedName) -> Member | None:
        owner = self.config.owners.owner_of(project)
        return next((each for each in self.members if each.name == owner), None)

    # The root index

    def serial(self, own: int, *, has_changed: bool) -> int:
        """Return the serial of the root index that is about to be written; ``own`` is that of the first member."""
        record = load_tree(self.base)
        if record is None and not self.config.names:
            return own
        record = record or TreeRecord()
        total = own + sum(StateFiles(each.storage).reached() for each in self.members[1:])
        after = replace(record, serial=record.next_serial(total, has_changed=has_changed))
        save_tree(self.base, after)  # before anybody sees it, so that it is not given out twice
        return after.serial

    def last_serial(self, own: int) -> int:
        """Return the serial of the root index as it is."""
        record = load_tree(self.base)
        return own if record is None else record.serial

    def project_count(self) -> int:
        """Return how many projects are held."""
        return sum(each.project_count() for each in self.inventories)

    def get(self, project: NormalizedName) -> HeldProject | None:
        """Return what is held of a project."""
        return next((found for each in self.inventories if (found := each.get(project)) is not None), None)

    def quarantined(self) -> set[NormalizedName]:
        """Return the held projects that their index has quarantined."""
        return {project for each in self.inventories for project in each.quarantined()}

    def names_and_serials(self) -> Iterator[tuple[NormalizedName, str, int]]:
        """Yield name, display name and serial of all held projects by name, without the quarantined ones."""
        return heapq.merge(*(each.names_and_serials() for each in self.inventories), key=itemgetter(0))

    # The records of the static journal, which ChangeJournal reads and writes

    def journal_position(self) -> Position | None:
        """Return up to where the journal was written, as far as all know; None if it can't be continued."""
        return _common_position(self.inventories)

    def unjournaled(self, most: int) -> list[ChangedProject] | None:
        """Return what has changed since the journal was written; None if that is more than ``most``, or unknown."""
        found: dict[NormalizedName, ChangedProject] = {}
        for each in self.inventories:
            changed = each.unjournaled(most)
            if changed is None:
                return None
            # Gone from one inventory and in another, a project has moved.
            found |= {new.name: new for new in changed if new.serial is not None or new.name not in found}
        held = (self._as_held(changed) for changed in found.values())
        in_order = sorted(held, key=lambda changed: (changed.serial or 0, changed.name))
        return in_order if len(in_order) <= most else None

    def _as_held(self, changed: ChangedProject) -> ChangedProject:
        held = self.get(changed.name) if changed.serial is None and len(self.members) > 1 else None
        if held is None:
            return changed
        return ChangedProject(held.name, held.display_name, held.serial, held.name in self.quarantined())

    def record_journal(self, written: Position | None) -> None:
        """Record that the journal has everything up to now; with None, that it can't be continued."""
        for each in self.inventories:
            each.record_journal(written)

    def end_journal(self) -> None:
        """Record no changes for a journal any more."""
        for each in self.inventories:
            each.end_journal()


def _common_position(inventories: Iterable[Inventory]) -> Position | None:
    known = [each.journal_position() for each in inventories]
    positions = [each for each in known if each is not None]
    if not positions or len(positions) < len(known) or len({each.id for each in positions}) > 1:
        return None
    return min(positions, key=lambda position: position.number)


def _delete_records(folder: Path) -> None:
    """Delete the records of an index that is gone, the link that tells that they are ours last."""
    try:
        for path in folder.iterdir():
            if path.name != WEB:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        (folder / WEB).unlink()
        folder.rmdir()
    except OSError as error:
        raise StorageError(str(folder), "delete", error) from error
