"""A project's page as it came (``wire.Page``), checked field by field, becomes a ``ProjectPage``.

An error names the wrong field. A file whose name or link is unusable is left out; the rest of its project is mirrored.
"""

import logging
import re

from bandersnatch import wire
from bandersnatch.errors import MalformedResponseError, UnsupportedVersionError
from bandersnatch.links import Links, NoUseError
from bandersnatch.logs import warn_once
from bandersnatch.model import DistributionFile, ProjectPage, parse_serial, parse_time, strongest
from bandersnatch.names import NormalizedName, filename_problem
from bandersnatch.shown_text import shown

logger = logging.getLogger(__name__)

MOST_TOLD = 10
"""How many unusable files are logged one by one; a page may list a million."""
_STATUS = re.compile(r"[a-z][a-z-]{0,39}")


def make_project_page(page: wire.Page, project: NormalizedName, url: str, base_url: str) -> ProjectPage:
    """Check what the page at ``url`` says of ``project``, whose links are relative to ``base_url``.

    Raises:
        UnsupportedVersionError, MalformedResponseError: as ``parse_project_page`` does.
    """
    check_version(page.meta, url)
    status = wire.read_status(page.project_status)
    if _STATUS.fullmatch(status) is None:
        raise MalformedResponseError(url, f"strange project-status {status!r}")
    # By name: searching a list for each of a million names would take hours. A page may name a file twice, if it says the
    # same of it.
    told: dict[str, wire.File] = {}
    for file in page.files:
        if (first := told.setdefault(file.filename, file)) is not file and not wire.is_same_file(first, file):
            raise MalformedResponseError(url, f"the file '{shown(file.filename, 80)}' is there twice")
    links, other_links = Links(base_url), Links(base_url)
    files: list[DistributionFile] = []
    left_out: list[str] = []
    for each in told.values():
        try:
            files.append(_parse_file(each, url, links, other_links))
        except NoUseError as error:
            left_out.append(each.filename)
            if len(left_out) <= MOST_TOLD:
                logger.warning("%s: the file '%s' %s; it is left out", url, shown(each.filename, 80), error)
    if len(left_out) > MOST_TOLD:
        logger.warning("%s: %d more files are left out", url, len(left_out) - MOST_TOLD)
    meta = page.meta or wire.Meta()
    return ProjectPage(
        name=project,
        serial=required_serial(meta.last_serial, url),
        status=status,
        status_reason=page.project_status.reason if page.project_status is not None else None,
        versions=tuple(page.versions or ()),
        files=tuple(files),
        left_out=tuple(left_out),
        tracks=_locations(meta.tracks, "tracks", links, url),
        alternate_locations=_locations(page.alternate_locations, "alternate-locations", links, url),
    )


def required_serial(value: float | str | None, url: str) -> int | None:
    """Return a serial, or None if upstream gave none; raise ``MalformedResponseError`` if it gave an invalid one."""
    serial = parse_serial(value)
    if value is not None and serial is None:
        raise MalformedResponseError(url, f"_last-serial is {value!r:.40}, no serial")
    return serial


def check_version(meta: wire.Meta | None, url: str) -> None:
    """Raise ``UnsupportedVersionError`` if a document is of another major version of the simple API."""
    version = meta.api_version if meta is not None else None
    if not wire.is_known_version(version):
        raise UnsupportedVersionError(url, shown(str(version), 20))


def _locations(told: list[str] | None, name: str, links: "Links", url: str) -> tuple[str, ...]:
    """Return URLs of the same project at other indexes (PEP 708), without those that are none.

    They are made absolute: relative to a page of ours, they would lead elsewhere.
    """
    found: list[str] = []
    for each in told or ():
        try:
            found.append(links.absolute(each))
        except NoUseError as error:
            logger.warning("%s: %s %s; it is left out", url, name, error)
    return tuple(found)


def _parse_file(told: wire.File, url: str, links: Links, other_links: Links) -> DistributionFile:
    """Parse one file of a page; ``other_links`` are those to other things than files.

    Raises:
        NoUseError: its name or link is unusable.
        MalformedResponseError: another field is wrong.
    """
    if problem := filename_problem(told.filename):
        raise NoUseError(problem)
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
    if upload_time is not None and not _is_time(upload_time):
        raise wrong(f"has upload-time {upload_time!r}")
    metadata_sha256, is_promised = _core_metadata(told)
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
        # What is served there can't be checked, but a wheel has it inside.
        has_unhashed_metadata=is_promised and told.filename.endswith(".whl"),
    )


def _is_time(text: str) -> bool:
    try:
        parse_time(text)
    except (ValueError, OverflowError):
        return False
    return True


def _core_metadata(told: wire.File) -> tuple[str | None, bool]:
    """Return the SHA-256 of a file's core metadata, and whether the page says that there is some without it.

    PEP 714 renamed the key; PEP 691 had one name, and PyPI sent another. Indexes still send both. A dictionary says that
    there is some, even if it has no digest.
    """
    metadata = told.core_metadata
    if metadata is None:
        metadata = told.data_dist_info_metadata if told.data_dist_info_metadata is not None else told.dist_info_metadata
    sha256 = wire.plain_hashes(metadata).get("sha256") if isinstance(metadata, dict) else None
    return sha256, sha256 is None and metadata is not None and metadata is not False


def _provenance(link: str, filename: str, url: str, links: Links) -> str | None:
    """Return the absolute URL of a file's attestations: relative to a page of ours, it would lead elsewhere."""
    try:
        return links.absolute(link)
    except NoUseError as error:
        words = "%s: provenance of '%s' %s; it is left out"
        warn_once(logger, f"provenance at {url}", words, url, shown(filename, 80), error)
        return None
