"""Plans a run from the root index, which has the serial of each project, but does not say what was removed.

The index may come from a cache and be older than what we hold; then it says nothing about anything newer. It may also
be old because upstream itself has gone back, and we do not follow such an upstream.
"""

import heapq
import logging
from collections.abc import Iterator, Mapping, Set
from typing import Protocol

from msgspec import Struct

from bandersnatch.amounts import count_of
from bandersnatch.errors import EmptyIndexError, MalformedResponseError, NotFoundError, SerialMovedBackError
from bandersnatch.inifile.option import UpstreamKind
from bandersnatch.model import ListedProject
from bandersnatch.names import NormalizedName
from bandersnatch.plan.allowlisted import allowlisted
from bandersnatch.plan.basis import Basis, HeldProjects, Scope
from bandersnatch.plan.own_serials import ByNames
from bandersnatch.plan.reached import Reached
from bandersnatch.plan.root_search import RootSearch
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.index import NO_SERIALS, Upstream
from bandersnatch.upstream.journal_end import LEEWAY
from bandersnatch.upstream.root_index import RootIndex

logger = logging.getLogger(__name__)


_MOST_ROWS_OF_OTHERS = 1_000
"""Among so many consecutive rows of a journal, some are about listed projects. An index that claims to be further ahead
of its newest project is wrong, or mirrors only some projects; using the newest project's serial then misses nothing."""
_WITNESSES = 5
"""How many pages of each kind are fetched to tell an old index from an old upstream."""


class IndexPlan(Protocol):
    """How a root index that has been read becomes work."""

    def add_to(self, todo: TodoList) -> Reached:
        """Add the differences between the index and what we hold."""


def plan_from_index(todo: TodoList, basis: Basis, scope: Scope, *, may_lack_serials: bool = True) -> Reached:
    """Add the differences between the root index and what we hold, and return the index's serial, or our own.

    Raises:
        EmptyIndexError: it lists nothing, although there is work to do.
        SerialMovedBackError: upstream is older than the serial we reached.
        UpstreamError: the root index can't be read, or lacks serials although it may not.
    """
    may_lack_serials = may_lack_serials and basis.upstream.kind is not UpstreamKind.WAREHOUSE
    search = RootSearch(basis.upstream, basis.record, allowlisted(basis.filters))
    root = search.root(None if scope.is_full else todo.target_serial, may_search=may_lack_serials)
    plan: IndexPlan
    if root.serial is not None:
        plan = BySerials(basis, scope, root, root.serial)
    elif may_lack_serials:
        plan = ByNames(basis, root, scope.is_full)
    else:
        raise MalformedResponseError(root.url, NO_SERIALS)
    return plan.add_to(todo)


class BySerials(Struct, frozen=True):
    """Plans by the serials that the root index has: its own ``serial``, and that of each project."""

    basis: Basis
    scope: Scope
    root: RootIndex
    serial: int

    def add_to(self, todo: TodoList) -> Reached:
        """Add the differences between the index and what we hold, and return the index's serial.

        Raises:
            EmptyIndexError: the index lists nothing, although there is work to do.
            SerialMovedBackError: upstream is older than the serial we reached.
        """
        if self.root.is_unchanged:
            return Reached(self.serial, by_index=True)
        upstream, held, listed = self.basis.upstream, self.basis.held, self.root.projects
        serials = held.serials()
        # A new index lists nothing either, but its journal is empty as well.
        is_outage = not listed and self.serial > 0 and not self.basis.may_be_empty
        if is_outage and not serials and (self.scope.is_full or todo):
            raise EmptyIndexError(upstream.url, self.serial)
        if self.serial < todo.target_serial:
            witnesses = _Witnesses(self.serial, todo, serials, listed)
            _check_age(todo.target_serial, self.serial, upstream, witnesses, self.scope.was_told_by_index)
        serials = _without_wrong(serials, listed, self.serial, held)
        quarantined = held.quarantined()
        self._add_listed(todo, serials, quarantined)
        if not is_outage:
            for name in [name for name in todo if name not in listed and todo[name].serial <= self.serial]:
                todo.add(name, TodoEntry(todo[name].display_name, 0, Expectation.REMOVED))
        self._add_missing(todo, serials, quarantined)
        if is_outage and self.scope.is_full:
            # Projects that return may be older than this index; the brake protects what is held.
            return Reached(max(serials.values(), default=0), by_index=True)
        return Reached(self._believed_serial(), by_index=True)

    def _add_listed(
        self, todo: TodoList, serials: Mapping[NormalizedName, int], quarantined: Set[NormalizedName]
    ) -> None:
        awaited = self.basis.held.awaited_serials()
        for name, project in self.root.projects.items():
            is_awaited = name in serials and awaited.get(name) == project.serial
            # A serial of 0 is unknown, and quarantined projects are not listed at all: that one is listed means that it
            # was released.
            is_newer = project.serial > serials.get(name, 0) and not is_awaited
            if self.scope.is_full or is_newer or project.serial == 0 or name in quarantined:
                todo.add_listed(name, project)

    def _add_missing(
        self, todo: TodoList, serials: Mapping[NormalizedName, int], quarantined: Set[NormalizedName]
    ) -> None:
        # An index says nothing about what is newer than itself, and does not list quarantined projects.
        missing = ((name, at) for name, at in serials.items() if name not in self.root.projects)
        todo.add_missing(
            name for name, at in missing if self.scope.is_full or (at <= self.serial and name not in quarantined)
        )

    def _believed_serial(self) -> int:
        """Return the index's serial, or that of its newest project if the index claims to be far ahead of it."""
        newest = max((project.serial for project in self.root.projects.values()), default=0)
        if self.serial - newest <= _MOST_ROWS_OF_OTHERS:
            return self.serial
        url = self.basis.upstream.url
        logger.debug("%s: the root index has serial %d, but no project is newer than %d", url, self.serial, newest)
        return newest


def _without_wrong(
    serials: Mapping[NormalizedName, int],
    listed: Mapping[NormalizedName, ListedProject],
    serial: int,
    held: HeldProjects,
) -> Mapping[NormalizedName, int]:
    """Return the serials of what we hold, lowering those that upstream can't have meant.

    A serial that the index has passed is wrong if the index lists the project with a lower one; so is a serial far
    beyond the index. Such a page would never be considered older than upstream's.
    """
    wrong = {
        name: listed[name].serial if name in listed else 0
        for name, at in serials.items()
        if at > serial + LEEWAY or (at <= serial and name in listed and 0 < listed[name].serial < at)
    }
    if not wrong:
        return serials
    logger.warning("serials here that contradict upstream's index: %s, checked again", count_of(len(wrong), "project"))
    held.lower_serials(wrong)
    return {**serials, **{name: at - 1 if at else 0 for name, at in wrong.items()}}


class _Witnesses:
    """The projects whose pages show whether upstream is as old as its root index, which has this serial."""

    def __init__(
        self,
        serial: int,
        todo: TodoList,
        held: Mapping[NormalizedName, int],
        listed: Mapping[NormalizedName, ListedProject],
    ) -> None:
        self.held = _newest({name: at for name, at in held.items() if at > serial})
        """Projects that we hold at a newer serial than the index has."""
        announced = _newest({name: todo[name].serial for name in todo if todo[name].serial > serial})
        self._others = [*announced, *_newest({name: project.serial for name, project in listed.items()})]

    def __iter__(self) -> Iterator[NormalizedName]:
        return iter(dict.fromkeys([*self.held, *self._others]))


def _newest(serials: Mapping[NormalizedName, int]) -> list[NormalizedName]:
    return heapq.nlargest(_WITNESSES, serials, key=serials.__getitem__)


def _check_age(ours: int, theirs: int, upstream: Upstream, witnesses: _Witnesses, was_told_by_index: bool) -> None:
    """Accept an index that is older than this mirror because of a cache; refuse one of an upstream that has gone back.

    Pages come from other caches: a page newer than the index shows that only the index is old. If there is none, and we
    hold something newer, or the index itself was newer before, upstream has gone back.
    """
    for name in witnesses:
        try:
            page = upstream.project_page(name, None)
        except NotFoundError:
            continue
        if page.serial is not None and page.serial > theirs:
            return
    if witnesses.held or was_told_by_index:
        raise SerialMovedBackError(upstream.url, ours, theirs)
