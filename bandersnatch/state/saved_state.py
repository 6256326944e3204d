"""Loads and saves ``state`` and ``todo``, in an order that survives a crash.

``state`` holds the serial that was reached with an empty todo list; ``todo`` the work left up to its target serial. The
data they refer to must be durable before they are saved. Losing ``todo`` loses nothing: the next run starts from
``state``. Without either, the next run checks everything; that is the documented manual resync.
"""

import logging
from collections.abc import Callable
from itertools import islice

from msgspec import Struct

from bandersnatch.changes import Position
from bandersnatch.model import parse_serial
from bandersnatch.state.todo import TodoFormatError, TodoList
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import CHANGELOG, FINGERPRINT, FOLLOWED, LEGACY_STATUS, STATE, TODO

_LINES_AT_A_TIME = 10_000
_MAX_RECORD_BYTES = 64 * 1024
_MAX_TODO_BYTES = 512 * 1024 * 1024
"""PyPI's 736,000 projects take about 30 MB."""
_NO_FINGERPRINT = "none"

logger = logging.getLogger(__name__)


class SavedState(Struct, frozen=True):
    """Where earlier runs got to; None means that a file is missing or unusable."""

    serial: int | None
    todo: TodoList | None
    changelog_serial: int | None = None
    """Up to where the changelog was read, if that is less, because later runs had to do without it."""
    followed: Position | None = None
    """Up to where upstream's static journal was read, if the last run went by it or could have."""


class StateFiles:
    """The files ``state`` and ``todo`` of one mirror."""

    def __init__(self, storage: FilesystemStorage) -> None:
        self._storage = storage

    def load_fingerprints(self) -> tuple[str | None, str | None]:
        """Return the fingerprint with which all pages were written, and the one to which they are being changed."""
        lines = (
            (self._storage.read_record(FINGERPRINT, _MAX_RECORD_BYTES) or b"").decode("utf-8", "replace").splitlines()
        )
        before = lines[0] if lines and lines[0] != _NO_FINGERPRINT else None
        return before, lines[1] if len(lines) > 1 else None

    def renew_fingerprints(self, renewed: Callable[[str], str]) -> None:
        """Rewrite fingerprints of older code in today's form; that alone causes no re-check."""
        data = self._storage.read_record(FINGERPRINT, _MAX_RECORD_BYTES) or b""
        lines = data.decode("utf-8", "replace").splitlines()
        today = [line if line == _NO_FINGERPRINT else renewed(line) for line in lines]
        if today != lines:
            self._storage.save(FINGERPRINT, ["".join(f"{line}\n" for line in today).encode()])

    def begin_change(self, after: str) -> None:
        """Record that pages are being changed to another configuration; the todo list for that must have been saved."""
        before, changing_to = self.load_fingerprints()
        if (changing_to or before) != after:
            self._storage.save(FINGERPRINT, [f"{before or _NO_FINGERPRINT}\n{after}\n".encode()])

    def load_index(self) -> str | None:
        """Return the base URL of the index whose pages we hold, or are changing to; None if there are none."""
        before, changing_to = self.load_fingerprints()
        known = changing_to or before
        return None if known is None else known.split(" ")[0]

    def load(self) -> SavedState:
        """Read both files; an unreadable one is reported and counts as missing, which only means more checks."""
        self._adopt_status()
        serial = self._load_serial()
        position = parse_serial(
            (self._storage.read_record(CHANGELOG, _MAX_RECORD_BYTES) or b"").decode("utf-8", "replace").strip()
        )
        return SavedState(serial, self._load_todo(serial), position, self._load_followed())

    def reached(self) -> int:
        """Return the serial in ``state``; 0 if there is none."""
        data = self._storage.read_record(STATE, _MAX_RECORD_BYTES) or b""
        return parse_serial(data.decode("utf-8", "replace").strip()) or 0

    def forget(self) -> None:
        """Delete both files, so that everything is checked until a run completes."""
        # This order: if we are killed in between, the next run continues from state, and loses nothing.
        for path in (TODO, STATE):
            self._storage.delete(path)

    def save_changelog_serial(self, serial: int | None) -> None:
        """Record up to where the changelog was read; None means as far as the todo list goes."""
        if serial is None:
            self._storage.delete(CHANGELOG)
        else:
            self._storage.save(CHANGELOG, [f"{serial}\n".encode()])

    def save_followed(self, position: Position | None) -> None:
        """Record up to where upstream's static journal was read; the todo list with what it told must have been saved."""
        if position is None:
            self._storage.delete(FOLLOWED)
        elif position != self._load_followed():
            self._storage.save(FOLLOWED, [f"{position.id} {position.number} {position.digest}\n".encode()])

    def save_todo(self, todo: TodoList) -> None:
        """Save the work that is left."""
        lines = todo.to_lines()
        self._storage.save(TODO, iter(lambda: "".join(islice(lines, _LINES_AT_A_TIME)).encode(), b""))

    def finish(self, serial: int, fingerprint: str) -> None:
        """Record that all work up to ``serial`` is done, with the configuration of that fingerprint."""
        # In this order: a run killed in between still has the todo list, and only repeats some work.
        if self.load_fingerprints() != (fingerprint, None):
            self._storage.save(FINGERPRINT, [f"{fingerprint}\n".encode()])
        self._storage.save(STATE, [f"{serial}\n".encode()])
        self._storage.delete(TODO)

    def _load_followed(self) -> Position | None:
        data = self._storage.read_record(FOLLOWED, _MAX_RECORD_BYTES) or b""
        words = data.decode("utf-8", "replace").split()
        number = parse_serial(words[1]) if len(words) == 3 else None
        return Position(words[0], number, words[2]) if number is not None else None

    def _load_serial(self) -> int | None:
        data = self._storage.read_record(STATE, _MAX_RECORD_BYTES)
        if data is None:
            return None
        text = data.decode("utf-8", "replace").strip()
        serial = parse_serial(text)
        if serial is None:
            logger.warning(
                "the file state holds no serial but %r: everything will be checked against upstream", text[:80]
            )
        return serial

    def _load_todo(self, serial: int | None) -> TodoList | None:
        data = self._storage.read_record(TODO, _MAX_TODO_BYTES)
        if data is None:
            return None
        begin = "everything will be checked" if serial is None else f"continuing from serial {serial} instead"
        try:
            todo = TodoList.from_text(data.decode("utf-8"))
        except (TodoFormatError, UnicodeDecodeError) as error:
            logger.warning("%s; %s", error, begin)
            self._storage.delete(TODO)
            return None
        if serial is not None and todo.target_serial < serial:
            logger.warning("the todo list is older than the state; %s", begin)
            self._storage.delete(TODO)
            return None
        return todo

    def _adopt_status(self) -> None:
        """Take over the state file of another bandersnatch, once; its todo list can't be used, as it does not record
        removals.

        If there is a ``state``, a 0 was written by an operator who wants everything checked, as guides for other
        versions advise.
        """
        data = self._storage.read_record(LEGACY_STATUS, _MAX_RECORD_BYTES)
        if data is None:
            return
        text = data.decode("utf-8", "replace").strip()
        serial, held = parse_serial(text), self._storage.read_record(STATE, _MAX_RECORD_BYTES)
        if held is None and serial:
            logger.info("continuing from serial %d of the file status, which another bandersnatch left", serial)
            self._storage.save(STATE, [f"{serial}\n".encode()])
            self._storage.delete(TODO)
        elif serial == 0 and held is not None:
            logger.warning("the file status holds 0: everything will be checked, as after rm state todo")
            self.forget()
        elif serial is None:
            effect = "everything will be checked" if held is None else "the file state counts, and status is deleted"
            logger.warning("the file status holds no serial but %r: %s", text[:80], effect)
        elif held is not None and held.strip() != str(serial).encode():
            logger.warning(
                "the file status, which another bandersnatch writes, holds serial %d: it is deleted, and state counts",
                serial,
            )
        self._storage.delete(LEGACY_STATUS)
