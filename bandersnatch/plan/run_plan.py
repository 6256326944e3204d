"""Plans a run: its todo list, from the saved one and from what upstream says has changed.

Upstream's changelog says what has changed and what was removed. If XML-RPC is unavailable, the root index has the
serial of each project: a newer one has changed, and a missing one may be gone, which its page then confirms. Another
bandersnatch has a static journal, which tells the same in one small document, once we know where we stand in it.

Projects that filters drop by name are left out here, and nothing is requested for them. If we hold such a project,
because the filters have changed, it stays on the list to be removed.
"""

import logging

from msgspec import Struct

from bandersnatch.changes import Position
from bandersnatch.errors import UpstreamError
from bandersnatch.filters.filters import Filters
from bandersnatch.inifile.option import ApiMethod
from bandersnatch.names import NormalizedName
from bandersnatch.plan.allowlisted import named, tell_missing
from bandersnatch.plan.basis import Basis, HeldProjects, Scope
from bandersnatch.plan.journal_or_index import ask_what_changed
from bandersnatch.plan.reached import OwnSerials, Reached
from bandersnatch.state.saved_state import SavedState
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.index import Upstream

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
    own_serials: OwnSerials | None = None
    """If upstream has no serials."""


def plan_run(saved: SavedState, basis: Basis, *, must_check_all: bool) -> RunPlan:
    """Return the work: everything on a first run, a resync or a change of what is published; otherwise what has
    changed.

    Raises:
        SerialMovedBackError: upstream's journal ends before the serial we reached.
        UpstreamError: upstream could not be asked.
    """
    begin = saved.todo.target_serial if saved.todo is not None else saved.serial
    read_up_to = begin if saved.changelog_serial is None else saved.changelog_serial
    scope = Scope(begin is None or must_check_all, read_up_to or 0, saved.changelog_serial is not None)
    if scope.is_full:
        logger.info("full sync with %s: every project is checked", basis.upstream.url)
    todo = TodoList(begin or 0) if saved.todo is None or scope.is_full else saved.todo
    reached = _ask_journal(todo, basis, scope, saved.followed) or ask_what_changed(todo, basis, scope)
    if scope.is_full and (reached.own_serials is None or reached.own_serials.record.has_root):
        _tell_missing(todo, basis.held, basis.filters)
    _exclude(todo, basis.held, basis.filters)
    todo.target_serial = max(todo.target_serial, reached.serial)
    # Without a state it is a first run, or the operator has deleted it to have everything checked.
    is_resync = saved.serial is None
    return RunPlan(
        todo,
        recheck=is_resync,
        is_new=scope.is_full or saved.todo is not None or len(todo) > 0 or reached.serial > (begin or 0),
        changelog_serial=_changelog_serial(saved, scope, reached, todo.target_serial),
        is_resync=is_resync,
        goes_by_index=reached.by_index,
        followed=reached.followed,
        own_serials=reached.own_serials,
    )


def _ask_journal(todo: TodoList, basis: Basis, scope: Scope, position: Position | None) -> Reached | None:
    """Plan from the static journal, if the last run left a position in it, and only changes are asked about."""
    if position is None or scope.is_full or basis.upstream.api_method is ApiMethod.XMLRPC:
        return None
    from bandersnatch.plan.journal_plan import plan_from_journal  # noqa: PLC0415 - only those who follow a mirror need it

    return plan_from_journal(todo, basis.upstream, basis.held, position)


def _changelog_serial(saved: SavedState, scope: Scope, reached: Reached, target: int) -> int | None:
    """Return up to where the changelog was read, if the root index told of this run's changes in its place."""
    if not reached.by_index or reached.own_serials is not None:
        return None
    if scope.is_full:
        return target
    # If it is the target, the index is old, and said nothing new.
    return saved.changelog_serial if scope.read_up_to == target else scope.read_up_to


def _tell_missing(todo: TodoList, held: HeldProjects, filters: Filters) -> None:
    """Warn about allowlisted names that upstream lacks; a quarantined project exists."""
    if names := named(filters):
        quarantined = held.quarantined()
        gone = {name for name in todo if todo[name].expectation is Expectation.REMOVED and name not in quarantined}
        tell_missing(names, lambda name: name in todo and name not in gone)


def removed_since(saved: SavedState, upstream: Upstream) -> set[NormalizedName]:
    """Return the projects from which upstream has removed something that no run has handled yet, as far as it tells."""
    reached = saved.todo.target_serial if saved.todo is not None else saved.serial or 0
    expectation = {project: saved.todo[project].expectation for project in saved.todo} if saved.todo is not None else {}
    try:
        _, changes = upstream.changes_since(reached) if reached and upstream.asks_journal else (0, [])
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
