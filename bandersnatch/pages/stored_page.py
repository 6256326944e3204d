"""Reads back the mirror's own pages: which files they list, and at which serial.

They are ours, or those of an older bandersnatch, in HTML or JSON. An unreadable page lists nothing, which only means
that more is checked, never that more is deleted.
"""

import re
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from bandersnatch.errors import MalformedResponseError, StorageError, UnreadablePageError
from bandersnatch.json_documents import parse_project_page
from bandersnatch.model import QUARANTINED, ProjectPage, parse_serial, parse_time
from bandersnatch.names import NormalizedName
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import HTML_PAGES, JSON_PAGE, StoredPath, metadata_path, page_path, path_on_own_page
from bandersnatch.wire import plain_hashes, read_size

_QUARANTINED_MARK = re.compile(rb'<meta name="pypi:project-status" content="quarantined"')
_SERIAL_COMMENT = re.compile(rb"<!--SERIAL (\d{1,19})-->\s*\Z")


class Readable(Protocol):
    """Where documents are read from: the storage, or documents that were read already."""

    def read(self, path: StoredPath) -> bytes | None:
        """Return the bytes of a document, or None if there is none."""


class HeldFile(Struct, frozen=True):
    """A file that a held page lists; only JSON pages give its size and all digests."""

    path: StoredPath
    size: int | None
    hashes: dict[str, str]
    has_metadata: bool
    metadata_sha256: str | None = None
    upload_time: str | None = None

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.path.rpartition("/")[2]

    @property
    def valid_upload_time(self) -> str | None:
        """The upload time, or None if the page does not give it, or something else in its place."""
        try:
            return self.upload_time if self.mtime is not None else None
        except (ValueError, OverflowError):
            return None

    @property
    def mtime(self) -> float | None:
        """The upload time in seconds since 1970, or None if the page does not give it; ValueError if it is not a time."""
        return None if self.upload_time is None else parse_time(self.upload_time)


class StoredPage(Struct, frozen=True):
    """What a project's held page says."""

    serial: int
    files: tuple[HeldFile, ...]
    is_quarantined: bool = False

    @property
    def paths(self) -> set[StoredPath]:
        """All files that belong to the page, including ``.metadata`` files."""
        return set(self.sha256_by_path)

    @property
    def sha256_by_path(self) -> dict[StoredPath, str | None]:
        """The SHA-256 of each of the ``paths``; None if the page does not give it."""
        digests = {file.path: file.hashes.get("sha256") for file in self.files}
        return digests | {metadata_path(file.path): file.metadata_sha256 for file in self.files if file.has_metadata}

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file for which the page gives it, by file name."""
        return {f.name: f.hashes["sha256"] for f in self.files if "sha256" in f.hashes}

    @property
    def expected_digests(self) -> dict[StoredPath, str] | None:
        """The SHA-256 of all ``paths``, or None if the page does not give every one."""
        expected = self.sha256_by_path
        told = {path: digest for path, digest in expected.items() if digest is not None}
        return told if len(told) == len(expected) else None


def read_held_page(storage: FilesystemStorage, folder: StoredPath) -> StoredPage | None:
    """Return what the page in a folder says, from JSON if possible; None if there is no page."""
    return read_held_json(storage, folder) or read_held_html(storage, folder)


def read_held_html(storage: Readable, folder: StoredPath) -> StoredPage | None:
    """Return what the HTML page in a folder says; None if there is none."""
    bodies = (storage.read(page_path(folder, name)) for name in HTML_PAGES)
    return next((_read_html(body) for body in bodies if body is not None), None)


def read_held_json(storage: Readable, folder: StoredPath) -> StoredPage | None:
    """Return what the JSON page in a folder says; None if there is no readable one."""
    body = storage.read(page_path(folder, JSON_PAGE))
    return None if body is None else _read_json(body)


def read_whole_page(storage: FilesystemStorage, folder: StoredPath) -> StoredPage | None:
    """Return what the page in a folder says; None if no form of it is complete."""
    page = read_held_json(storage, folder)
    if page is not None:
        return page
    bodies = (storage.read(page_path(folder, name)) for name in HTML_PAGES)
    return next((_read_html(body) for body in bodies if body is not None and html_serial(body) is not None), None)


def read_listed_paths(
    storage: FilesystemStorage, folder: StoredPath, *, must_be_whole: bool = True
) -> set[StoredPath] | None:
    """Return the files that any form of the page in a folder lists; None if there is no page.

    An operator's own page need not end as ours do, but it must end with a tag: otherwise it was cut off.

    Raises:
        UnreadablePageError: there is a page, but we can't be sure what it lists.
    """
    try:
        json = storage.read(page_path(folder, JSON_PAGE))
        html = {storage.read(page_path(folder, name)) for name in HTML_PAGES} - {None}
    except StorageError as error:
        raise UnreadablePageError(folder, f"the page can't be read: {error}") from error
    if json is None and not html:
        return None
    pages = [_read_html(body) for body in html if body is not None]
    page = _read_json(json) if json is not None else None
    # If there is JSON, it must be complete, otherwise one of the others. Extra files that only the others list must not
    # be deleted either.
    is_whole = html_serial if must_be_whole else _has_an_end
    if page is None and (json is not None or not any(body is not None and is_whole(body) is not None for body in html)):
        raise UnreadablePageError(folder, "the page is broken")
    return set().union(*(each.paths for each in (page, *pages) if each is not None))


def read_held_project(
    storage: FilesystemStorage, folder: StoredPath, project: NormalizedName, upstream_url: str
) -> ProjectPage | None:
    """Return the whole held page with upstream's URLs instead of ours; None if there is no readable JSON page."""
    body = storage.read(page_path(folder, JSON_PAGE))
    if body is None:
        return None
    try:
        return parse_project_page(body, project, f"{upstream_url}/simple/{project}/")
    except MalformedResponseError:
        return None


class _File(msgspec.Struct, rename="kebab"):
    url: str
    hashes: dict[str, str | None] = {}
    size: int | str | None = None
    core_metadata: bool | dict[str, str | None] | None = None
    upload_time: str | None = None


class _Meta(msgspec.Struct):
    last_serial: int | str | None = msgspec.field(default=None, name="_last-serial")


class _Page(msgspec.Struct, rename="kebab"):
    files: list[_File]
    meta: _Meta = msgspec.field(default_factory=_Meta)
    project_status: Any = None


_decoder = msgspec.json.Decoder(_Page)


def _read_json(body: bytes) -> StoredPage | None:
    try:
        page = _decoder.decode(body)
        serial = parse_serial(page.meta.last_serial) or 0  # its files are here, whatever its serial says
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError):
        return None
    files = [_held(f.url, f.size, f.hashes, f.core_metadata, f.upload_time) for f in page.files]
    is_quarantined = isinstance(page.project_status, dict) and page.project_status.get("status") == QUARANTINED
    return StoredPage(serial, tuple(file for file in files if file is not None), is_quarantined)


def _read_html(body: bytes) -> StoredPage:
    from bandersnatch.pages.html_links import links_of  # noqa: PLC0415 - slow to import, and needed for old mirrors only

    files = []
    for href, attributes in links_of(body.decode("utf-8", "replace")):
        algorithm, _, digest = href.partition("#")[2].partition("=")
        held = _held(href, None, {algorithm: digest} if digest else {}, _core_metadata(attributes))
        if held is not None:
            files.append(held)
    return StoredPage(html_serial(body) or 0, tuple(files), not files and _QUARANTINED_MARK.search(body) is not None)


def _core_metadata(attributes: Mapping[str, str | None]) -> bool | dict[str, str | None]:
    """Return the digest of core metadata; True if there is some without a digest."""
    for name in ("data-core-metadata", "data-dist-info-metadata"):
        if name in attributes:
            algorithm, _, digest = (attributes[name] or "").partition("=")
            return {algorithm: digest} if digest else True
    return False


def _has_an_end(body: bytes) -> bool | None:
    return body.rstrip().endswith(b">") or None


def html_serial(body: bytes) -> int | None:
    """Return the serial in the comment that ends a complete HTML page, or None."""
    comment = _SERIAL_COMMENT.search(body)
    return parse_serial(comment[1].decode()) if comment else None


def _held(
    url: str,
    told_size: int | str | None,
    hashes: dict[str, str | None],
    core_metadata: bool | dict[str, str | None] | None,
    upload_time: str | None = None,
) -> HeldFile | None:
    try:
        size = read_size(told_size)
    except ValueError:
        size = None  # without a valid one, a file is checked by its digest alone
    metadata_sha256 = plain_hashes(core_metadata).get("sha256") if isinstance(core_metadata, dict) else None
    try:
        path = path_on_own_page(url)
        return HeldFile(path, size, plain_hashes(hashes), bool(core_metadata), metadata_sha256, upload_time)
    except MalformedResponseError:
        return None
