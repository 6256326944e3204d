"""Plans a run: its todo list, from the saved one and from what upstream says has changed.

Upstream's changelog says what has changed and what was removed. If XML-RPC is unavailable, the root index has the
serial of each project: a newer one has changed, and a missing one may be gone, which its page then confirms. Another
bandersnatch has a static journal, which tells the same in one small document, once we know where we stand in it.

Projects that filters drop by name are left out here, and nothing is requested for them. If we hold such a project,
because the filters have changed, it stays on the list to be removed.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct
from packaging.utils import NormalizedName

from bandersnatch.changes import ChangesIndex, Position
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
from bandersnatch.plan.allowlisted import allowlisted, tell_missing
from bandersnatch.plan.changelog_plan import HeldProjects, plan_changes, plan_everything
from bandersnatch.plan.index_plan import plan_from_index
from bandersnatch.state.saved_state import SavedState
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.upstream.changelog import is_without_xmlrpc
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.index import Upstream

if TYPE_CHECKING:
    from bandersnatch.plan.journal_plan import Followed

logger = logging.getLogger(__name__)


class RunPlan(Struct, frozen=True):
    """The work of one run. ``recheck``: check every file, because nothing is known about earlier runs."""

    todo: TodoList
    recheck: bool
    is_new: bool
    """Whether there is any work that was not recorded before; False if upstream has nothing new."""
    changelog_serial: int | None = None
    """Up to where the changelog was read, if that is less than the todo list's target."""
    is_resync: bool = False
    """Whether upstream may be older than what we hold, because the operator deleted the records of earlier runs."""
    reconfigured: tuple[str, ...] = ()
    """What has changed in the configuration since the pages were written, in words."""
    keeps_held: bool = False
    """Whether filters drop nothing that we hold."""
    goes_by_index: bool = False
    """Whether the root index said what has changed, or the static journal, instead of the changelog."""
    followed: Position | None = None
    """Up to where this plan has what upstream's static journal tells; None if there is none, or it is not used."""


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
    """Return the work: everything on a first run, a resync or a change of what is published; otherwise what has
    changed.

    ``api_method`` says whether XML-RPC is used, and whether the root index may replace it; with ``may_be_empty`` an
    index that lists nothing is believed.

    Raises:
        SerialMovedBackError: upstream's journal ends before the serial we reached.
        UpstreamError: upstream could not be asked.
    """
    begin = saved.todo.target_serial if saved.todo is not None else saved.serial
    is_full = begin is None or must_check_all
    if is_full:
        logger.info("full sync with %s: every project is checked", upstream.url)
    todo = TodoList(begin or 0) if saved.todo is None or is_full else saved.todo
    read_up_to = saved.changelog_serial if saved.changelog_serial is not None else begin
    if is_full:
        from_changelog = partial(plan_everything, todo, upstream, held, filters)
    else:
        from_changelog = partial(plan_changes, todo, upstream, held, read_up_to or 0)
    position = None if is_full or api_method is ApiMethod.XMLRPC else saved.followed
    news = _ask_journal(todo, upstream, held, position) if position is not None else None
    followed: Position | None
    if news is not None:
        newest, goes_by_index, followed = news.serial, True, news.position
    else:
        newest, goes_by_index, followed = _ask(
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
        not_read_since = saved.changelog_serial  # the index is old, and said nothing new
    # Without a state it is a first run, or the operator has deleted it to have everything checked.
    is_resync = saved.serial is None
    return RunPlan(todo, is_resync, is_new, not_read_since, is_resync, goes_by_index=goes_by_index, followed=followed)


def _ask_journal(todo: TodoList, upstream: Upstream, held: HeldProjects, position: Position) -> "Followed | None":
    from bandersnatch.plan.journal_plan import plan_from_journal  # noqa: PLC0415 - only those who follow a mirror need it

    return plan_from_journal(todo, upstream, held, position)


def _ask(
    upstream: Upstream,
    api_method: ApiMethod,
    from_changelog: Callable[[], int],
    from_index: Callable[..., int],
    *,
    was_told_by_index: bool,
) -> tuple[int, bool, Position | None]:
    """Plan from the changelog or from the root index; return the newest serial, and whether it came from the index.

    With the root index also return up to where it has what upstream's static journal tells, if there is one.
    ``was_told_by_index`` says that the last run used the root index.
    """
    try:
        if api_method is ApiMethod.SIMPLE:
            journal = upstream.changes.index()
            return from_index(was_told_by_index=True), True, _position(journal, upstream)
        return from_changelog(), False, None
    # Not failures of XML-RPC: the root index could not help.
    except (SerialMovedBackError, InterruptedRunError):
        raise
    except UpstreamError as error:
        if api_method is not ApiMethod.AUTO:
            if _is_of_web_site(error):
                raise NoIndexError(upstream.url, error) from error
            raise
        has_none = is_without_xmlrpc(error)
        journal = upstream.changes.index() if has_none else None
        newest = _plan_after_error(
            upstream, error, partial(from_index, was_told_by_index=was_told_by_index or has_none)
        )
        # An index of static files never has XML-RPC, and the log need not say so in every run.
        level = logging.WARNING if not has_none else logging.DEBUG if was_told_by_index else logging.INFO
        logger.log(level, "%s; this run uses the root index %s/simple/ instead", error, upstream.url)
        return newest, True, _position(journal, upstream)


def _position(journal: ChangesIndex | None, upstream: Upstream) -> Position | None:
    """Return where the static journal ended before the root index was read.

    None if the root index is from a cache, and older than the journal: it may lack what the journal has told before.
    """
    serial = upstream.journal_end.index_serial
    return journal.position if journal is not None and serial is not None and journal.serial <= serial else None


def _tell_missing(todo: TodoList, held: HeldProjects, filters: Filters) -> None:
    """Warn about allowlisted names that upstream lacks; a quarantined project exists."""
    if names := allowlisted(filters):
        quarantined = held.quarantined()
        gone = {name for name in todo if todo[name].expectation is Expectation.REMOVED and name not in quarantined}
        tell_missing(names, lambda name: name in todo and name not in gone)


def _plan_after_error(upstream: Upstream, why: UpstreamError, plan_from_index: Callable[[], int]) -> int:
    """Plan from the root index after XML-RPC has failed, and return the index's serial.

    Raises:
        SerialMovedBackError: upstream is older than the serial we reached.
        NothingToldError: the root index can't be read either.
        NoIndexError: upstream is not an index.
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
    """Whether a server answered as one that is not an index: the address is unknown to it, or has a page for people."""
    is_other_kind = isinstance(error, MalformedResponseError) and ", but text/html" in error.reason
    return is_other_kind or is_without_xmlrpc(error)


def removed_since(saved: SavedState, upstream: Upstream, api_method: ApiMethod) -> set[NormalizedName]:
    """Return the projects from which upstream has removed something that no run has handled yet, as far as it tells."""
    asks_changelog = api_method is not ApiMethod.SIMPLE
    reached = saved.todo.target_serial if saved.todo is not None else saved.serial or 0
    expectation = {project: saved.todo[project].expectation for project in saved.todo} if saved.todo is not None else {}
    try:
        _, changes = upstream.changes_since(reached) if reached and asks_changelog else (0, [])
    except UpstreamError as error:
        logger.debug("%s", error)
        # Then nothing is explained, and the caller counts these projects as failed.
        changes = []
    expectation |= {change.project: what for change, what in changes}
    return {
        project
        for project, what in expectation.items()
        if what in (Expectation.REMOVED, Expectation.REMOVALS, Expectation.QUARANTINES)
    }


def _exclude(todo: TodoList, held: HeldProjects, filters: Filters) -> None:
    """Take off the list what filters drop; what we hold, or left unfinished, stays on it to be removed."""
    if not filters.projects:
        return
    unfinished = {project for project, _ in held.all_unsettled()}
    for name in [name for name in todo if not filters.keeps_project(name, todo[name].display_name)]:
        record, entry = held.get(name), todo[name]
        # Upstream gives no display name for a project that it does not list, so the one we recorded decides.
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
