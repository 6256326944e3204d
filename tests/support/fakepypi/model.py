"""What the fake index knows: files, releases, projects and journal rows.

Plain values. How they change is told in `world`, how they look on the wire in
`pages`, `json_api` and `rpc`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

Kind = Literal["wheel", "sdist"]
Status = Literal["active", "archived", "quarantined"]

CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """One distribution file as the index holds it; its bytes never change."""

    filename: str
    version: str
    kind: Kind
    python_version: str
    url_path: str
    size: int
    sha256: str
    md5: str
    blake2b_256: str
    upload_time: datetime
    metadata: bytes | None
    source: bytes | Path = field(repr=False)

    @property
    def metadata_sha256(self) -> str | None:
        return None if self.metadata is None else sha256(self.metadata).hexdigest()

    @property
    def content(self) -> bytes:
        return b"".join(self.chunks(0, self.size))

    def __deepcopy__(self, memo: dict[int, object]) -> "UploadedFile":
        return self  # immutable; copies of a project share their files

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `stop`, in pieces."""
        if isinstance(self.source, bytes):
            yield self.source[start:stop]
            return
        with self.source.open("rb") as stream:
            stream.seek(start)
            while start < stop and (chunk := stream.read(min(CHUNK_BYTES, stop - start))):
                start += len(chunk)
                yield chunk


@dataclass(slots=True)
class Release:
    """One version of a project; yanks and Requires-Python belong to all of its files."""

    version: str
    requires_python: str | None = None
    files: dict[str, UploadedFile] = field(default_factory=dict)
    is_yanked: bool = False
    yanked_reason: str = ""
    is_quarantined: bool = False
    with_provenance: set[str] = field(default_factory=set)

    def sorted_files(self) -> list[UploadedFile]:
        return [self.files[filename] for filename in sorted(self.files)]


@dataclass(slots=True)
class Project:
    """One project under its display name, which any upload may change."""

    name: str
    last_serial: int = 0
    status: Status = "active"
    releases: dict[str, Release] = field(default_factory=dict)
    roles: list[tuple[str, str]] = field(default_factory=list)

    @property
    def normalized_name(self) -> NormalizedName:
        return canonicalize_name(self.name)

    def visible_releases(self) -> list[Release]:
        """Return the releases that the index shows, in PEP 440 order."""
        if self.status == "quarantined":
            return []
        shown = [release for release in self.releases.values() if not release.is_quarantined]
        return sorted(shown, key=lambda release: version_key(release.version))


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One row of the changelog."""

    name: str | None
    version: str | None
    timestamp: int
    action: str | None
    serial: int


@dataclass(frozen=True, slots=True)
class ListedProject:
    """One row of the lists of all projects."""

    name: str
    last_serial: int
    is_quarantined: bool

    @property
    def normalized_name(self) -> NormalizedName:
        return canonicalize_name(self.name)


@dataclass(frozen=True, slots=True)
class Listing:
    """All projects at one moment, in the order of their normalized names."""

    serial: int
    projects: tuple[ListedProject, ...]


def version_key(version: str) -> tuple[int, Version, str]:
    """Return a sort key that puts versions from before PEP 440 first."""
    try:
        return (1, Version(version), "")
    except InvalidVersion:
        return (0, Version("0"), version)
