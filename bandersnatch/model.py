"""Frozen values: changelog entry, project page, distribution file; what all above the border works with.

They are made from untrusted bytes by ``json_documents.py`` and ``checked_page.py``, which check every field.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from msgspec import Struct

from bandersnatch import wire
from bandersnatch.names import NormalizedName

QUARANTINED = "quarantined"
MAX_SERIAL = 2**31 - 1
"""The largest integer in XML-RPC, and in the PostgreSQL column of PyPI's journal; PyPI was at 40 million in 2026."""
MAX_SERIAL_DIGITS = 20
_KNOWN_TIMES = 1024
"""A file's time is parsed when its page is read, and again when the file is written, soon after that."""


class ChangelogEntry(Struct, frozen=True):
    """One row of upstream's journal, as ``changelog_since_serial`` returns it."""

    project: NormalizedName
    display_name: str
    action: str
    serial: int


class ListedProject(Struct, frozen=True):
    """A project in upstream's list of all projects; ``serial`` may lag behind the changelog."""

    display_name: str
    serial: int


class Checksum(Struct, frozen=True):
    """What the content of a file is checked against: a digest in hex, and its algorithm."""

    algorithm: str
    digest: str

    @property
    def is_weak(self) -> bool:
        """Whether somebody could make another file with the same digest."""
        return self.algorithm in wire.WEAK_ALGORITHMS

    @property
    def algorithm_name(self) -> str:
        """The name of the algorithm in messages, such as SHA-256."""
        return self.algorithm.upper().replace("SHA", "SHA-")


class DistributionFile(Struct, frozen=True):
    """One sdist or wheel, as its project's page describes it (PEP 691 and 700).

    ``size`` is in bytes, or None if upstream does not give it; ``yanked`` is False, True, or the reason;
    ``core_metadata_sha256`` is None if there is no ``.metadata`` file; ``upload_time`` is upstream's text, unchanged.
    ``hashes`` are what upstream tells. Where they have no SHA-256, ``own_sha256`` is that of the file which is here, once
    there is one that was checked: from then on it counts as if upstream had told it. ``has_unhashed_metadata``: upstream
    tells that there is core metadata, and not its digest; then ``core_metadata_sha256`` is that of what the wheel has.
    """

    filename: str
    url: str
    hashes: Mapping[str, str]
    size: int | None
    requires_python: str | None
    upload_time: str | None
    yanked: bool | str
    core_metadata_sha256: str | None
    provenance: str | None
    own_sha256: str | None = None
    has_unhashed_metadata: bool = False

    @property
    def sha256(self) -> str | None:
        """The SHA-256, or None where it is not known yet."""
        return self.hashes.get("sha256", self.own_sha256)

    @property
    def checksum(self) -> Checksum | None:
        """What a download is checked against: the SHA-256, else the strongest digest that upstream tells, or nothing."""
        if (sha256 := self.sha256) is not None:
            return Checksum("sha256", sha256)
        return self.told_checksum

    @property
    def told_checksum(self) -> Checksum | None:
        """The digest that upstream tells: SHA-256, or else the strongest."""
        return strongest(self.hashes)

    @property
    def mtime(self) -> float | None:
        """The upload time in seconds since 1970, or None if upstream does not give it."""
        return None if self.upload_time is None else parse_time(self.upload_time)


class ProjectPage(Struct, frozen=True):
    """A project's page: PEP 691 with the additions of PEP 700, 708, 740 and 792.

    ``left_out`` names the files that upstream lists with an unusable name or link. ``tracks`` and
    ``alternate_locations`` are absolute URLs of the same project's pages at other indexes, in upstream's order; empty if
    upstream tells none.
    """

    name: NormalizedName
    serial: int | None
    status: str
    status_reason: str | None
    versions: tuple[str, ...]
    files: tuple[DistributionFile, ...]
    left_out: tuple[str, ...] = ()
    tracks: tuple[str, ...] = ()
    alternate_locations: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The names of all files."""
        return frozenset(file.filename for file in self.files)

    @property
    def is_quarantined(self) -> bool:
        """Whether upstream has withdrawn all files, for example as malware."""
        return self.status == QUARANTINED


class StoredFile(Struct, frozen=True):
    """A file's size in bytes and its modification time in seconds since 1970, from the filesystem."""

    size: int
    mtime: float


def strongest(hashes: Mapping[str, str]) -> Checksum | None:
    """Return the SHA-256 among digests by algorithm, or else the strongest of those that are known here."""
    algorithm = next((name for name in ("sha256", *wire.DIGEST_CHARACTERS) if name in hashes), None)
    return Checksum(algorithm, hashes[algorithm]) if algorithm is not None else None


def parse_serial(value: float | str | None) -> int | None:
    """Return a serial, or None if it is not valid; bandersnatch up to 8.0 writes it as a string, PyPI as a number."""
    value = wire.whole_number(value)
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < MAX_SERIAL_DIGITS else None
    return value if isinstance(value, int) and 0 <= value <= MAX_SERIAL else None


@lru_cache(_KNOWN_TIMES)
def parse_time(text: str) -> float:
    """Return seconds since 1970; PEP 700 promises UTC, so a time without a zone is read as UTC too."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
