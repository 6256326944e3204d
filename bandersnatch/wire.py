"""The JSON that indexes send, and the one place that is lenient about it.

PEP 691 and its successors are strict, but servers are not: they send digests in upper case, null for a missing key,
numbers as strings. Unknown keys are ignored on purpose, because the index API grows.
"""

import re
from collections.abc import Mapping

import msgspec
from msgspec import Struct

MAX_FILE_BYTES = 2**50
"""Far above any real file; PyPI allows 100 MB, and a few gigabytes on request."""

DIGEST_CHARACTERS = {"sha512": 128, "sha384": 96, "sha256": 64, "sha224": 56, "sha1": 40, "md5": 32}
"""The algorithms that installers know, the strongest first, and the length of their digests in hex."""
WEAK_ALGORITHMS = frozenset({"sha224", "sha1", "md5"})
"""For MD5 and SHA-1, two files of one digest can be made; SHA-224 is short of what is asked of new systems."""

_HEX = re.compile(r"[0-9a-f]+")
_VERSION = re.compile(r"1(\.\d{1,9}){0,3}", re.ASCII)
_MAX_DIGITS = 20


class Meta(Struct):
    """What a document says about itself."""

    last_serial: int | float | str | None = msgspec.field(default=None, name="_last-serial")
    api_version: str | float | None = msgspec.field(default=None, name="api-version")
    tracks: list[str] | None = None
    """Only on a project's page (PEP 708)."""


class HasMeta(Struct):
    """Any document with ``meta``; nothing else of it is read."""

    meta: Meta | None = None


class Status(Struct):
    """A project's status (PEP 792)."""

    status: str | None = None
    reason: str | None = None


class File(Struct, rename="kebab"):
    """A file of a project's page."""

    filename: str
    url: str
    hashes: dict[str, str | None] | None = None
    size: int | float | str | None = None
    requires_python: str | None = None
    upload_time: str | None = None
    yanked: bool | str | None = None
    core_metadata: bool | dict[str, str | None] | None = None
    data_dist_info_metadata: bool | dict[str, str | None] | None = None
    dist_info_metadata: bool | dict[str, str | None] | None = None
    provenance: str | None = None


def is_same_file(one: File, other: File) -> bool:
    """Whether a page that names a file twice says the same of it; with one SHA-256, it does not matter where it is."""
    if one == other:
        return True
    digest = plain_hashes(one.hashes).get("sha256")
    same_elsewhere = msgspec.structs.replace(other, url=one.url, hashes=one.hashes) == one
    return digest is not None and digest == plain_hashes(other.hashes).get("sha256") and same_elsewhere


class Page(Struct, rename="kebab"):
    """A project's page."""

    name: str
    files: list[File]
    meta: Meta | None = None
    project_status: Status | None = None
    versions: list[str] | None = None
    alternate_locations: list[str] | None = None


class IndexedProject(Struct):
    """A line of the root index."""

    name: str
    last_serial: int | float | str | None = msgspec.field(default=None, name="_last-serial")


class Index(Struct):
    """The root index."""

    projects: list[IndexedProject]
    meta: Meta | None = None


class LegacyInfo(Struct):
    """The part of legacy JSON about a project's newest release."""

    name: str


class LegacyJson(Struct):
    """The legacy JSON of a project, as far as we read it."""

    info: LegacyInfo
    last_serial: int


def is_known_version(version: str | float | None) -> bool:
    """Whether we can read this version of the API; a document without one counts as 1.0 (PEP 691)."""
    return version is None or _VERSION.fullmatch(f"{version}") is not None


def is_sha256(digest: str | None) -> bool:
    """Whether this is a SHA-256 digest in lower-case hex."""
    return digest is not None and is_digest("sha256", digest)


def is_digest(algorithm: str, digest: str) -> bool:
    """Whether this is a digest of that algorithm in lower-case hex."""
    return len(digest) == DIGEST_CHARACTERS[algorithm] and _HEX.fullmatch(digest) is not None


def plain_hashes(told: Mapping[str, str | None] | None) -> dict[str, str]:
    """Return digests by algorithm, all in lower case, without those that are null or empty."""
    return {name.lower(): digest.lower() for name, digest in (told or {}).items() if digest}


def whole_number(told: float | str | None) -> float | str | None:
    """Return a number without a fraction, such as 14.0, which some programs make of 14, as an int."""
    return int(told) if isinstance(told, float) and told.is_integer() else told


def read_size(told: float | str | None) -> int | None:
    """Return a size in bytes, or None if none is given.

    Raises:
        ValueError: no file can have this size.
    """
    if isinstance(told, float):
        told = whole_number(told)
    if isinstance(told, str):
        told = int(told) if told.isascii() and told.isdigit() and len(told) < _MAX_DIGITS else -1
    if told is None:
        return None
    if not isinstance(told, int) or not 0 <= told <= MAX_FILE_BYTES:
        raise ValueError
    return told


def read_status(told: Status | None) -> str:
    """Return a project's status; one without any is active."""
    return "active" if told is None or told.status is None else told.status


def read_yanked(told: bool | str | None) -> bool | str:
    """Return False, True, or the reason (PEP 592); an empty reason still marks the file as yanked."""
    return True if told == "" else told or False
