"""How indexes write JSON, and what they mean by it: the one place that reads what is clear, though not as it should be.

PEP 691 and what came after it leave little room, but servers take some: digests in upper case, null where a key should be
missing, numbers as texts. Keys that we do not know are ignored on purpose, because the index API grows.
"""

import re
from collections.abc import Mapping

import msgspec
from msgspec import Struct

MAX_FILE_BYTES = 2**50
"""No file of an index is anywhere near; PyPI allows 100 MB, and some gigabytes on request."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"1(\.\d{1,9}){0,3}", re.ASCII)
_MAX_DIGITS = 20


class Meta(Struct):
    """What a page says of itself."""

    last_serial: int | str | None = msgspec.field(default=None, name="_last-serial")
    api_version: str | float | None = msgspec.field(default=None, name="api-version")


class HasMeta(Struct):
    """A document of which nothing else is known."""

    meta: Meta | None = None


class Status(Struct):
    """PEP 792."""

    status: str = "active"
    reason: str | None = None


class File(Struct, rename="kebab"):
    """A file of a project's page."""

    filename: str
    url: str
    hashes: dict[str, str | None]
    size: int | str | None = None
    requires_python: str | None = None
    upload_time: str | None = None
    yanked: bool | str | None = None
    core_metadata: bool | dict[str, str | None] | None = None
    data_dist_info_metadata: bool | dict[str, str | None] | None = None
    provenance: str | None = None


class Page(Struct, rename="kebab"):
    """A project's page."""

    name: str
    files: list[File]
    meta: Meta | None = None
    project_status: Status | None = None
    versions: list[str] | None = None


class IndexedProject(Struct):
    """A line of the root index."""

    name: str
    last_serial: int | str | None = msgspec.field(default=None, name="_last-serial")


class Index(Struct):
    """The root index."""

    projects: list[IndexedProject]
    meta: Meta | None = None


class LegacyInfo(Struct):
    """What the legacy JSON says of a project's newest release."""

    name: str


class LegacyJson(Struct):
    """The legacy JSON of a project, as far as every mirror looks at it."""

    info: LegacyInfo
    last_serial: int


def is_known_version(version: str | float | None) -> bool:
    """Whether a document is of the version of the API that this program reads; without a word it is (PEP 691)."""
    return version is None or _VERSION.fullmatch(f"{version}") is not None


def is_sha256(digest: str | None) -> bool:
    """Whether this is a SHA-256 as ``plain_hashes`` writes them."""
    return digest is not None and _SHA256.fullmatch(digest) is not None


def plain_hashes(told: Mapping[str, str | None]) -> dict[str, str]:
    """Return digests by the names of their algorithms, all in lower case, without those that are not told."""
    return {name.lower(): digest.lower() for name, digest in told.items() if digest is not None}


def read_size(told: int | str | None) -> int | None:
    """Return a size in bytes, or None where none is told.

    Raises:
        ValueError: it is none that a file can have.
    """
    if isinstance(told, str):
        told = int(told) if told.isascii() and told.isdigit() and len(told) < _MAX_DIGITS else -1
    if told is not None and not 0 <= told <= MAX_FILE_BYTES:
        raise ValueError
    return told


def read_yanked(told: bool | str | None) -> bool | str:
    """Return False, True, or the reason (PEP 592): an empty one marks the file as yanked all the same."""
    return True if told == "" else told or False
