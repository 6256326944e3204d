"""What a run has to do: the todo list, from the saved one and from what upstream says has changed.

Upstream's changelog tells what has changed and what was removed. Where XML-RPC is away, the root index does, with the serial
of each project: what is newer than here has changed, and what is missing may be gone, which its page then confirms.

Projects that the filters drop by their name are left out here already: nothing is asked about them. Where one is held all
the same, since the filters have changed, it stays on the list to be removed.
"""

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from msgspec import Struct
from packaging.utils import NormalizedName

from bandersnatch.errors import (
    InterruptedRunError,
    LostProjectsError,
    MalformedResponseError,
    NoIndexError,
    NothingToldError,
    SerialMovedBackError,
    UpstreamError,
)
from bandersnatch.filters.filters import Filters
from bandersnatch.inifile.option import ApiMethod
from bandersnatch.model import ChangelogEntry
from bandersnatch.plan.allowlisted import allowlisted, tell_missing
from bandersnatch.plan.index_plan import HeldSerials, plan_from_index
from bandersnatch.plan.named_projects import look_up, named_projects
from bandersnatch.state.inventory import HeldProject
from bandersnatch.state.state_store import SavedState
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.storage.layout import StoredPath
from bandersnatch.upstream.changelog import is_without_xmlrpc
from bandersnatch.upstream.expectations import Expectation
from bandersnatch.upstream.index import Upstream

logger = logging.getLogger(__name__)

RECENT_SERIALS = 2_000
"""What the changelog of PyPI tells of about an hour: no cache has a project's page or JSON for longer."""
_MOST_ROWS_IN_PLACE_OF_A_LIST = 50_000
"""Where no project is listed, a journal of one answer tells of all there ever were; PyPI's has tens of millions of rows."""


class HeldProjects(HeldSerials, Protocol):
    """What the mirror holds, as the inventory tells it; all of it is only asked for where that matters."""

    def get(self, project: NormalizedName) -> HeldProject | None:
        """Return what is held of a project, or None."""

    def all_unsettled(self) -> Iterable[tuple[NormalizedName, StoredPath]]:
        """Return the files that earlier runs may have left half-done."""


class RunPlan(Struct, frozen=True):
    """The work of one run. ``recheck``: look at every file, since nothing is known of earlier runs."""

    todo: TodoList
    recheck: bool
    is_new: bool
    """Whether there is anything to do that was not recorded before: False where upstream has nothing new."""
    changelog_serial: int | None = None
    """Up to where the changelog was read, where that is not as far as the todo list goes."""
    is_resync: bool = False
    """Whether upstream may be older than what is held: the operator has had all records of earlier runs forgotten."""
    reconfigured: tuple[str, ...] = ()
    """What has changed in the configuration since the pages were written, in words."""
    keeps_held: bool = False
    """Whether filters drop nothing that is held."""
    goes_by_index: bool = False
    """Whether the root index told what has changed, in place of the changelog."""


def plan_run(
    saved: SavedState,
    upstream: Upstream,
    held: HeldProjects,
    filters: Filters,
    *,
    must_check_all: bool,
    api_method: ApiMethod = ApiMethod.AUTO,
    may_be_empty: bool = False,
) -> RunPlan:
    """Return what to do: everything on a first run, a resync or a change of what is published; else what has changed.

    ``api_method`` says whether XML-RPC is asked, and whether the root index may take its place; with ``may_be_empty``
    that is believed where it lists nothing.

    Raises:
        SerialMovedBackError: upstream's journal ends before the serial that is reached.
        UpstreamError: upstream could not be asked.
    """
    begin = saved.todo.target_serial if saved.todo is not None else saved.serial
    is_full = begin is None or must_check_all
    if is_full:
        logger.info("full sync with %s: every project is checked", upstream.url)
    todo = TodoList(begin or 0) if saved.todo is None or is_full else saved.todo
    read_up_to = saved.changelog_serial if saved.changelog_serial is not None else begin
    if is_full:
        from_changelog = partial(_plan_everything, todo, upstream, held, filters)
    else:
        from_changelog = partial(_merge_changes, todo, upstream, held, read_up_to or 0)
    newest, goes_by_index = _ask(
        upstream,
        api_method,
        from_changelog,
        partial(plan_from_index, todo, upstream, held, is_full=is_full, may_be_empty=may_be_empty),
        was_told_by_index=saved.changelog_serial is not None,
    )
    if is_full:
        _tell_missing(todo, held, filters)
    _exclude(todo, held, filters)
    todo.target_serial = max(todo.target_serial, newest)
    is_new = is_full or saved.todo is not None or len(todo) > 0 or newest > (begin or 0)
    not_read_since = (todo.target_serial if is_full else read_up_to) if goes_by_index else None
    if not is_full and not_read_since == todo.target_serial:
        not_read_since = saved.changelog_serial  # the index, which is old, has told nothing
    is_resync = saved.serial is None
    return RunPlan(todo, is_resync, is_new, not_read_since, is_resync, goes_by_index=goes_by_index)


def _ask(
    upstream: Upstream,
    api_method: ApiMethod,
    from_changelog: Callable[[], int],
    from_index: Callable[..., int],
    *,
    was_told_by_index: bool,
) -> tuple[int, bool]:
    """Make the plan from the changelog or from the root index; return the newest serial, and whether the index told it.

    ``was_told_by_index`` says that the last run went by the root index.
    """
    try:
        if api_method is ApiMethod.SIMPLE:
            return from_index(was_told_by_index=True), True
        return from_changelog(), False
    except (SerialMovedBackError, InterruptedRunError):
        raise
    except UpstreamError as error:
        if api_method is not ApiMethod.AUTO:
            if _is_of_web_site(error):
                raise NoIndexError(upstream.url, error) from error
            raise
        has_none = is_without_xmlrpc(error)
        newest = _plan_after_error(
            upstream, error, partial(from_index, was_told_by_index=was_told_by_index or has_none)
        )
        # An index of plain files has no XML-RPC, and the log need not say so in every run.
        level = logging.WARNING if not has_none else logging.DEBUG if was_told_by_index else logging.INFO
        logger.log(level, "%s; this run goes by the root index %s/simple/ in its place", error, upstream.url)
        return newest, True


def _tell_missing(todo: TodoList, held: HeldProjects, filters: Filters) -> None:
    """Warn of the names on an allowlist that upstream does not have; a quarantined project is there."""
    if names := allowlisted(filters):
        quarantined = held.quarantined()
        gone = {name for name in todo if todo[name].expectation is Expectation.REMOVED and name not in quarantined}
        tell_missing(names, lambda name: name in todo and name not in gone)


def _merge_changes(todo: TodoList, upstream: Upstream, held: HeldProjects, read_up_to: int) -> int:
    """Add what has changed since the changelog was read last, and return the newest serial.

    The entry of that serial itself is asked for again: if upstream's journal no longer has it, upstream may have been
    restored from a backup, and one more question tells. Where newer ones follow, it counts if its project is held at an
    older serial: then another row stood there before, which was none of the journal's.
    """
    begin = min(todo.target_serial, read_up_to)
    newest, changes = upstream.changes_since(max(begin - 1, 0), at_least=begin)
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


def _plan_everything(todo: TodoList, upstream: Upstream, held: HeldProjects, filters: Filters) -> int:
    """Add all projects, and return the newest serial.

    Upstream's list may be an hour old. The changelog closes the gap: asked first for its newest serial, and then for all
    that came after the newest project on the list. A few named projects are asked for themselves in place of the list, and
    their answers may be old as well.
    """
    first = upstream.last_serial()
    if first < todo.target_serial:
        raise SerialMovedBackError(upstream.url, todo.target_serial, first)
    named = named_projects(filters)
    if named is not None and (found := look_up(named, upstream)) is not None:
        serials, listed = held.serials(), iter(found.items())
        list_serial = max((project.serial for project in found.values()), default=0)
        read_from = max(first - RECENT_SERIALS, 0)
    else:
        list_serial, listed = upstream.all_projects(
            lambda name, display_name: filters.keeps_project(name, display_name) or name in serials, first
        )
        # Read no earlier, since parsing upstream's answer takes the most memory. ``listed`` is lazy, and uses it later.
        serials = held.serials()
        if list_serial == 0 < first and (serials or first > _MOST_ROWS_IN_PLACE_OF_A_LIST):
            reason = f"list_packages_with_serial has no project, although the journal ends at serial {first}"
            raise MalformedResponseError(upstream.url, reason)
        read_from = min(first, list_serial)
    for name, project in listed:
        todo.add_listed(name, project)
    newest, changes = upstream.changes_since(read_from, at_least=first)
    if newest == read_from:
        newest = 0  # no row bears it out
    todo.merge(changes)
    todo.add_missing(serials)
    newest = max(newest, list_serial)
    if newest < first:
        logger.warning(
            "%s: upstream says that its newest serial is %d, but the changelog ends at %d, and no project is newer; "
            "it is not believed",
            upstream.url, first, newest,
        )  # fmt: skip
    return newest


def _plan_after_error(upstream: Upstream, why: UpstreamError, plan_from_index: Callable[[], int]) -> int:
    """Go by the root index where XML-RPC has failed, and return the index's serial.

    Raises:
        SerialMovedBackError: upstream is older than the serial that is reached.
        NothingToldError: the root index can't be read either.
        NoIndexError: upstream is none.
    """
    try:
        return plan_from_index()
    except (SerialMovedBackError, LostProjectsError, InterruptedRunError):
        raise
    except UpstreamError as error:
        told = NothingToldError(why, error)
        if _is_of_web_site(why) and _is_of_web_site(error):
            raise NoIndexError(upstream.url, told) from error
        raise told from error


def _is_of_web_site(error: UpstreamError) -> bool:
    """Whether a server has answered as one that is no index: it has no such address, or a page for people in its place."""
    is_other_kind = isinstance(error, MalformedResponseError) and ", but text/html" in error.reason
    return is_other_kind or is_without_xmlrpc(error)


def removed_since(saved: SavedState, upstream: Upstream, api_method: ApiMethod) -> set[NormalizedName]:
    """Return the projects of which upstream has removed something that no run has seen to yet, as far as it tells."""
    asks_changelog = api_method is not ApiMethod.SIMPLE
    reached = saved.todo.target_serial if saved.todo is not None else saved.serial or 0
    expectation = {project: saved.todo[project].expectation for project in saved.todo} if saved.todo is not None else {}
    try:
        _, changes = upstream.changes_since(reached) if reached and asks_changelog else (0, [])
    except UpstreamError as error:
        logger.debug("%s", error)
        changes = []
    expectation |= {change.project: what for change, what in changes}
    return {
        project
        for project, what in expectation.items()
        if what in (Expectation.REMOVED, Expectation.REMOVALS, Expectation.QUARANTINES)
    }


def _exclude(todo: TodoList, held: HeldProjects, filters: Filters) -> None:
    """Take off what the filters drop, but for what is held, or was left half-done: that stays, to be removed."""
    if not filters.projects:
        return
    unfinished = {project for project, _ in held.all_unsettled()}
    for name in [name for name in todo if not filters.keeps_project(name, todo[name].display_name)]:
        record, entry = held.get(name), todo[name]
        # A project that upstream does not list has no displayed name there; the one it had here decides.
        display_name = record.display_name if record is not None and entry.serial == 0 else entry.display_name
        if filters.keeps_project(name, display_name):
            continue
        if record is not None or name in unfinished:
            todo.add(name, TodoEntry(display_name, entry.serial, Expectation.EXCLUDED))
        else:
            todo.discard(name)
    for name in unfinished:
        if name not in todo and not filters.keeps_project(name, name):
            todo.add(name, TodoEntry(name, 0, Expectation.EXCLUDED))
