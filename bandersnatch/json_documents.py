"""Documents of an index in JSON: project page, root index and legacy JSON, parsed once from untrusted bytes.

No code above this module handles JSON of an index (``wire.py`` has its shape).
"""

import logging
from codecs import BOM_UTF8
from contextlib import suppress
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from bandersnatch import wire
from bandersnatch.checked_page import check_version, make_project_page, required_serial
from bandersnatch.errors import MalformedResponseError
from bandersnatch.logs import warn_once
from bandersnatch.memory import require_memory_to_read
from bandersnatch.model import ListedProject, ProjectPage, parse_serial
from bandersnatch.names import NormalizedName, canonicalize_name, parse_project_name

logger = logging.getLogger(__name__)

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
    serial = required_serial((index.meta or wire.Meta()).last_serial, url)
    # A run by such an index would never notice changes of the projects without a serial.
    if any(entry.last_serial in (None, 0, "0") for entry in index.projects):
        return None, projects
    newest = max((project.serial for project in projects.values()), default=None)
    return newest if serial is None else serial, projects


def parse_serial_of_index(body: bytes) -> int | None:
    """Return the serial that a root index, which ``parse_root_index`` accepted, tells of itself."""
    return parse_serial((_meta_decoder.decode(body.removeprefix(BOM_UTF8)).meta or wire.Meta()).last_serial) or None


def _decode(decoder: "msgspec.json.Decoder[_T]", body: bytes, url: str, wrong: str) -> _T:
    """Decode a document of the simple API, and check its version."""
    require_memory_to_read(body)
    body = body.removeprefix(BOM_UTF8)  # requests, and so pip, ignores it
    try:
        document = decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        # Another major version may have any shape (PEP 629): if that is the cause, say so rather than name a field.
        with suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            check_version(_meta_decoder.decode(body).meta, url)
        raise MalformedResponseError(url, f"{wrong}: {error}") from error
    check_version(document.meta, url)
    if document.meta is None or document.meta.api_version is None:
        host = urlsplit(url).netloc
        words = "%s sends JSON without an api-version; it is read as version 1.0"
        warn_once(logger, f"api-version of {host}", words, host)
    return document
