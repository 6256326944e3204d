"""Plans a run from an index that tells no serials: its names say what is new and what may be gone, and no more.

What has changed is seen only by asking for each page, so a share of the held projects is asked for in every run
(``refresh.py``). The serials are this mirror's own: each run that changes anything has the next one, and the pages that
changed have it too, so that whoever follows this mirror sees a journal.
"""

import time
from collections.abc import Iterable, Set

from msgspec import Struct

from bandersnatch.errors import MalformedResponseError, VanishedIndexError
from bandersnatch.http.request import FORBIDDEN
from bandersnatch.inifile.option import UpstreamKind
from bandersnatch.model import ListedProject
from bandersnatch.names import NormalizedName
from bandersnatch.plan.basis import Basis, HeldProjects
from bandersnatch.plan.pageless import Pageless
from bandersnatch.plan.reached import OwnSerials, Reached
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.state.upstream_record import UpstreamRecord, load_upstream
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.index import NO_SERIALS, Upstream
from bandersnatch.upstream.root_index import RootIndex

MOST_AT_ONCE = 10_000
"""If the root index tells that something has changed, but not what, so many held projects are asked for at once."""


def recall(upstream: Upstream, storage: FilesystemStorage, held: HeldProjects) -> UpstreamRecord | None:
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
    upstream.look_for_pages_at(record.simple_url, forbids_missing=record.forbids_missing)
    upstream.number_changes(max(held.serials().values(), default=0) + 1)
    return record


def found_shadowmire(upstream: Upstream) -> UpstreamRecord:
    """Return the record of a mirror made by shadowmire."""
    return UpstreamRecord(upstream.url, upstream.documents.simple_url, is_shadowmire=True)


class ByNames(Struct, frozen=True):
    """Plans by the names alone that a root index, or an allowlist in place of one, has."""

    basis: Basis
    root: RootIndex
    is_full: bool

    def add_to(self, todo: TodoList) -> Reached:
        """Add what is new and what may be gone; also all held projects, if something has changed and they are few.

        Raises:
            MalformedResponseError: the index has lost its serials.
            VanishedIndexError: the index lists nothing any more.
        """
        root, serials = self.root, self.basis.held.serials()
        self._require_right_to_count(serials.values())
        reached = max(todo.target_serial, max(serials.values(), default=0))
        self.basis.upstream.number_changes(reached + 1)
        if not root.is_unchanged and not root.projects and serials and not self.basis.may_be_empty:
            raise VanishedIndexError(root.url, len(serials))
        # Of more, no run has asked for all that changed before this serial.
        is_few = len(serials) <= MOST_AT_ONCE
        has_no_news = is_few and self._is_as_recorded()
        # The index tells that something has changed, and not what.
        asks_all = self.is_full or (root.whole_serial is not None and not has_no_news and is_few)
        pageless = Pageless.of(
            self.basis.record,
            time.time(),
            lambda name: name not in serials and (root.is_unchanged or name in root.projects),
        )
        for name, project in root.projects.items():
            is_new = name not in serials and not pageless.is_skipped(name)
            if asks_all or is_new:
                _add(todo, name, project, is_listed=root.is_there)
        missing = self._missing(serials.keys())
        if not root.is_unchanged:
            for name in [name for name in todo if name not in root.projects]:
                todo.add(name, TodoEntry(todo[name].display_name, 0, Expectation.REMOVED))
        todo.add_missing(missing)
        for name in pageless.due:
            if name not in todo:
                todo.add_listed(name, ListedProject(name, 0))
        own_serials = OwnSerials(reached + 1, self._record(pageless), has_no_news, missing, pageless)
        return Reached(reached + 1 if todo else reached, by_index=True, own_serials=own_serials)

    def _missing(self, held: Set[NormalizedName]) -> frozenset[NormalizedName]:
        """Return the held projects that the index does not list; of one that is unchanged, this is on record."""
        if not self.root.is_unchanged:
            return frozenset(held - self.root.projects.keys())
        known = self.basis.record.unlisted if self.basis.record is not None else ()
        return frozenset(NormalizedName(name) for name in known if name in held)

    def _require_right_to_count(self, serials: Iterable[int]) -> None:
        """Refuse an index that has lost its serials, as behind a proxy: what is held has upstream's.

        Raises:
            MalformedResponseError: it is such an index.
        """
        if self.basis.took_over:
            return
        if self.basis.record is None and self.basis.upstream.kind is not UpstreamKind.SIMPLE and any(serials):
            reason = f"{NO_SERIALS}, although what is here has some; if this index has none, set upstream-kind = simple"
            raise MalformedResponseError(self.root.url, reason)

    def _is_as_recorded(self) -> bool:
        """Whether the index tells that nothing has changed since the last complete run."""
        known, root = self.basis.record, self.root
        if known is None or known.whole_serial is None:
            return False
        # Trees of bandersnatch 6 and 8 may have the same serial twice: what has an ETag must have the same one, too.
        return root.is_unchanged or (root.whole_serial, root.etag) == (known.whole_serial, known.etag)

    def _record(self, pageless: Pageless) -> UpstreamRecord:
        """Return what is to be recorded of the index."""
        if self.root.is_unchanged and self.basis.record is not None:
            return self.basis.record
        upstream, root = self.basis.upstream, self.root
        return UpstreamRecord(
            upstream.url,
            upstream.documents.simple_url,
            has_root=root.is_there,
            forbids_missing=FORBIDDEN in upstream.documents.gone,
            etag=root.etag,
            whole_serial=root.whole_serial,
            pageless=tuple(pageless.known.values()),
        )


def _add(todo: TodoList, name: NormalizedName, project: ListedProject, *, is_listed: bool) -> None:
    if is_listed:
        todo.add_listed(name, project)
    else:  # nobody says that it exists, so it need not
        todo.add(name, TodoEntry(project.display_name, 0, Expectation.REMOVED))
