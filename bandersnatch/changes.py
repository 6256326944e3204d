"""The static journal of a mirror, as values: what its index and its files say (docs/decisions/0008-static-journal.md).

``pages/change_journal.py`` writes them, and ``upstream/static_journal.py`` reads those of another mirror. What is read may
have been written by anyone: it is believed as a whole or not at all.
"""

import enum
import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from bandersnatch.errors import MalformedResponseError
from bandersnatch.model import MAX_SERIAL
from bandersnatch.names import parse_project_name

VERSION = 1
MOST_FILE_BYTES = 1_000_000
MOST_FILES = 48
MOST_INDEX_BYTES = 64 * 1024

_Number = Annotated[int, Meta(ge=0, le=MAX_SERIAL)]
_Serial = Annotated[int, Meta(ge=0, le=MAX_SERIAL)]
_Hex = Annotated[str, Meta(pattern=r"^[0-9a-f]{8,64}$")]


class Kind(enum.Enum):
    """How a project is after a change."""

    PAGE = "page"
    """It has a page, which is new or differs from before."""
    QUARANTINED = "quarantined"
    """It has a page, which says so, and is not in the root index."""
    REMOVED = "removed"
    """It is not here any more."""


class Change(Struct, frozen=True):
    """One line: how a project is since then. ``serial`` is that of its page, or 0 if it is unknown or gone."""

    number: _Number
    time: Annotated[int, Meta(ge=0)]
    """In seconds since 1970."""
    name: Annotated[str, Meta(min_length=1, max_length=300)]
    """As upstream spells it."""
    change: Kind
    serial: _Serial = 0


class Position(Struct, frozen=True):
    """Up to where a journal was read, or written: all changes up to ``number``, with the digest of all of them."""

    id: str
    number: int
    digest: str


class ChangesFile(Struct, frozen=True):
    """A file of the journal, which never changes: the changes ``first`` to ``last``, a line each."""

    first: _Number
    last: _Number
    size: Annotated[int, Meta(ge=1, le=MOST_FILE_BYTES)]
    digest: _Hex
    """That of all lines up to its last one; see ``digest_after``."""

    @property
    def filename(self) -> str:
        """Its name in the folder ``changes``."""
        return f"{self.first}-{self.last}.jsonl"


class ChangesIndex(Struct, frozen=True):
    """The index of the journal: ``files`` have the changes after ``begin`` up to ``end``, without a gap."""

    version: int
    id: _Hex
    """Another one means another journal: nothing tells what has changed between the two."""
    serial: _Serial
    """The serial that the mirror has reached, as in its root index."""
    newest: _Serial
    """No line has a newer serial than that."""
    begin: _Number
    digest: _Hex
    """That of all lines up to ``begin``."""
    end: _Number
    files: tuple[ChangesFile, ...] = ()

    @property
    def position(self) -> Position:
        """The end of the journal."""
        return Position(self.id, self.end, self.files[-1].digest if self.files else self.digest)

    def before(self, file: ChangesFile) -> str:
        """Return the digest of all lines before a file."""
        at = self.files.index(file)
        return self.files[at - 1].digest if at else self.digest


_index_decoder = msgspec.json.Decoder(ChangesIndex)
_change_decoder = msgspec.json.Decoder(Change)
_encoder = msgspec.json.Encoder()


def render_index(index: ChangesIndex) -> bytes:
    """Return the index as a document."""
    return _encoder.encode(index) + b"\n"


def render_change(change: Change) -> bytes:
    """Return a change as a line."""
    return _encoder.encode(change) + b"\n"


def digest_after(digest: str, line: bytes) -> str:
    """Return the digest of all lines up to this one, given that of the lines before it.

    So two journals that begin alike, such as that of a mirror and of its copy, are told apart where they differ.
    """
    return hashlib.sha256(digest.encode() + line).hexdigest()


def parse_index(body: bytes, url: str) -> ChangesIndex:
    """Parse the index of a journal.

    Raises:
        MalformedResponseError: it is none, or of another version, or has gaps.
    """
    try:
        index = _index_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedResponseError(url, f"no index of changes: {error}") from error
    if index.version != VERSION:
        raise MalformedResponseError(url, f"the index of changes has version {index.version}, and not {VERSION}")
    end = index.begin
    for file in index.files:
        if file.first != end + 1 or file.last < file.first:
            raise MalformedResponseError(url, f"the changes {file.filename} do not follow on {end}")
        end = file.last
    if end != index.end:
        raise MalformedResponseError(url, f"the changes end at {end}, and not at {index.end}")
    return index


def parse_changes(body: bytes, file: ChangesFile, index: ChangesIndex, url: str) -> list[tuple[Change, str]]:
    """Parse a file of a journal; return each change with the digest of all lines up to it.

    Raises:
        MalformedResponseError: it is not the one that the index means.
    """
    told: list[tuple[Change, str]] = []
    digest = index.before(file)
    try:
        for line in body.splitlines(keepends=True):
            digest = digest_after(digest, line)
            told.append((_change_decoder.decode(line), digest))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedResponseError(url, f"no changes: {error}") from error
    if len(body) != file.size:
        raise MalformedResponseError(url, f"it has {len(body)} bytes; the index of changes says {file.size}")
    if digest != file.digest:
        raise MalformedResponseError(url, f"it has the digest {digest}; the index of changes says {file.digest}")
    # The index may claim any number of changes, so no list is made of them.
    numbers = [change.number for change, _ in told]
    if len(told) != file.last - file.first + 1 or numbers != [*range(file.first, file.last + 1)]:
        raise MalformedResponseError(url, f"its changes are not {file.first} to {file.last}")
    for change, _ in told:
        if parse_project_name(change.name) is None:
            raise MalformedResponseError(url, f"{change.name!r:.80} is not a project's name")
        if change.serial > index.newest:
            raise MalformedResponseError(
                url, f"serial {change.serial} of {change.name} is beyond the newest, {index.newest}"
            )
    return told
