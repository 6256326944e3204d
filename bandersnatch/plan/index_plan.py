"""Plans a run from the root index, which has the serial of each project, but does not say what was removed.

The index may come from a cache and be older than what we hold; then it says nothing about anything newer. It may also
be old because upstream itself has gone back, and we do not follow such an upstream.
"""

import heapq
import logging
from collections.abc import Iterator, Mapping, Set
from typing import Protocol

from packaging.utils import NormalizedName

from bandersnatch.amounts import count_of
from bandersnatch.errors import EmptyIndexError, MalformedResponseError, NotFoundError, SerialMovedBackError
from bandersnatch.inifile.option import UpstreamKind
from bandersnatch.model import ListedProject
from bandersnatch.plan.own_serials import OwnCount, WithoutSerials
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.index import NO_SERIALS, Upstream
from bandersnatch.upstream.journal_end import LEEWAY

logger = logging.getLogger(__name__)


class HeldSerials(Protocol):
    """What the mirror holds."""

    def serials(self) -> Mapping[NormalizedName, int]:
        """Return the serials of all held projects."""

    def quarantined(self) -> Set[NormalizedName]:
        """Return the held projects that upstream has quarantined."""

    def awaited_serials(self) -> Mapping[NormalizedName, int]:
        """Return the serials that later runs will ask for on their own, because the pages of these projects were older."""

    def lower_serials(self, serials: Mapping[NormalizedName, int]) -> None:
        """Record that pages are older than we believed."""


_MOST_ROWS_OF_OTHERS = 1_000
"""Among so many consecutive rows of a journal, some are about listed projects. An index that claims to be further ahead
of its newest project is wrong, or mirrors only some projects; using the newest project's serial then misses nothing."""
_WITNESSES = 5
"""How many pages of each kind are fetched to tell an old index from an old upstream."""


def plan_from_index(
    todo: TodoList,
    upstream: Upstream,
    held: HeldSerials,
    *,
    is_full: bool,
    was_told_by_index: bool,
    may_be_empty: bool = False,
    without_serials: WithoutSerials,
    may_count: bool = True,
) -> tuple[int, OwnCount | None]:
    """Add the differences between the root index and what we hold, and return the index's serial.

    ``was_told_by_index`` says that the serial we reached came from the root index too; ``may_be_empty`` that the
    operator accepts an index that lists nothing. An index may be ``without_serials`` if ``may_count``; how the run counts
    then is returned too.

    Raises:
        EmptyIndexError: it lists nothing, although there is work to do.
        SerialMovedBackError: upstream is older than the serial we reached.
        UpstreamError: the root index can't be read, or has no serials.
    """
    may_count = may_count and upstream.kind is not UpstreamKind.WAREHOUSE
    root = without_serials.root(None if is_full else todo.target_serial, may_search=may_count)
    if root.is_unchanged and root.serial is not None:
        return root.serial, None
    serials = held.serials()
    if root.serial is None:
        if not may_count:
            raise MalformedResponseError(root.url, NO_SERIALS)
        without_serials.require_right_to_count(root, serials.values())
        return without_serials.plan(todo, root, serials, is_full=is_full, may_be_empty=may_be_empty)
    serial, listed = root.serial, root.projects
    # A new index lists nothing either, but its journal is empty as well.
    is_outage = not listed and serial > 0 and not may_be_empty
    if is_outage and not serials and (is_full or todo):
        raise EmptyIndexError(upstream.url, serial)
    if serial < todo.target_serial:
        _check_age(todo.target_serial, serial, upstream, _Witnesses(serial, todo, serials, listed), was_told_by_index)
    serials, quarantined = _without_wrong(serials, listed, serial, held), held.quarantined()
    awaited = held.awaited_serials()
    for name, project in listed.items():
        is_awaited = name in serials and awaited.get(name) == project.serial
        # A serial of 0 is unknown, and quarantined projects are not listed at all: that one is listed means that it was
        # released.
        is_newer = project.serial > serials.get(name, 0) and not is_awaited
        if is_full or is_newer or project.serial == 0 or name in quarantined:
            todo.add_listed(name, project)
    for name in [name for name in todo if name not in listed and todo[name].serial <= serial and not is_outage]:
        todo.add(name, TodoEntry(todo[name].display_name, 0, Expectation.REMOVED))
    # An index says nothing about what is newer than itself, and does not list quarantined projects.
    missing = ((name, at) for name, at in serials.items() if name not in listed)
    todo.add_missing(name for name, at in missing if is_full or (at <= serial and name not in quarantined))
    if is_outage and is_full:  # projects that return may be older than this index; the brake protects what is held
        return max(serials.values(), default=0), None
    newest = max((project.serial for project in listed.values()), default=0)
    if serial - newest > _MOST_ROWS_OF_OTHERS:
        logger.debug("%s: the root index has serial %d, but no project is newer than %d", upstream.url, serial, newest)
        return newest, None
    return serial, None


def _without_wrong(
    serials: Mapping[NormalizedName, int],
    listed: Mapping[NormalizedName, ListedProject],
    serial: int,
    held: HeldSerials,
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
