"""Plans a run from an index that tells no serials: its names say what is new and what may be gone, and no more.

What has changed is seen only by asking for each page, so a share of the held projects is asked for in every run
(``refresh.py``). The serials are this mirror's own: each run that changes anything has the next one, and the pages that
changed have it too, so that whoever follows this mirror sees a journal.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName

from bandersnatch.errors import (
    MalformedResponseError,
    NoIndexError,
    NotFoundError,
    UpstreamUnavailableError,
    VanishedIndexError,
)
from bandersnatch.inifile.option import UpstreamKind
from bandersnatch.model import ListedProject
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.state.upstream_record import UpstreamRecord, load_upstream, places_of
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.index import NO_SERIALS, Upstream
from bandersnatch.upstream.root_index import RootIndex

MOST_AT_ONCE = 10_000
"""If the root index tells that something has changed, but not what, so many held projects are asked for at once."""
_PROBES = 5
"""How many allowlisted names are tried to find the pages of an index that has no list of its projects."""


class Serials(Protocol):
    """The serials of what the mirror holds."""

    def serials(self) -> Mapping[NormalizedName, int]:
        """Return the serials of all held projects."""


class OwnCount(Struct, frozen=True):
    """The serial of what changes in this run, which is one of our own, and what is recorded of the index.

    ``has_no_news``: the root index tells that nothing at all has changed. ``missing`` are the held projects that it does
    not list.
    """

    serial: int
    record: UpstreamRecord
    has_no_news: bool = False
    missing: frozenset[NormalizedName] = frozenset()

    def recorded(self, *, is_complete: bool) -> UpstreamRecord:
        """Return the record; only after a complete run may the next one ask whether the index is still the same."""
        return (
            self.record
            if is_complete
            else UpstreamRecord(self.record.url, self.record.simple_url, has_root=self.record.has_root)
        )


def recall(upstream: Upstream, storage: FilesystemStorage, held: Serials) -> UpstreamRecord | None:
    """Let ``upstream`` know what earlier runs found out, and return it; None if its serials count.

    What the operator says of the index, its kind, overrides what was found out.
    """
    record, kind = load_upstream(storage, upstream.url), upstream.kind
    is_shadowmire = kind is UpstreamKind.SHADOWMIRE or (
        kind is UpstreamKind.AUTO and record is not None and record.is_shadowmire
    )
    if is_shadowmire:
        upstream.use_local_json()
    if is_shadowmire or record is None or record.is_shadowmire or kind is UpstreamKind.WAREHOUSE:
        return None
    upstream.look_for_pages_at(record.simple_url)
    upstream.number_changes(max(held.serials().values(), default=0) + 1)
    return record


def found_shadowmire(upstream: Upstream) -> UpstreamRecord:
    """Return the record of a mirror made by shadowmire."""
    return UpstreamRecord(upstream.url, upstream.documents.simple_url, is_shadowmire=True)


class WithoutSerials(Struct, frozen=True):
    """How a run plans if upstream has no serials: ``known`` is the record; ``names`` are those that allowlists name."""

    upstream: Upstream
    known: UpstreamRecord | None
    names: frozenset[NormalizedName]

    def root(self, reached: int | None, *, may_search: bool) -> RootIndex:
        """Return the root index, or in place of one that is missing the names on the allowlists.

        ``reached`` is the serial that was reached; None if everything is asked for. With ``may_search`` the index may be
        elsewhere than PyPI's, and in place of its serials there may be shadowmire's.

        Raises:
            UpstreamError: there is none, or it can't be read.
        """
        known, is_full = self.known, reached is None
        if self.upstream.has_local_json:
            return self.upstream.local_json(reached)
        if known is not None and known.has_root:
            root = self.upstream.root(None if is_full else known.etag)
            return root if root.serial is None else _without_its_serials(root)
        if known is not None and not is_full:
            return self._listed()
        try:
            root = self.upstream.root()
        except NotFoundError as error:
            if not may_search:
                raise
            return self._found_elsewhere(error)
        if root.serial is None and may_search and self.upstream.kind is UpstreamKind.AUTO:
            with suppress(NotFoundError, MalformedResponseError, UpstreamUnavailableError):
                root = self.upstream.local_json(None)
                self.upstream.use_local_json()
        return root

    def require_right_to_count(self, root: RootIndex, serials: Iterable[int]) -> None:
        """Refuse an index that has lost its serials, as behind a proxy: what is held has upstream's.

        Raises:
            MalformedResponseError: it is such an index.
        """
        if self.known is None and self.upstream.kind is not UpstreamKind.SIMPLE and any(serials):
            reason = f"{NO_SERIALS}, although what is here has some; if this index has none, set upstream-kind = simple"
            raise MalformedResponseError(root.url, reason)

    def plan(
        self,
        todo: TodoList,
        root: RootIndex,
        serials: Mapping[NormalizedName, int],
        *,
        is_full: bool,
        may_be_empty: bool,
    ) -> tuple[int, OwnCount]:
        """Add what is new and what may be gone; return the serial to reach, and how the run counts.

        Raises:
            VanishedIndexError: the index lists nothing any more.
        """
        known, url = self.known, self.upstream.url
        base = max(todo.target_serial, max(serials.values(), default=0))
        record = UpstreamRecord(
            url,
            self.upstream.documents.simple_url,
            has_root=root.is_there,
            etag=root.etag,
            whole_serial=root.whole_serial,
        )
        self.upstream.number_changes(base + 1)
        is_same = root.is_unchanged
        if is_same and known is not None:
            record = known
        elif not root.projects and serials and not may_be_empty:
            raise VanishedIndexError(root.url, len(serials))
        # Trees of bandersnatch 6 and 8 may have the same serial twice: what has an ETag must have the same one, too.
        is_few = len(serials) <= MOST_AT_ONCE
        has_no_news = (
            is_few  # of more, no run has asked for all that changed before this serial
            and known is not None
            and known.whole_serial is not None
            and (is_same or (root.whole_serial, root.etag) == (known.whole_serial, known.etag))
        )
        # The index tells that something has changed, and not what.
        asks_all = is_full or (root.whole_serial is not None and not has_no_news and is_few)
        for name, project in root.projects.items():
            if asks_all or name not in serials:
                _add(todo, name, project, is_listed=root.is_there)
        missing = frozenset(name for name in serials if not is_same and name not in root.projects)
        if not is_same:
            for name in [name for name in todo if name not in root.projects]:
                todo.add(name, TodoEntry(todo[name].display_name, 0, Expectation.REMOVED))
            todo.add_missing(missing)
        return base + 1 if todo else base, OwnCount(base + 1, record, has_no_news, missing)

    def _listed(self) -> RootIndex:
        listed = {name: ListedProject(name, 0) for name in self.names}
        return RootIndex(f"{self.upstream.documents.simple_url}/", None, listed, is_there=False)

    def _found_elsewhere(self, error: NotFoundError) -> RootIndex:
        """Look for the index at the URL itself; without one, for the pages of allowlisted projects.

        Raises:
            UpstreamError: there is neither.
        """
        usual, other = places_of(self.upstream.url)
        self.upstream.look_for_pages_at(other)
        try:
            return self.upstream.root()
        except (NotFoundError, MalformedResponseError):
            for place in (usual, other):
                self.upstream.look_for_pages_at(place)
                if any(map(self._has_page, sorted(self.names)[:_PROBES])):
                    return self._listed()
        self.upstream.look_for_pages_at(usual)
        raise NoIndexError(self.upstream.url, error) if self.names else error

    def _has_page(self, name: NormalizedName) -> bool:
        try:
            self.upstream.project_page(name, None)
        except (NotFoundError, MalformedResponseError):
            return False
        return True


def _without_its_serials(root: RootIndex) -> RootIndex:
    """Return an index that has got serials meanwhile: they are another count than ours, and say only that it differs."""
    projects = {name: ListedProject(project.display_name, 0) for name, project in root.projects.items()}
    return replace(root, serial=None, projects=projects, whole_serial=root.serial)


def _add(todo: TodoList, name: NormalizedName, project: ListedProject, *, is_listed: bool) -> None:
    if is_listed:
        todo.add_listed(name, project)
    else:  # nobody says that it exists, so it need not
        todo.add(name, TodoEntry(project.display_name, 0, Expectation.REMOVED))
