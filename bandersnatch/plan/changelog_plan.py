"""Plans a run from upstream's changelog, which says what has changed and what was removed."""

import logging

from bandersnatch.errors import MalformedResponseError, SerialMovedBackError
from bandersnatch.filters.filters import Filters
from bandersnatch.model import ChangelogEntry
from bandersnatch.plan.basis import Basis, HeldProjects, Scope
from bandersnatch.plan.named_projects import look_up, named_projects
from bandersnatch.plan.reached import Reached
from bandersnatch.state.todo import TodoList
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.index import Upstream

logger = logging.getLogger(__name__)

RECENT_SERIALS = 2_000
"""About an hour of PyPI's changelog: no cache keeps a project's page or JSON for longer."""
_MOST_ROWS_IN_PLACE_OF_A_LIST = 50_000
"""If no project is listed, a journal that fits into one answer still names all there ever were; PyPI's does not fit."""


def plan_from_changelog(todo: TodoList, basis: Basis, scope: Scope) -> Reached:
    """Add all projects, or what has changed since the changelog was last read.

    Raises:
        SerialMovedBackError: upstream's journal ends before the serial we reached.
        UpstreamError: upstream could not be asked.
    """
    if scope.is_full:
        return Reached(plan_everything(todo, basis.upstream, basis.held, basis.filters), by_index=False)
    return Reached(plan_changes(todo, basis.upstream, basis.held, scope.read_up_to), by_index=False)


def plan_changes(todo: TodoList, upstream: Upstream, held: HeldProjects, read_up_to: int) -> int:
    """Add what has changed since the changelog was last read, and return the newest serial.

    The entry of that last serial is requested again: if upstream's journal no longer has it, upstream may have been
    restored from a backup, and one more request tells. If newer entries follow, it counts if we hold its project at an
    older serial: then the journal had another row there before, which was not genuine.
    """
    begin = min(todo.target_serial, read_up_to)
    newest, changes = upstream.changes_since(max(begin - 1, 0), at_least=begin, known=begin)
    if begin > 0 and newest < begin and (last := upstream.last_serial()) < begin:
        raise SerialMovedBackError(upstream.url, begin, last)
    has_more = newest > begin
    todo.merge(
        (change, expectation)
        for change, expectation in changes
        if change.serial > begin or (has_more and _is_missed(change, expectation, held))
    )
    return newest


def _is_missed(change: ChangelogEntry, expectation: Expectation, held: HeldProjects) -> bool:
    record = held.get(change.project)
    return expectation is not Expectation.ROLES and record is not None and record.serial < change.serial


def plan_everything(todo: TodoList, upstream: Upstream, held: HeldProjects, filters: Filters) -> int:
    """Add all projects, and return the newest serial.

    Upstream's list may be an hour old. The changelog closes the gap: we first ask for its newest serial, and afterwards
    for everything after the newest project on the list. A few named projects are looked up one by one instead, and
    those answers may be old too.
    """
    first = upstream.last_serial()
    if first < todo.target_serial:
        raise SerialMovedBackError(upstream.url, todo.target_serial, first)
    named = named_projects(filters)
    if named is not None and (found := look_up(named, upstream)) is not None:
        serials, listed = held.serials(), iter(found.items())
        list_serial = max((project.serial for project in found.values()), default=0)
        # The answers may come from caches; the changelog has what those miss.
        read_from = max(first - RECENT_SERIALS, 0)
    else:
        list_serial, listed = upstream.all_projects(
            lambda name, display_name: filters.keeps_project(name, display_name) or name in serials, first
        )
        # Not earlier, because parsing upstream's answer takes the most memory. ``listed`` is lazy, and uses it later.
        serials = held.serials()
        if list_serial == 0 < first and (serials or first > _MOST_ROWS_IN_PLACE_OF_A_LIST):
            raise _no_list(upstream, first)
        read_from = min(first, list_serial)
    for name, project in listed:
        todo.add_listed(name, project)
    newest, changes = upstream.changes_since(read_from, at_least=first)
    if newest == read_from:
        newest = 0  # no row confirms it
    todo.merge(changes)
    todo.add_missing(serials)
    newest = max(newest, list_serial)
    if newest < first:
        _tell_not_believed(upstream, first, newest)
    return newest


def _no_list(upstream: Upstream, first: int) -> MalformedResponseError:
    reason = f"list_packages_with_serial has no project, although the journal ends at serial {first}"
    return MalformedResponseError(upstream.url, reason)


def _tell_not_believed(upstream: Upstream, first: int, newest: int) -> None:
    logger.warning(
        "%s: upstream says that its newest serial is %d, but the changelog ends at %d, and no project is newer; "
        "it is not believed",
        upstream.url, first, newest,
    )  # fmt: skip
