"""Writes the static journal: what has changed here, line by line, so that a follower need not read the root index.

It is written last, when everything that it tells is durable. The inventory knows what is not in it yet, and up to where it
goes. So a run that is killed between writing and recording leaves an index that goes further than the inventory knows;
the next command finds that before it changes anything, and no change is written twice or lost.
"""

import logging
import os
import re
from collections.abc import Collection
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.changes import (
    MOST_FILE_BYTES,
    MOST_FILES,
    MOST_INDEX_BYTES,
    VERSION,
    Change,
    ChangesFile,
    ChangesIndex,
    Kind,
    Position,
    digest_after,
    parse_changes,
    parse_index,
    render_change,
    render_index,
)
from bandersnatch.errors import MalformedResponseError
from bandersnatch.logs import warn_once
from bandersnatch.state.change_record import ChangedProject
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import CHANGES, CHANGES_INDEX, changes_path

logger = logging.getLogger(__name__)

MOST_CHANGES = 50_000
"""In one command; the root index, as large as this many lines, is the better source then."""
_BEGINNING = b'{"version":'
"""So the index begins that ``render_index`` makes, in this version and in any other."""
_FILENAME = re.compile(r"\d+-\d+\.jsonl", re.ASCII)


class _Piece(Struct, frozen=True):
    """Lines that become a file."""

    first: int
    last: int
    body: bytes
    digest: str


class _BrokenError(Exception):
    """A file of the journal is not as we left it."""


class JournalRecords(Protocol):
    """What inventories know of the journal."""

    def journal_position(self) -> Position | None:
        """Return up to where the journal was written; None if there is none, or it can't be continued."""

    def unjournaled(self, most: int) -> list[ChangedProject] | None:
        """Return what has changed since the journal was written; None if that is more than ``most``, or unknown."""

    def record_journal(self, written: Position | None) -> None:
        """Record that the journal has everything up to now; with None, that it can't be continued."""

    def end_journal(self) -> None:
        """Record no changes for a journal any more."""


class ChangeJournal(Struct, frozen=True):
    """The static journal of one mirror."""

    storage: FilesystemStorage
    inventory: JournalRecords
    most_changes: int = MOST_CHANGES
    most_files: int = MOST_FILES

    def reconcile(self) -> None:
        """Bring the inventory's record of the journal in line with its files; called before anything changes."""
        known = self.inventory.journal_position()
        if known is None:
            return
        index = self._index()
        if index is None and self._is_foreign():
            self.storage.delete(CHANGES_INDEX)  # ours was there, and what is there now is what is left of it
        if index is None or index.id != known.id or index.end < known.number or not self._is_whole(index):
            self.inventory.record_journal(None)
        elif index.end > known.number:  # its writer was killed before it could record that
            self.inventory.record_journal(index.position)

    def write(self, serial: int, now: float) -> None:
        """Add what has changed; ``serial`` is the one that the mirror has reached.

        A new journal begins where that is not possible: without one that we know, if it is damaged, after too many
        changes, and if the mirror has gone back to an older serial. An operator's own file in place of the index stays;
        then there is no journal.

        Raises:
            StorageError: the disk refused.
        """
        if self._is_foreign():
            words = "%s is not ours: it is left as it is, and there is no static journal until it is moved"
            warn_once(logger, f"foreign {CHANGES_INDEX}", words, CHANGES_INDEX)
            return
        index, changed = self._index(), self.inventory.unjournaled(self.most_changes)
        known = self.inventory.journal_position()
        if index is None or changed is None or index.position != known or serial < index.serial:
            self._begin(index, serial)
        elif changed or serial > index.serial:
            try:
                self._append(index, serial, _changes(changed, index.end, int(now)))
            except _BrokenError:
                self._begin(index, serial)

    def delete(self) -> None:
        """Delete it: the operator wants none, and one that does not go on would tell followers that nothing changes."""
        if self._is_foreign():
            return
        if self.inventory.journal_position() is not None or self.storage.stat(CHANGES_INDEX) is not None:
            self.storage.delete(CHANGES_INDEX)
            self._delete_files(())
            self.inventory.end_journal()

    def _is_foreign(self) -> bool:
        """Whether there is something in place of the index that no bandersnatch wrote; of a torn one the beginning, or
        nothing, is there.
        """
        if self.storage.stat(CHANGES_INDEX) is None:
            return self.storage.is_folder(CHANGES_INDEX)
        body = self.storage.read_record(CHANGES_INDEX, MOST_INDEX_BYTES)
        return body is None or not (body.startswith(_BEGINNING) or _BEGINNING.startswith(body.rstrip(b"\0")))

    def _is_whole(self, index: ChangesIndex) -> bool:
        """Whether each file of the journal has its size; a power cut, or somebody else, may have torn one."""
        found = (self.storage.stat(changes_path(file.filename)) for file in index.files)
        return all(each is not None and each.size == file.size for each, file in zip(found, index.files, strict=True))

    def _index(self) -> ChangesIndex | None:
        body = self.storage.read_record(CHANGES_INDEX, MOST_INDEX_BYTES)
        try:
            return parse_index(body, CHANGES_INDEX) if body is not None else None
        except MalformedResponseError:
            return None

    def _begin(self, old: ChangesIndex | None, serial: int) -> None:
        """Begin a journal of another id, whose numbers do not overlap with those that anyone may have read."""
        self.storage.flush()
        end, identity = max(old.end if old is not None else 0, serial), os.urandom(8).hex()
        index = ChangesIndex(VERSION, identity, serial, serial, end, identity, end)
        # Recorded last: if we are killed in between, the next command begins another one.
        self.storage.save(CHANGES_INDEX, [render_index(index)])
        self.inventory.record_journal(index.position)
        self._delete_files(())

    def _append(self, index: ChangesIndex, serial: int, changes: list[Change]) -> None:
        if changes:
            self.storage.flush()
        pieces, files = _pieces(changes, index.position.digest), list(index.files)
        while pieces and files and _is_joined(files[-1], pieces[0]):
            pieces[0] = self._joined(index, files.pop(), pieces[0])
        for piece in pieces:
            file = ChangesFile(piece.first, piece.last, len(piece.body), piece.digest)
            self.storage.save(changes_path(file.filename), [piece.body])
            files.append(file)
        dropped, files = files[: -self.most_files], files[-self.most_files :]
        after = replace(
            index,
            serial=serial,
            newest=max(index.newest, serial, *(change.serial for change in changes)),
            begin=dropped[-1].last if dropped else index.begin,
            digest=dropped[-1].digest if dropped else index.digest,
            end=index.end + len(changes),
            files=tuple(files),
        )
        self.storage.save(CHANGES_INDEX, [render_index(after)])
        self.inventory.record_journal(after.position)
        # Whoever has just read the index before this one still finds its files.
        self._delete_files({file.filename for file in (*index.files, *files)})

    def _joined(self, index: ChangesIndex, before: ChangesFile, piece: _Piece) -> _Piece:
        path = changes_path(before.filename)
        body = self.storage.read_record(path, MOST_FILE_BYTES) or b""
        try:
            parse_changes(body, before, index, path)
        except MalformedResponseError as error:
            raise _BrokenError from error
        return _Piece(before.first, piece.last, body + piece.body, piece.digest)

    def _delete_files(self, kept: Collection[str]) -> None:
        for name in [name for name in self.storage.files(CHANGES) if _FILENAME.fullmatch(name) and name not in kept]:
            self.storage.delete(changes_path(name))


def _changes(changed: list[ChangedProject], number: int, now: int) -> list[Change]:
    return [
        Change(at, max(now, 0), project.display_name, _kind(project), project.serial or 0)
        for at, project in enumerate(changed, number + 1)
    ]


def _kind(project: ChangedProject) -> Kind:
    if project.serial is None:
        return Kind.REMOVED
    return Kind.QUARANTINED if project.is_quarantined else Kind.PAGE


def _pieces(changes: list[Change], digest: str) -> list[_Piece]:
    """Return the lines in as few pieces as the size of a file allows; ``digest`` is that of the lines before them."""
    pieces: list[_Piece] = []
    lines: list[bytes] = []
    size = 0
    for change in changes:
        line = render_change(change)
        if size + len(line) > MOST_FILE_BYTES:
            pieces.append(_Piece(change.number - len(lines), change.number - 1, b"".join(lines), digest))
            lines, size = [], 0
        lines.append(line)
        size += len(line)
        digest = digest_after(digest, line)
    if lines:
        pieces.append(_Piece(changes[-1].number - len(lines) + 1, changes[-1].number, b"".join(lines), digest))
    return pieces


def _is_joined(before: ChangesFile, piece: _Piece) -> bool:
    """Whether a file becomes a part of the one after it: so the sizes of small files at least halve from one to the next.

    A follower reads little more than what is new to it, and the index stays short.
    """
    return before.size <= 2 * len(piece.body) and before.size + len(piece.body) <= MOST_FILE_BYTES
