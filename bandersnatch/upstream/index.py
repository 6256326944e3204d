"""The index as a run sees it: changes since a serial, all projects; and one document of a project, where that is all."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from msgspec.structs import replace

from bandersnatch.amounts import count_of
from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.errors import MalformedResponseError
from bandersnatch.http.conversation import Conversation
from bandersnatch.http.entity_tags import are_equivalent
from bandersnatch.http.request import FORBIDDEN, GONE, Steps
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.inifile.option import ApiMethod, UpstreamKind, is_public_pypi
from bandersnatch.json_documents import parse_display_name
from bandersnatch.model import ChangelogEntry, ListedProject
from bandersnatch.names import NormalizedName
from bandersnatch.shown_text import without_credentials
from bandersnatch.upstream.changelog import LONGEST_RATE_LIMIT_SECONDS, LONGEST_WAIT_SECONDS, Changelog, ProjectRule
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.documents import SIMPLE_JSON, Documents, FetchedPage
from bandersnatch.upstream.journal_end import JournalEnd
from bandersnatch.upstream.root_index import RootIndex, form_of, read_local_json, read_local_serial, read_root

if TYPE_CHECKING:
    from bandersnatch.upstream.static_journal import StaticJournal

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

NO_SERIALS = "the root index has no serials"
MAX_INDEX_BYTES = 160 * 1024 * 1024
"""PyPI's had about 45 MB in 2026. With what is read out of it, this is less than the 400 MB that are promised."""


class Upstream:
    """The index that we copy. Thread-safe.

    ``api_method`` and ``kind`` are what the operator says of it. If XML-RPC is the only way, the root index must not
    replace the changelog, so every rate limit is waited for.
    """

    def __init__(
        self,
        conversation: Conversation,
        upstream_url: str,
        *,
        api_method: ApiMethod = ApiMethod.AUTO,
        kind: UpstreamKind = UpstreamKind.AUTO,
    ) -> None:
        self.api_method, self.kind = api_method, kind
        may_have_journal = kind in (UpstreamKind.AUTO, UpstreamKind.WAREHOUSE)
        self._asks_journal = may_have_journal and api_method is not ApiMethod.SIMPLE
        self._has_local_json = kind is UpstreamKind.SHADOWMIRE
        self._conversation, self._base_url = conversation, without_credentials(upstream_url)
        is_only_way = api_method is ApiMethod.XMLRPC
        longest_wait_seconds = LONGEST_RATE_LIMIT_SECONDS if is_only_way else LONGEST_WAIT_SECONDS
        self._changelog = Changelog(conversation, upstream_url, longest_wait_seconds)
        self.journal_end = JournalEnd(self._changelog.last_serial)
        self.documents = Documents(self._base_url, self.journal_end, f"{self._base_url}/simple")

    @classmethod
    def configured(cls, http: HttpConfig, conversation: Conversation) -> "Upstream":
        """Return the index that a configuration names."""
        return cls(conversation, http.upstream_url, api_method=http.api_method, kind=http.kind)

    @property
    def url(self) -> str:
        """The index's base URL, without credentials."""
        return self._base_url

    @property
    def asks_journal(self) -> bool:
        """Whether the journal is asked; not if the operator, or a run, says that there is none."""
        return self._asks_journal

    @property
    def has_local_json(self) -> bool:
        """Whether shadowmire's list takes the place of the root index."""
        return self._has_local_json

    @property
    def limits(self) -> RunLimits:
        """How patient requests are, and what the run has used of that."""
        return self._conversation.limits

    @property
    def changes(self) -> "StaticJournal":
        """The static journal, if upstream is another bandersnatch."""
        from bandersnatch.upstream.static_journal import StaticJournal  # noqa: PLC0415 - most follow PyPI, which has none

        return StaticJournal(self._conversation, self._base_url)

    def last_serial(self) -> int:
        """Return the newest serial of the journal; 0 if it is empty."""
        serial = self._changelog.last_serial()
        self.journal_end.learn(serial)
        return serial

    def changes_since(
        self, serial: int, at_least: int = 0, known: int = 0
    ) -> tuple[int, list[tuple[ChangelogEntry, Expectation]]]:
        """Return the newest serial in the answers, and all changes; the journal is known to reach ``at_least``.

        Changes up to ``known`` may be left out if no newer ones follow.
        """
        newest, changes = self._changelog.since(serial, at_least, known)
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

    def root(self, etag: str | None = None) -> RootIndex:
        """Return the root index, be it JSON or HTML, with serials or without; ask for it only if its ETag is another.

        It may be half an hour old, and quarantined projects are missing from it. A project whose serial is beyond that of
        the index gets serial 0.

        Raises:
            NotFoundError: there is none.
            UpstreamError: it can't be read.
        """
        url = f"{self.documents.simple_url}/"
        headers = {"Accept": SIMPLE_JSON} | ({} if etag is None else {"If-None-Match": etag})
        root = read_root(self._conversation.get(url, headers, MAX_INDEX_BYTES))
        if root.is_unchanged and root.etag is not None and not are_equivalent(root.etag, etag or ""):
            logger.warning("%s: 304 Not Modified, but of another ETag; it is fetched without a condition", url)
            return self.root()
        self._require_own(root)
        return root if root.serial is None else self._with_true_serials(root, root.serial)

    def local_json(self, reached: int | None) -> RootIndex:
        """Return what a mirror made by shadowmire tells of its projects, unless its serial is the one that was ``reached``.

        Raises:
            NotFoundError: it has no such document.
            UpstreamError: it can't be read.
        """
        serial, url = self._local_serial(), f"{self._base_url}/local.json"
        if serial == reached:
            return RootIndex(url, serial, {}, is_unchanged=True)
        projects = read_local_json(self._conversation.get(url, {"Accept": "application/json"}, MAX_INDEX_BYTES))
        if any(project.serial > serial for project in projects.values()):
            serial = self._local_serial()  # both may have been written between the two requests
        return self._with_true_serials(RootIndex(url, serial, projects), serial)

    def _local_serial(self) -> int:
        return read_local_serial(self._conversation.get(f"{self._base_url}/local.db.serial", {}, MAX_INDEX_BYTES))

    def use_local_json(self) -> None:
        """Take it for a mirror made by shadowmire: it has no journal, and a list in place of the root index."""
        self._asks_journal, self._has_local_json = False, True

    def number_changes(self, serial: int) -> None:
        """Take it for an index without serials and journal: what changes in this run gets this serial."""
        self._asks_journal = False
        self.journal_end.count_own(serial)

    def look_for_pages_at(self, simple_url: str, *, forbids_missing: bool = False) -> None:
        """Ask for the root index and the project pages below another URL, where 403 may say that there is no page."""
        gone = (*GONE, FORBIDDEN) if forbids_missing else GONE
        self.documents = replace(self.documents, simple_url=simple_url, gone=gone)

    def _require_own(self, root: RootIndex) -> None:
        """Refuse a root index to which another index leads: PyPI's, or one without serials at another host.

        Pages at another host than ``master`` count as gone, if there are no serials. Some indexes lead to PyPI for what they
        do not have, and nobody wants all of PyPI by accident.

        Raises:
            MalformedResponseError: it is such a root index.
        """
        is_elsewhere = urlsplit(root.url).hostname != urlsplit(self._base_url).hostname
        if is_elsewhere and (root.serial is None or is_public_pypi(root.url)) and not is_public_pypi(self._base_url):
            url = f"{self.documents.simple_url}/"
            raise MalformedResponseError(url, f"it leads to {root.url}; if that is the index, set master accordingly")

    def _with_true_serials(self, root: RootIndex, serial: int) -> RootIndex:
        """Return the index without the serials that it can't have given to its projects."""
        projects = root.projects
        wrong = [name for name, project in projects.items() if not 0 < project.serial <= serial]
        if wrong:
            logger.warning(
                "%s: serials of %s, such as %s, are beyond %d, the index's own: they are not believed",
                root.url, count_of(len(wrong), "project"), wrong[0], serial,
            )  # fmt: skip
        self.journal_end.learn_from_index(serial)
        if not wrong:
            return root
        return replace(root, projects=projects | {name: replace(projects[name], serial=0) for name in wrong})

    def project_page(self, project: NormalizedName, etag: str | None) -> FetchedPage:
        """Fetch one project's page, and wait for it; raises what ``Documents.page`` raises."""
        return self.finish(self.documents.page(project, etag))

    def form_of_page(self, project: NormalizedName) -> str:
        """Return in which form upstream sends a project's page: JSON or HTML."""
        url = f"{self.documents.simple_url}/{project}/"
        return form_of(self._conversation.get(url, {"Accept": SIMPLE_JSON}, MAX_INDEX_BYTES))

    def project_json(self, project: NormalizedName) -> tuple[bytes, int]:
        """Fetch the legacy JSON of one project, and wait for it; raises what ``Documents.legacy_json`` raises."""
        return self.finish(self.documents.legacy_json(project))

    def display_name(self, project: NormalizedName) -> str:
        """Return a project's name as upstream spells it, from its legacy JSON; raises what ``project_json`` raises."""
        return parse_display_name(self.project_json(project)[0])

    def finish(self, steps: Steps[_T]) -> _T:
        """Make steps that need documents, over an engine of their own; return their result or raise their error."""
        from bandersnatch.http.driver import Driver  # noqa: PLC0415 - a run with nothing new has no use for it

        with closing(self._conversation.new_transfer()) as transfer, closing(Driver(transfer, 1)) as driver:
            return driver.finish(steps)
