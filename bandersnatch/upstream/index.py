"""The index as the sync sees it: changes since a serial, all projects, a project's page, a file's bytes."""

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName

from bandersnatch.amounts import count_of
from bandersnatch.errors import (
    AheadOfJournalError,
    IntegrityError,
    MalformedResponseError,
    NotFoundError,
    shown,
    without_credentials,
)
from bandersnatch.http.body import Answer, Body, Resume
from bandersnatch.http.connections import new_connections
from bandersnatch.http.entity_tags import entity_tag
from bandersnatch.http.fetcher import Fetcher
from bandersnatch.http.lane import GONE, NOT_MODIFIED, Question
from bandersnatch.http.plain_body import PlainBody
from bandersnatch.http.request_limiter import RequestLimiter
from bandersnatch.logs import warn_once
from bandersnatch.model import (
    ChangelogEntry,
    ListedProject,
    ProjectPage,
    parse_display_name,
    parse_legacy_serial,
    parse_project_page,
    parse_root_index,
    parse_serial,
)
from bandersnatch.upstream.changelog import LONGEST_RATE_LIMIT_SECONDS, LONGEST_WAIT_SECONDS, Changelog, ProjectRule
from bandersnatch.upstream.expectations import Expectation
from bandersnatch.upstream.journal_end import JournalEnd

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
_JSON_TYPES = (SIMPLE_JSON, "application/vnd.pypi.simple.latest+json", "application/json")
SERIAL_HEADER = "X-PyPI-Last-Serial"
MAX_INDEX_BYTES = 160 * 1024 * 1024
"""PyPI's had about 45 MB in 2026; parsed, it stays below the promised 400 MB."""
MAX_PAGE_BYTES = 32 * 1024 * 1024
"""Twice the size of PyPI's largest page; parsed and rendered, it stays below the promised 400 MB."""
MAX_METADATA_BYTES = 16 * 1024 * 1024
MAX_EASY_PAGE_BYTES = 8 * 1024 * 1024
"""As it is sent; what may be larger is asked for by itself. The largest pages of PyPI are a quarter of it."""
Read = TypeVar("Read")
LARGE_BYTES = 1024 * 1024
"""From that on, a file is asked for in the way that costs less for each byte."""


class FetchedPage(Struct, frozen=True):
    """Upstream's answer to a request for a project's page; ``page`` is None if ours is still current (304).

    In that case ``etag`` is the answer's, or the one that was sent if the answer has none.
    """

    page: ProjectPage | None
    serial: int | None
    etag: str | None


class Upstream:
    """The index that we copy. Thread-safe.

    With ``has_only_changelog`` the root index must not replace the changelog, so every rate limit is waited for.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        upstream_url: str,
        wait: Callable[[float], bool],
        journal_end: JournalEnd | None = None,
        *,
        has_only_changelog: bool = False,
    ) -> None:
        self._fetcher, self._base_url = fetcher, without_credentials(upstream_url)
        longest_wait_seconds = LONGEST_RATE_LIMIT_SECONDS if has_only_changelog else LONGEST_WAIT_SECONDS
        self._changelog = Changelog(fetcher, upstream_url, wait, longest_wait_seconds)
        self.journal_end = journal_end or JournalEnd(self._changelog.last_serial)

    @property
    def url(self) -> str:
        """The index's base URL, without credentials."""
        return self._base_url

    def last_serial(self) -> int:
        """Return the newest serial of the journal; 0 if it is empty."""
        serial = self._changelog.last_serial()
        self.journal_end.learn(serial)
        return serial

    def changes_since(self, serial: int, at_least: int = 0) -> tuple[int, list[tuple[ChangelogEntry, Expectation]]]:
        """Return the newest serial in the answers, and all changes; the journal is known to reach ``at_least``."""
        newest, changes = self._changelog.since(serial, at_least)
        self.journal_end.learn(newest)
        return newest, changes

    def projects_at(self, serials: Sequence[int]) -> dict[int, NormalizedName | None]:
        """Return the projects that the journal names at these sorted serials; unknown ones are left out."""
        return self._changelog.projects_at(serials)

    def all_projects(
        self, keeps: ProjectRule, journal_end: int = 0
    ) -> tuple[int, Iterator[tuple[NormalizedName, ListedProject]]]:
        """Return the newest serial in the list of all projects, up to an hour old, and the projects that ``keeps``
        accepts.

        There are hundreds of thousands. ``journal_end`` is the newest serial we know of; a project whose serial is
        beyond the end of the journal gets serial 0.
        """
        return self._changelog.all_projects(keeps, journal_end)

    def root_index(self) -> tuple[int, dict[NormalizedName, ListedProject]]:
        """Return the serial of the PEP 691 root index, up to half an hour old, and all its projects with their serials.

        Quarantined projects are missing from it. A project whose serial is beyond that of the index gets serial 0.

        Raises:
            UpstreamError: there is no such index, or it has no serials.
        """
        with new_connections():
            answer = self._fetcher.get(f"{self._base_url}/simple/", {"Accept": SIMPLE_JSON}, MAX_INDEX_BYTES)
        serial, projects = _read_json(answer, "PEP 691 root index", partial(parse_root_index, answer.body, answer.url))
        if serial is None:
            raise MalformedResponseError(answer.url, "the root index has no serials")
        wrong = [name for name, project in projects.items() if not 0 < project.serial <= serial]
        if wrong:
            logger.warning(
                "%s: serials of %s, such as %s, are beyond %d, the index's own: they are not believed",
                answer.url, count_of(len(wrong), "project"), wrong[0], serial,
            )  # fmt: skip
        self.journal_end.learn_from_index(serial)
        return serial, projects | {name: replace(projects[name], serial=0) for name in wrong}

    def project_page(self, project: NormalizedName, etag: str | None) -> FetchedPage:
        """Fetch a project's page, unless it still has the given ETag.

        Raises:
            NotFoundError: there is no such project.
            UpstreamUnavailableError: no usable answer.
            MalformedResponseError: the answer is not a page of this project.
        """
        ask = partial(self._fetcher.get, self._page_url(project), _page_headers(etag), MAX_PAGE_BYTES)
        return self._read(ask, partial(self.read_page, project, etag))

    def page_question(self, project: NormalizedName, etag: str | None) -> Question:
        """Return the question, one of ``documents``, for a project's page, unless it still has the given ETag."""
        return Question(self._page_url(project), MAX_EASY_PAGE_BYTES, is_known=False, headers=_page_headers(etag))

    def read_page(self, project: NormalizedName, etag: str | None, answer: Answer) -> FetchedPage:
        """Return the page in an answer.

        Raises:
            NotFoundError: there is no such project.
            MalformedResponseError: the answer is not a page of this project.
            AheadOfJournalError: its serial is beyond the end of the journal.
        """
        if answer.status in GONE:
            raise NotFoundError(answer.url)
        # The header is checked as well as the page: a 304 has no body, and its serial would be recorded.
        header_serial = _serial_header(answer)
        if header_serial is not None and not self.journal_end.reaches(header_serial):
            raise AheadOfJournalError(answer.url, header_serial)
        if answer.status == NOT_MODIFIED:
            if etag is None:
                raise MalformedResponseError(answer.url, "304 Not Modified, although no ETag was sent")
            return FetchedPage(None, header_serial, answer.headers.get("ETag", etag))
        page = _read_json(answer, "PEP 691 page", partial(parse_project_page, answer.body, project, answer.url))
        if page.serial is not None and not self.journal_end.reaches(page.serial):
            raise AheadOfJournalError(answer.url, page.serial)
        serial = page.serial if page.serial is not None else header_serial
        return FetchedPage(page, serial, entity_tag(answer.headers.get("ETag")))

    def project_json(self, project: NormalizedName) -> tuple[bytes, int]:
        """Fetch the legacy JSON of a project, with its serial.

        Raises:
            NotFoundError: the project is missing, quarantined, or has no releases.
            UpstreamUnavailableError: no usable answer.
            MalformedResponseError: the answer is not legacy JSON of this project.
        """
        ask = partial(self._fetcher.get, f"{self._base_url}/pypi/{project}/json", {"Accept": "application/json"})

        def read(answer: Answer) -> tuple[bytes, int]:
            parse = partial(parse_legacy_serial, answer.body, project, answer.url)
            return answer.body, _read_json(answer, "JSON of a project", parse)

        return self._read(ask, read)

    def display_name(self, project: NormalizedName) -> str:
        """Return a project's name as upstream spells it, from its legacy JSON; raises what ``project_json`` raises."""
        return parse_display_name(self.project_json(project)[0])

    def metadata(self, file_url: str, sha256: str) -> bytes:
        """Fetch the core metadata of a file (PEP 658).

        Raises:
            IntegrityError: it does not have that digest.
            UpstreamError: as ``project_page`` does.
        """

        def read(answer: Answer) -> bytes:
            digest = hashlib.sha256(answer.body).hexdigest()
            if digest != sha256:
                raise IntegrityError(answer.url, "SHA-256", sha256, digest)
            return answer.body

        return self._read(partial(self._fetcher.get, f"{file_url}.metadata", {}, MAX_METADATA_BYTES), read)

    @contextmanager
    def file(self, file_url: str, size: int, resume: Resume | None = None) -> Iterator[Body | PlainBody]:
        """Open a distribution file of that size for reading, from ``resume`` on where that is given and upstream
        agrees.

        Raises:
            RangeRefusedError: upstream misanswered the request for the rest.
            UpstreamError: as ``project_page`` does.
        """
        if resume is None and size >= LARGE_BYTES:
            with self._fetcher.stream_plainly(file_url, size) as plain_body:
                if plain_body is not None:
                    yield plain_body
                    return
        with self._fetcher.stream(file_url, resume) as body:
            yield body

    @property
    def limiter(self) -> RequestLimiter:
        """Leave to have requests under way."""
        return self._fetcher.limiter

    def may_have_easily(self, question: Question) -> bool:
        """Whether ``documents`` may yield an answer, for all that is known."""
        return self._fetcher.bulk.may_have(question)

    def documents(self, wanted: deque[Question], most_lanes: Callable[[], int]) -> Generator[tuple[Question, Answer]]:
        """Yield the answers to questions as they come, over so many connections (see ``Bulk.documents``).

        What is not yielded did not come at the first try, and is to be asked for with ``file`` or ``project_page``.
        """
        return self._fetcher.bulk.documents(wanted, most_lanes)

    def _read(self, ask: Callable[[], Answer], read: Callable[[Answer], Read]) -> Read:
        """Ask, and read the answer; one that may belong to another question, and is not right, is had once more.

        Only one large document is had and read at a time.
        """
        with self._fetcher.large_documents.room():
            answer = ask()
            try:
                return read(answer)
            except (MalformedResponseError, IntegrityError):
                if not answer.is_later:
                    raise
            with new_connections():
                found = read(ask())
            self._fetcher.distrust(answer.url)
            return found

    def _page_url(self, project: NormalizedName) -> str:
        return f"{self._base_url}/simple/{project}/"


def _page_headers(etag: str | None) -> dict[str, str]:
    headers = {"Accept": SIMPLE_JSON}
    if etag is not None:
        headers["If-None-Match"] = etag
    return headers


def _read_json(answer: Answer, what: str, parse: Callable[[], _T]) -> _T:
    """Return what ``parse`` makes of an answer, if that is JSON, whatever content type it claims.

    Raises:
        MalformedResponseError: it is not JSON, and claims another content type; or what ``parse`` raises.
    """
    kind = answer.headers.get("Content-Type", "")
    if kind.partition(";")[0].strip().lower() in _JSON_TYPES:
        return parse()
    said = shown(kind, 80) or "something of no type"
    try:
        parsed = parse()
    except MalformedResponseError as error:
        if answer.body.lstrip().startswith(b"{"):
            raise
        raise MalformedResponseError(answer.url, f"no {what}, but {said}") from error
    host = urlsplit(answer.url).netloc
    warn_once(logger, f"content type of {host}", "%s sends JSON as %s; it is accepted anyway", host, said)
    return parsed


def _serial_header(answer: Answer) -> int | None:
    return parse_serial(answer.headers.get(SERIAL_HEADER, "").strip())
