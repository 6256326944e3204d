"""Frozen values (changelog entry, project page, distribution file), parsed once from untrusted bytes.

No code above this module handles JSON (``wire.py`` has its shape). Every field is checked here, and an error names the
wrong one. A file whose name or link is unusable is left out; the rest of its project is mirrored.
"""

import logging
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv6Address
from typing import TypeVar
from urllib.parse import urldefrag, urljoin, urlsplit

import msgspec
from msgspec import Struct
from packaging.utils import NormalizedName, canonicalize_name

from bandersnatch import wire
from bandersnatch.errors import MalformedResponseError, UnsupportedVersionError, shown
from bandersnatch.logs import warn_once
from bandersnatch.memory import require_memory_to_read

logger = logging.getLogger(__name__)

QUARANTINED = "quarantined"
MAX_FILENAME_BYTES = 240
"""Leaves room for ``.metadata`` and a temporary name within the 255 bytes that filesystems allow."""

MAX_SERIAL = 2**31 - 1
"""The largest integer in XML-RPC, and in the PostgreSQL column of PyPI's journal; PyPI was at 40 million in 2026."""
MAX_SERIAL_DIGITS = 20
MOST_TOLD = 10
"""How many unusable files are logged one by one; a page may list a million."""

_PROJECT_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,238}[A-Za-z0-9])?")
_UNSAFE_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that end a line, move the cursor or change the direction of text, and surrogates (not UTF-8)."""
_HOST = re.compile(r"[\w.~-]+")
_MAX_LABEL = 63
_STATUS = re.compile(r"[a-z][a-z-]{0,39}")
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
    there is one that was checked: from then on it counts as if upstream had told it.
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


def parse_project_name(name: str) -> NormalizedName | None:
    """Return the normalized name (PEP 503), or None if it is not a valid project name."""
    if _PROJECT_NAME.fullmatch(name) is None:
        return None
    project = canonicalize_name(name)
    # Most names are already normalized: sharing one string between hundreds of thousands of pairs saves memory.
    return NormalizedName(name) if project == name else project


def belongs_to(filename: str, project: NormalizedName) -> bool:
    """Whether a file's name begins with its project's, as nearly all do; installers ignore any other file on a page.

    In a wheel's name the project is all before the first dash (binary distribution format); in an sdist's name the
    project may contain dashes.
    """
    if filename.endswith(".whl"):
        return canonicalize_name(filename.partition("-")[0]) == project
    return canonicalize_name(filename).startswith(f"{project}-")


def filename_problem(filename: str) -> str | None:
    """Return why a file of this name can't be stored, or None; the name goes into a path, a link and log lines."""
    if not filename or filename.startswith(".") or any(char in filename for char in "/\\"):
        return "is not a plain file name"
    if has_unsafe_characters(filename):
        return "has control characters"
    if filename.endswith(".metadata"):
        return "looks like the core metadata of another file"
    if len(filename.encode("utf-8", "replace")) > MAX_FILENAME_BYTES:
        return f"is longer than {MAX_FILENAME_BYTES} bytes"
    return None


def has_unsafe_characters(text: str) -> bool:
    """Whether a text contains characters that must not appear in a path, link or log line."""
    return not text.isprintable() and _UNSAFE_CHARACTER.search(text) is not None


_page_decoder = msgspec.json.Decoder(wire.Page)
_index_decoder = msgspec.json.Decoder(wire.Index)
_legacy_decoder = msgspec.json.Decoder(wire.LegacyJson)
_meta_decoder = msgspec.json.Decoder(wire.HasMeta)

_T = TypeVar("_T", wire.Page, wire.Index)


def parse_project_page(body: bytes, project: NormalizedName, url: str) -> ProjectPage:
    """Parse a PEP 691 page of ``project``.

    Raises:
        UnsupportedVersionError: the page has another major version of that API.
        MalformedResponseError: a field is missing, wrong or hostile; the message names the first.
    """
    page = _decode(_page_decoder, body, url, "no PEP 691 page")
    if canonicalize_name(page.name) != project:
        raise MalformedResponseError(url, f"the page is of project {page.name!r}")
    return make_project_page(page, project, url, url)


def make_project_page(page: wire.Page, project: NormalizedName, url: str, base_url: str) -> ProjectPage:
    """Check what the page at ``url`` says of ``project``, whose links are relative to ``base_url``.

    Raises:
        UnsupportedVersionError, MalformedResponseError: as ``parse_project_page`` does.
    """
    _check_version(page.meta, url)
    status = page.project_status or wire.Status()
    if _STATUS.fullmatch(status.status) is None:
        raise MalformedResponseError(url, f"strange project-status {status.status!r}")
    # By name: searching a list for each of a million names would take hours. A page may name a file twice, if it says the
    # same of it.
    told: dict[str, wire.File] = {}
    for file in page.files:
        if (first := told.setdefault(file.filename, file)) is not file and not wire.is_same_file(first, file):
            raise MalformedResponseError(url, f"the file '{shown(file.filename, 80)}' is there twice")
    links, other_links = _Links(base_url), _Links(base_url)
    files: list[DistributionFile] = []
    left_out: list[str] = []
    for each in told.values():
        try:
            files.append(_parse_file(each, url, links, other_links))
        except _NoUseError as error:
            left_out.append(each.filename)
            if len(left_out) <= MOST_TOLD:
                logger.warning("%s: the file '%s' %s; it is left out", url, shown(each.filename, 80), error)
    if len(left_out) > MOST_TOLD:
        logger.warning("%s: %d more files are left out", url, len(left_out) - MOST_TOLD)
    meta = page.meta or wire.Meta()
    return ProjectPage(
        name=project,
        serial=_required_serial(meta.last_serial, url),
        status=status.status,
        status_reason=status.reason,
        versions=tuple(page.versions or ()),
        files=tuple(files),
        left_out=tuple(left_out),
        tracks=_locations(meta.tracks, "tracks", links, url),
        alternate_locations=_locations(page.alternate_locations, "alternate-locations", links, url),
    )


def _locations(told: list[str] | None, name: str, links: "_Links", url: str) -> tuple[str, ...]:
    """Return URLs of the same project at other indexes (PEP 708), without those that are none.

    They are made absolute: relative to a page of ours, they would lead elsewhere.
    """
    found: list[str] = []
    for each in told or ():
        try:
            found.append(links.absolute(each))
        except _NoUseError as error:
            logger.warning("%s: %s %s; it is left out", url, name, error)
    return tuple(found)


def parse_legacy_serial(body: bytes, project: NormalizedName, url: str) -> int:
    """Return the serial in a project's legacy JSON, which is otherwise stored unchanged.

    Raises:
        MalformedResponseError: it is not legacy JSON, or belongs to another project.
    """
    try:
        document = _legacy_decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedResponseError(url, f"no JSON of a project: {error}") from error
    if canonicalize_name(document.info.name) != project:
        raise MalformedResponseError(url, f"the JSON is of project {document.info.name!r}")
    return document.last_serial


def parse_display_name(body: bytes) -> str:
    """Return a project's name as upstream spells it, from legacy JSON that ``parse_legacy_serial`` accepted."""
    return _legacy_decoder.decode(body).info.name


def parse_root_index(body: bytes, url: str) -> tuple[int | None, dict[NormalizedName, ListedProject]]:
    """Parse a PEP 691 root index: its serial, and every project with its own serial.

    The index's serial is None if any of its projects has none; if it tells none itself, it is that of its newest project.
    A project with an invalid serial gets 0.

    Raises:
        UnsupportedVersionError: the index has another major version of that API.
        MalformedResponseError: it is not a root index.
    """
    index = _decode(_index_decoder, body, url, "no PEP 691 root index")
    projects: dict[NormalizedName, ListedProject] = {}
    for entry in index.projects:
        name = parse_project_name(entry.name)
        if name is not None:
            projects[name] = ListedProject(entry.name, parse_serial(entry.last_serial) or 0)
    serial = _required_serial((index.meta or wire.Meta()).last_serial, url)
    # A run by such an index would never notice changes of the projects without a serial.
    if any(entry.last_serial in (None, 0, "0") for entry in index.projects):
        return None, projects
    newest = max((project.serial for project in projects.values()), default=None)
    return newest if serial is None else serial, projects


def parse_serial_of_index(body: bytes) -> int | None:
    """Return the serial that a root index, which ``parse_root_index`` accepted, tells of itself."""
    return parse_serial((_meta_decoder.decode(body.removeprefix(BOM_UTF8)).meta or wire.Meta()).last_serial) or None


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


def _required_serial(value: float | str | None, url: str) -> int | None:
    """Return a serial, or None if upstream gave none; raise ``MalformedResponseError`` if it gave an invalid one."""
    serial = parse_serial(value)
    if value is not None and serial is None:
        raise MalformedResponseError(url, f"_last-serial is {value!r:.40}, no serial")
    return serial


def _decode(decoder: "msgspec.json.Decoder[_T]", body: bytes, url: str, wrong: str) -> _T:
    """Decode a document of the simple API, and check its version."""
    require_memory_to_read(body)
    body = body.removeprefix(BOM_UTF8)  # requests, and so pip, ignores it
    try:
        document = decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        # Another major version may have any shape (PEP 629): if that is the cause, say so rather than name a field.
        with suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            _check_version(_meta_decoder.decode(body).meta, url)
        raise MalformedResponseError(url, f"{wrong}: {error}") from error
    _check_version(document.meta, url)
    if document.meta is None or document.meta.api_version is None:
        host = urlsplit(url).netloc
        words = "%s sends JSON without an api-version; it is read as version 1.0"
        warn_once(logger, f"api-version of {host}", words, host)
    return document


def _check_version(meta: wire.Meta | None, url: str) -> None:
    version = meta.api_version if meta is not None else None
    if not wire.is_known_version(version):
        raise UnsupportedVersionError(url, shown(str(version), 20))


class _NoUseError(Exception):
    """A file's name or link is unusable; the message is a phrase that follows the name."""


class _Links:
    """Makes the links of one page absolute.

    The files of a page are nearly always on one host. A URL with the origin of an earlier one is not parsed again,
    which would take a third of the time to read a page.
    """

    def __init__(self, page_url: str) -> None:
        self._page_url = page_url
        self._known_origin = "no origin"

    def absolute(self, link: str) -> str:
        """Return the URL of a link; ``fetch`` and ``layout`` check what else it may be.

        Raises:
            _NoUseError: it is not an http(s) URL, contains a user name, or has a host or port that there can't be.
        """
        if link.startswith(self._known_origin) and "#" not in link and link.isprintable():
            return link
        try:
            joined = urldefrag(urljoin(self._page_url, link)).url
            parts = urlsplit(joined)
            is_web = parts.scheme in ("http", "https") and parts.username is None
            if not is_web or not _is_host(parts.hostname or "") or parts.port == 0:
                raise _NoUseError(f"has the link {shown(link)!r}")
        except ValueError as error:
            raise _NoUseError(f"has the link {shown(link)!r}") from error
        self._known_origin = f"{parts.scheme}://{parts.netloc}/"
        return joined


def _is_host(name: str) -> bool:
    """Whether there can be a host of that name, so that a request to it fails for no other reason than the host."""
    if ":" in name:
        return bool(IPv6Address(name))
    labels = name.encode("idna").decode() if not name.isascii() else name
    is_short = all(0 < len(label) <= _MAX_LABEL for label in labels.removesuffix(".").split("."))
    return is_short and _HOST.fullmatch(name) is not None


def _parse_file(told: wire.File, url: str, links: _Links, other_links: _Links) -> DistributionFile:
    """Parse one file of a page; ``other_links`` are those to other things than files.

    Raises:
        _NoUseError: its name or link is unusable.
        MalformedResponseError: another field is wrong.
    """
    if problem := filename_problem(told.filename):
        raise _NoUseError(problem)
    link = links.absolute(told.url)

    def wrong(reason: str) -> MalformedResponseError:
        return MalformedResponseError(url, f"file '{shown(told.filename, 80)}' {reason}")

    hashes = wire.plain_hashes(told.hashes)
    checksum = strongest(hashes)
    if checksum is not None and not wire.is_digest(checksum.algorithm, checksum.digest):
        raise wrong(f"has no {checksum.algorithm_name} digest: hashes are {told.hashes!r}")
    try:
        size = wire.read_size(told.size)
    except ValueError as error:
        raise wrong(f"has size {told.size!r}") from error
    upload_time = told.upload_time or None
    if upload_time is not None:
        try:
            parse_time(upload_time)
        except (ValueError, OverflowError) as error:
            raise wrong(f"has upload-time {upload_time!r}") from error
    # PEP 714 renamed the key; PEP 691 had one name, and PyPI sent another. Indexes still send both.
    metadata = told.core_metadata
    if metadata is None:
        metadata = told.data_dist_info_metadata if told.data_dist_info_metadata is not None else told.dist_info_metadata
    metadata_sha256 = wire.plain_hashes(metadata).get("sha256") if isinstance(metadata, dict) else None
    if metadata_sha256 is not None and not wire.is_sha256(metadata_sha256):
        raise wrong(f"has a core-metadata digest {metadata_sha256!r}")
    return DistributionFile(
        filename=told.filename,
        url=link,
        hashes=hashes,
        size=size,
        requires_python=told.requires_python,
        upload_time=upload_time,
        yanked=wire.read_yanked(told.yanked),
        core_metadata_sha256=metadata_sha256,
        provenance=_provenance(told.provenance, told.filename, url, other_links) if told.provenance else None,
    )


def _provenance(link: str, filename: str, url: str, links: _Links) -> str | None:
    """Return the absolute URL of a file's attestations: relative to a page of ours, it would lead elsewhere."""
    try:
        return links.absolute(link)
    except _NoUseError as error:
        words = "%s: provenance of '%s' %s; it is left out"
        warn_once(logger, f"provenance at {url}", words, url, shown(filename, 80), error)
        return None
