"""``Leftovers``: finds what a run left unfinished after the inventory, which had recorded that, was lost.

The record ``leftovers`` marks this state. While it exists, every run checks the digests of the files of its projects,
instead of only their sizes, and the run that finishes the todo list searches for files that no page lists.
"""

import logging
import re
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from bandersnatch.amounts import count_of
from bandersnatch.errors import InterruptedRunError, UnreadablePageError
from bandersnatch.names import NormalizedName
from bandersnatch.plan.removals import RemovalPolicy
from bandersnatch.state.inventory import Inventory
from bandersnatch.state.todo import TodoFormatError, TodoList
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import FINGERPRINT, LEFTOVERS, TODO, UNLISTED, Layout, StoredPath

if TYPE_CHECKING:
    from bandersnatch.operations.unlisted import UnlistedFiles

logger = logging.getLogger(__name__)

SEARCH_SECONDS = 600.0
"""The longest search of one run; the next one continues. A mirror of all of PyPI has 14 million folders."""

_UPSTREAMS = re.compile(r"web/packages/[0-9a-f]{2}(/[0-9a-f]{2}(/[0-9a-f]{60}(/[^/]+)?)?)?")
"""Paths of files, and of the folders above them, that only an index gives; anything else may be the operator's."""


class Leftovers:
    """Finds what was recorded in an inventory that is lost."""

    def __init__(self, storage: FilesystemStorage, inventory: Inventory) -> None:
        self._storage, self._inventory = storage, inventory

    def are_possible(self) -> bool:
        """Whether a run may have left something that nothing records any more."""
        return self._storage.stat(LEFTOVERS) is not None

    def record_loss(self) -> None:
        """Record that the inventory's records are lost, if there were any; called before the new inventory is valid.

        Without a todo list all work was done, and a list without a fingerprint belongs to another program.
        """
        if self._storage.stat(TODO) is None or self._storage.stat(FINGERPRINT) is None:
            return
        self._storage.delete(UNLISTED)  # the killed run may have written where an older search has been
        self._storage.save(LEFTOVERS, [b"the inventory was lost while there was a todo list\n"])

    def note_pages(self) -> None:
        """Record the pages of all projects on the todo list as unsettled, in place of the records that are lost."""
        notes: list[tuple[NormalizedName, StoredPath]] = []
        with suppress(TodoFormatError, UnicodeDecodeError):  # a run reports it
            todo = TodoList.from_text((self._storage.read(TODO) or b"").decode())
            folders = ((name, Layout(hashed).page_folder(name)) for name in todo for hashed in (False, True))
            notes.extend((name, folder) for name, folder in folders if self._storage.is_folder(folder))
        self._inventory.note_unsettled(notes)

    def delete(self, policy: RemovalPolicy, is_stopped: Callable[[], bool], seconds: float = SEARCH_SECONDS) -> None:
        """Search for upstream's files that no page lists, and for empty folders, and delete them; the todo list is
        empty.

        Raises:
            InterruptedRunError: the run was asked to stop. The next one continues.
            StorageError: the disk refused.
        """
        from bandersnatch.operations.unlisted import UnlistedFiles  # noqa: PLC0415 - after such a loss alone

        logger.info("the inventory was lost while a run was unfinished: looking for files that no page lists")
        deadline = time.monotonic() + seconds
        kept_at = self._storage.root / UNLISTED
        with closing(UnlistedFiles(self._storage, self._inventory, kept_at, tell_empty=self._delete_empty)) as found:
            try:
                found.find(lambda: is_stopped() or time.monotonic() > deadline)
            except UnreadablePageError as error:
                logger.warning(
                    "files that an unfinished run has left are not looked for (%s): verify --delete does it, when all"
                    " pages can be read",
                    error,
                )
            except InterruptedRunError:
                if is_stopped():
                    raise
                logger.info("the next run continues the search")
                return
            else:
                self._delete_found(found, policy)
            found.forget()
        self._storage.delete(LEFTOVERS)

    def _delete_found(self, found: "UnlistedFiles", policy: RemovalPolicy) -> None:
        number, last = 0, ""
        for path in filter(_UPSTREAMS.fullmatch, found.paths()):
            if path != f"{last}.metadata":  # core metadata counts with its file
                number, last = number + 1, path
        # Counted before the first deletion: the limit is about all of them together.
        too_much = policy.unlisted_excess(number, self._inventory.totals()[1])
        if too_much is not None:
            logger.warning("%s, are more than max-removals allows: verify --delete tells which", too_much)
            return
        for path in filter(_UPSTREAMS.fullmatch, found.paths()):
            self._storage.delete(path)
        if number:
            logger.info("deleted %s that an unfinished run had left, and no page lists", count_of(number, "file"))

    def _delete_empty(self, folder: StoredPath) -> None:
        if _UPSTREAMS.fullmatch(folder):
            self._storage.delete(StoredPath(f"{folder}/-"))  # no such file: this deletes the empty folders above it
