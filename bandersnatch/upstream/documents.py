"""A project's documents as upstream has them: its page, its legacy JSON, the core metadata of its files.

Each is asked for by steps, so that whoever needs many has many under way.
"""

import hashlib
import logging
import re
from collections.abc import Callable
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.errors import AheadOfJournalError, IntegrityError, MalformedResponseError, NotFoundError
from bandersnatch.http.document import Answer, Document
from bandersnatch.http.entity_tags import entity_tag
from bandersnatch.http.request import GONE, NOT_MODIFIED, InThread, Request, Steps
from bandersnatch.json_documents import parse_legacy_serial, parse_project_page
from bandersnatch.logs import warn_once
from bandersnatch.model import ProjectPage, parse_serial
from bandersnatch.names import NormalizedName
from bandersnatch.shown_text import shown
from bandersnatch.upstream.journal_end import JournalEnd

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
_JSON_TYPES = (SIMPLE_JSON, "application/vnd.pypi.simple.latest+json", "application/json")
_HTML_TYPES = ("text/html", "application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.latest+html")
_BEGINS_LIKE_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<")
SERIAL_HEADER = "X-PyPI-Last-Serial"
MAX_PAGE_BYTES = 32 * 1024 * 1024
"""Twice the size of PyPI's largest page. Such a page takes less than 400 MB of memory, parsed and rendered."""
_PAGE = "PEP 691 page"
MAX_JSON_BYTES = 64 * 1024 * 1024
MAX_METADATA_BYTES = 16 * 1024 * 1024


class FetchedPage(Struct, frozen=True):
    """Upstream's answer to a request for a project's page; ``page`` is None if the held one is still right (304).

    Then ``etag`` is that of the answer, or, where it tells none, the one that was asked with.
    """

    page: ProjectPage | None
    serial: int | None
    etag: str | None


class Documents(Struct, frozen=True):
    """The documents of the index at ``base_url``, which has no credentials. A serial beyond ``journal_end`` is refused.

    Project pages are below ``simple_url``. If upstream has no serials, each page that it sends has the one that
    ``journal_end`` has for this run. An answer with a status in ``gone`` says that there is no such document.
    """

    base_url: str
    journal_end: JournalEnd
    simple_url: str
    gone: tuple[int, ...] = GONE

    def page(self, project: NormalizedName, etag: str | None) -> Steps[FetchedPage]:
        """Fetch a project's page, unless it still has the given ETag.

        JSON alone is asked for: an index that has none sends HTML in spite of it, which is read too; and for PyPI's caches
        each other ``Accept`` is another document, with an ETag of its own.

        Raises:
            NotFoundError: there is no such project.
            UpstreamUnavailableError: no usable answer.
            MalformedResponseError: the answer is no page of this project.
            AheadOfJournalError: its serial is beyond the end of the journal.
        """
        headers = {"Accept": SIMPLE_JSON}
        if etag is not None:
            headers["If-None-Match"] = etag
        url, own = f"{self.simple_url}/{project}/", self.journal_end.own_serial
        receiver = Document(partial(_read_page, project, etag, url if own is not None else None), MAX_PAGE_BYTES)
        fetched: tuple[FetchedPage, int] = yield Request(url, receiver, headers, project, self.gone)
        page, highest = fetched
        if own is not None:
            if page.page is None:
                return replace(page, serial=None)
            # simple-repository-server has them in the order of a set, which each of its processes has in another way.
            in_order = replace(page.page, versions=tuple(sorted(page.page.versions)))
            return replace(page, serial=own, page=in_order)
        if not (yield from self.reaches(highest)):
            raise AheadOfJournalError(url, highest)
        return page

    def reaches(self, serial: int) -> Steps[bool]:
        """Return whether the journal reaches a serial. If upstream must be asked, other steps continue meanwhile."""
        if self.journal_end.must_ask(serial):
            return bool((yield InThread(partial(self.journal_end.reaches, serial))))
        return self.journal_end.reaches(serial)

    def legacy_json(self, project: NormalizedName) -> Steps[tuple[bytes, int]]:
        """Fetch the legacy JSON of a project, and its serial.

        Raises:
            NotFoundError: the project has no releases, is quarantined, or there is none.
            UpstreamUnavailableError: no usable answer.
            MalformedResponseError: the answer is no JSON of this project.
        """

        def read(answer: Answer) -> tuple[bytes, int]:
            parse = partial(parse_legacy_serial, answer.body, project, answer.url)
            return answer.body, read_json(answer, "JSON of a project", parse)

        url = f"{self.base_url}/pypi/{project}/json"
        found: tuple[bytes, int] = yield Request(
            url, Document(read, MAX_JSON_BYTES), {"Accept": "application/json"}, project, self.gone
        )
        return found

    def metadata(self, file_url: str, sha256: str, project: NormalizedName) -> Steps[bytes]:
        """Fetch the core metadata of a project's file (PEP 658).

        Raises:
            IntegrityError: it is not the one with that digest.
            UpstreamError: as ``page`` does.
        """

        def read(answer: Answer) -> bytes:
            digest = hashlib.sha256(answer.body).hexdigest()
            if digest != sha256:
                raise IntegrityError(answer.url, "SHA-256", sha256, digest)
            return answer.body

        receiver = Document(read, MAX_METADATA_BYTES)
        found: bytes = yield Request(f"{file_url}.metadata", receiver, {}, project, self.gone)
        return found


def read_json(answer: Answer, what: str, parse: Callable[[], _T]) -> _T:
    """Return what ``parse`` returns for an answer that is JSON, whatever its content type says.

    Raises:
        MalformedResponseError: the answer is not JSON, and does not claim to be; or what ``parse`` raises.
    """
    is_said = _type_of(answer) in _JSON_TYPES
    try:
        parsed = parse()
    except MalformedResponseError as error:
        if _BEGINS_LIKE_HTML.match(answer.body):
            said = f"HTML, said to be {_said_type(answer)}" if is_said else _said_type(answer)
        elif is_said or answer.body.lstrip().startswith(b"{"):
            raise
        else:
            said = _said_type(answer)
        raise MalformedResponseError(answer.url, f"no {what}, but {said}") from error
    if not is_said:
        _tell_wrong_type(answer, "JSON")
    return parsed


def begins_like_html(answer: Answer) -> bool:
    """Whether an answer that is not said to be JSON begins as HTML does."""
    return _type_of(answer) not in _JSON_TYPES and _BEGINS_LIKE_HTML.match(answer.body) is not None


def _parse_page(answer: Answer, project: NormalizedName) -> ProjectPage:
    """Return the page in an answer, be it JSON or HTML.

    Raises:
        MalformedResponseError: it is neither, or what is wrong with it.
    """
    if not begins_like_html(answer):
        return read_json(answer, _PAGE, partial(parse_project_page, answer.body, project, answer.url))
    from bandersnatch.upstream.html_page import parse_html_page  # noqa: PLC0415 - slow to import, and few indexes need it

    page = parse_html_page(answer.body, answer.headers.get("Content-Type", ""), project, answer.url)
    if page is None:
        raise MalformedResponseError(answer.url, f"no {_PAGE}, but {_said_type(answer)}")
    if _type_of(answer) not in _HTML_TYPES:
        _tell_wrong_type(answer, "HTML")
    return page


def _type_of(answer: Answer) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _said_type(answer: Answer) -> str:
    return shown(answer.headers.get("Content-Type", ""), 80) or "something of no type"


def _tell_wrong_type(answer: Answer, what: str) -> None:
    host = urlsplit(answer.url).netloc
    said = _said_type(answer)
    warn_once(logger, f"content type of {host}", "%s sends %s as %s; it is accepted anyway", host, what, said)


def _read_page(
    project: NormalizedName, etag: str | None, from_host_of: str | None, answer: Answer
) -> tuple[FetchedPage, int]:
    """Return the page, and the highest serial in the answer.

    Indexes such as pypiserver lead to PyPI for what they do not have: another host than ``from_host_of`` is not believed.
    """
    if from_host_of is not None and urlsplit(answer.url).hostname != urlsplit(from_host_of).hostname:
        logger.debug("%s: it leads to %s, which is another index", from_host_of, answer.url)
        raise NotFoundError(from_host_of)
    header_serial = _serial_header(answer)
    if answer.status == NOT_MODIFIED:
        if etag is None:
            raise MalformedResponseError(answer.url, "304 Not Modified, although no ETag was sent")
        return FetchedPage(None, header_serial, answer.headers.get("ETag", etag)), header_serial or 0
    page = _parse_page(answer, project)
    serial = page.serial if page.serial is not None else header_serial
    fetched = FetchedPage(page, serial, entity_tag(answer.headers.get("ETag")))
    return fetched, max(header_serial or 0, page.serial or 0)


def _serial_header(answer: Answer) -> int | None:
    return parse_serial(answer.headers.get(SERIAL_HEADER, "").strip())
