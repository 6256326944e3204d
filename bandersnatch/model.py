"""Frozen values: changelog entry, project page, distribution file; parsed once from untrusted bytes.

Above this module nothing looks at JSON. Every field is checked here, and an error names the wrong one; keys that we do
not know are ignored on purpose, because the index API grows.
"""

import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urldefrag, urljoin, urlsplit

import msgspec
from msgspec import Struct
from packaging.utils import NormalizedName, canonicalize_name

from bandersnatch.errors import MalformedResponseError, shown

logger = logging.getLogger(__name__)

QUARANTINED = "quarantined"
MAX_FILENAME_BYTES = 240
"""Room for ``.metadata`` and for the temporary name below the 255 bytes that filesystems allow."""

MAX_FILE_BYTES = 2**50
"""No file of an index is anywhere near; PyPI allows 100 MB, and some gigabytes on request."""

MAX_SERIAL = 2**63 - 1
MAX_SERIAL_DIGITS = 20

_PROJECT_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,238}[A-Za-z0-9])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_STATUS = re.compile(r"[a-z][a-z-]{0,39}")


class ChangelogEntry(Struct, frozen=True):
    """One row of upstream's journal, as ``changelog_since_serial`` tells it."""

    project: NormalizedName
    display_name: str
    action: str
    serial: int


class ListedProject(Struct, frozen=True):
    """A project in upstream's list of all projects; ``serial`` may lag behind the changelog."""

    display_name: str
    serial: int


class DistributionFile(Struct, frozen=True):
    """One sdist or wheel, as its project's page describes it (PEP 691 and 700).

    ``yanked`` is False, True, or the reason; ``core_metadata_sha256`` is None where there is no ``.metadata`` file;
    ``upload_time`` is upstream's own text.
    """

    filename: str
    url: str
    hashes: Mapping[str, str]
    size: int
    requires_python: str | None
    upload_time: str | None
    yanked: bool | str
    core_metadata_sha256: str | None
    provenance: str | None

    @property
    def sha256(self) -> str:
        """The digest that the bytes are checked against."""
        return self.hashes["sha256"]

    @property
    def mtime(self) -> float | None:
        """The upload time in seconds since 1970, or None where upstream does not tell it."""
        return None if self.upload_time is None else parse_time(self.upload_time)


class ProjectPage(Struct, frozen=True):
    """A project's page, PEP 691 with the additions of PEP 700, 740 and 792."""

    name: NormalizedName
    serial: int | None
    status: str
    status_reason: str | None
    versions: tuple[str, ...]
    files: tuple[DistributionFile, ...]

    @property
    def is_quarantined(self) -> bool:
        """Whether upstream took all files away, as malware for one."""
        return self.status == QUARANTINED


class StoredFile(Struct, frozen=True):
    """What the disk says of a file: size in bytes, modification time in seconds since 1970."""

    size: int
    mtime: float


def parse_project_name(name: str) -> NormalizedName | None:
    """Return the normalized name (PEP 503), or None where upstream's rules allow no project of that name."""
    if _PROJECT_NAME.fullmatch(name) is None:
        return None
    project = canonicalize_name(name)
    # Most names are normalized already, and there are hundreds of thousands: one object for both saves memory.
    return NormalizedName(name) if project == name else project


def belongs_to(filename: str, project: NormalizedName) -> bool:
    """Whether a file's name begins with its project's; installers take no other file from a project's page.

    A wheel's name is its first part (binary distribution format); that of anything else may hold dashes itself.
    """
    if filename.endswith(".whl"):
        return canonicalize_name(filename.partition("-")[0]) == project
    return canonicalize_name(filename).startswith(f"{project}-")


def filename_problem(filename: str) -> str | None:
    """Say why a file of this name can't be stored, or None: it becomes a path, a link and a line of a log."""
    if not filename or filename.startswith(".") or any(char in filename for char in "/\\"):
        return "is no plain file name"
    if not filename.isprintable():
        return "has control characters"
    if filename.endswith((".metadata", ".part")):
        return "looks like a file that the mirror makes itself"
    if len(filename.encode("utf-8", "replace")) > MAX_FILENAME_BYTES:
        return f"is longer than {MAX_FILENAME_BYTES} bytes"
    return None


class _Meta(Struct):
    last_serial: int | str | None = msgspec.field(default=None, name="_last-serial")


class _Status(Struct):
    status: str = "active"
    reason: str | None = None


class _File(Struct, rename="kebab"):
    filename: str
    url: str
    hashes: dict[str, str]
    size: int
    requires_python: str | None = None
    upload_time: str | None = None
    yanked: bool | str = False
    core_metadata: bool | dict[str, str] | None = None
    data_dist_info_metadata: bool | dict[str, str] | None = None
    provenance: str | None = None


class _Page(Struct, rename="kebab"):
    name: str
    files: list[_File]
    meta: _Meta = msgspec.field(default_factory=_Meta)
    project_status: _Status = msgspec.field(default_factory=_Status)
    versions: list[str] = msgspec.field(default_factory=list)


class _IndexedProject(Struct):
    name: str
    last_serial: int | str | None = msgspec.field(default=None, name="_last-serial")


class _Index(Struct):
    projects: list[_IndexedProject]
    meta: _Meta = msgspec.field(default_factory=_Meta)


class _LegacyInfo(Struct):
    name: str


class _LegacyJson(Struct):
    info: _LegacyInfo
    last_serial: int


_page_decoder = msgspec.json.Decoder(_Page)
_index_decoder = msgspec.json.Decoder(_Index)
_legacy_decoder = msgspec.json.Decoder(_LegacyJson)


def parse_project_page(body: bytes, project: NormalizedName, url: str) -> ProjectPage:
    """Read a PEP 691 page of ``project``.

    Raises:
        MalformedResponseError: naming the first field that is missing, wrong or hostile.
    """
    try:
        wire = _page_decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedResponseError(url, f"no PEP 691 page: {error}") from error
    if canonicalize_name(wire.name) != project:
        raise MalformedResponseError(url, f"the page is of project {wire.name!r}")
    if _STATUS.fullmatch(wire.project_status.status) is None:
        raise MalformedResponseError(url, f"strange project-status {wire.project_status.status!r}")
    names = {file.filename for file in wire.files}
    if len(names) != len(wire.files):
        twice = next(name for name in names if sum(file.filename == name for file in wire.files) > 1)
        raise MalformedResponseError(url, f"the file {twice!r} stands there twice")
    links = _Links(url)
    return ProjectPage(
        name=project,
        serial=_required_serial(wire.meta.last_serial, url),
        status=wire.project_status.status,
        status_reason=wire.project_status.reason,
        versions=tuple(wire.versions),
        files=tuple(_parse_file(file, url, links) for file in wire.files if _is_expected(file, project, url)),
    )


def parse_legacy_serial(body: bytes, project: NormalizedName, url: str) -> int:
    """Return the serial of a project's legacy JSON, which is otherwise kept as it is.

    Raises:
        MalformedResponseError: where it is none, or of another project.
    """
    try:
        wire = _legacy_decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedResponseError(url, f"no JSON of a project: {error}") from error
    if canonicalize_name(wire.info.name) != project:
        raise MalformedResponseError(url, f"the JSON is of project {wire.info.name!r}")
    return wire.last_serial


def parse_display_name(body: bytes) -> str:
    """Return a project's name as upstream spells it, from legacy JSON that ``parse_legacy_serial`` has accepted."""
    return _legacy_decoder.decode(body).info.name


def parse_root_index(body: bytes, url: str) -> tuple[int | None, dict[NormalizedName, ListedProject]]:
    """Read a PEP 691 root index: its serial, and every project with its own.

    Raises:
        MalformedResponseError: where it is no root index. A project without a serial has serial 0.
    """
    try:
        wire = _index_decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedResponseError(url, f"no PEP 691 root index: {error}") from error
    projects: dict[NormalizedName, ListedProject] = {}
    for entry in wire.projects:
        name = parse_project_name(entry.name)
        if name is not None:
            projects[name] = ListedProject(entry.name, _required_serial(entry.last_serial, url) or 0)
    return _required_serial(wire.meta.last_serial, url), projects


def parse_serial(value: int | str | None) -> int | None:
    """Return a serial, or None where it is none; bandersnatch up to 8.0 writes it as a string, PyPI as a number."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < MAX_SERIAL_DIGITS else None
    return value if value is not None and 0 <= value <= MAX_SERIAL else None


def parse_time(text: str) -> float:
    """Return seconds since 1970; PEP 700 promises UTC, so a time without a zone is read as UTC too."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _required_serial(value: int | str | None, url: str) -> int | None:
    """Return a serial, or None where upstream told none; what it told must be one."""
    serial = parse_serial(value)
    if value is not None and serial is None:
        raise MalformedResponseError(url, f"_last-serial is {value!r:.40}, no serial")
    return serial


def _is_expected(file: _File, project: NormalizedName, url: str) -> bool:
    """Leave out what no installer would take from this page, rather than refuse the project because of it."""
    if filename_problem(file.filename) is not None or belongs_to(file.filename, project):
        return True  # a hostile name is no mistake: with it the whole page is refused
    logger.warning("%s: the file '%s' is of another project; it is left out", url, shown(file.filename, 80))
    return False


class _Links:
    """The links of one page, made absolute.

    All files of a page lie on one host, most of the time. A URL that goes on as one before it began needs no second look,
    which takes a third of the time that it takes to read a page.
    """

    def __init__(self, page_url: str) -> None:
        self._page_url = page_url
        self._known_origin = "no origin"

    def absolute(self, link: str) -> str:
        """Return the URL that a link means; what else it may and may not be, ``fetch`` and ``layout`` check."""
        if link.startswith(self._known_origin) and "#" not in link and link.isprintable():
            return link
        try:
            joined = urldefrag(urljoin(self._page_url, link)).url
            parts = urlsplit(joined)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
                raise MalformedResponseError(self._page_url, f"links to {link!r}")
        except ValueError as error:
            raise MalformedResponseError(self._page_url, f"links to {link!r}") from error
        self._known_origin = f"{parts.scheme}://{parts.netloc}/"
        return joined


def _parse_file(wire: _File, url: str, links: _Links) -> DistributionFile:
    def wrong(reason: str) -> MalformedResponseError:
        return MalformedResponseError(url, f"file '{shown(wire.filename, 80)}' {reason}")

    if problem := filename_problem(wire.filename):
        raise wrong(problem)
    if _SHA256.fullmatch(wire.hashes.get("sha256", "")) is None:
        raise wrong(f"has no SHA-256 digest: hashes are {wire.hashes!r}")
    if not 0 <= wire.size <= MAX_FILE_BYTES:
        raise wrong(f"has size {wire.size}")
    if wire.upload_time is not None:
        try:
            parse_time(wire.upload_time)
        except (ValueError, OverflowError) as error:
            raise wrong(f"has upload-time {wire.upload_time!r}") from error
    metadata = wire.core_metadata if wire.core_metadata is not None else wire.data_dist_info_metadata
    metadata_sha256 = metadata.get("sha256") if isinstance(metadata, dict) else None
    if metadata_sha256 is not None and _SHA256.fullmatch(metadata_sha256) is None:
        raise wrong(f"has a core-metadata digest {metadata_sha256!r}")
    return DistributionFile(
        filename=wire.filename,
        url=links.absolute(wire.url),
        hashes=wire.hashes,
        size=wire.size,
        requires_python=wire.requires_python,
        upload_time=wire.upload_time,
        # PEP 592: an empty reason marks the file as yanked all the same.
        yanked=True if wire.yanked == "" else wire.yanked,
        core_metadata_sha256=metadata_sha256,
        provenance=wire.provenance,
    )
