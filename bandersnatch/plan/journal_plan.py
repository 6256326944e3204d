"""Plans a run from the static journal of another bandersnatch: what has changed there since the last run."""

import logging

from bandersnatch.changes import Change, ChangesIndex, Kind, Position
from bandersnatch.errors import StaticJournalError, UpstreamError
from bandersnatch.model import ListedProject
from bandersnatch.names import NormalizedName, parse_project_name
from bandersnatch.plan.basis import HeldProjects
from bandersnatch.plan.reached import Reached
from bandersnatch.state.inventory import HeldProject
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.index import Upstream
from bandersnatch.upstream.journal_end import LEEWAY

logger = logging.getLogger(__name__)


def plan_from_journal(todo: TodoList, upstream: Upstream, held: HeldProjects, position: Position) -> Reached | None:
    """Add what has changed since a position; None if the journal does not tell, and the root index must."""
    try:
        index, changes = upstream.changes.since(position)
        _check_serials(upstream.url, index, changes, todo.target_serial)
    except UpstreamError as error:
        logger.warning("the static journal does not tell what has changed (%s); this run does without it", error)
        return None
    known = max(todo.target_serial, *(change.serial for change in changes), 0)
    upstream.journal_end.learn_from_index(min(max(index.serial, index.newest), known + LEEWAY))
    serial = index.serial if index.serial <= known + LEEWAY else known
    lowered: dict[NormalizedName, int] = {}
    # The last change of a project says how it is now.
    for project, change in {_project(change): change for change in changes}.items():
        record = held.get(project)
        _add(todo, project, change, record, serial)
        if record is not None and 0 < change.serial < record.serial:
            lowered[project] = change.serial
    if lowered:
        held.lower_serials(lowered)
    logger.debug("%s: %d changes in its static journal, up to number %d", upstream.url, len(changes), index.end)
    return Reached(serial, by_index=True, followed=index.position)


def _check_serials(url: str, index: ChangesIndex, changes: list[Change], reached: int) -> None:
    """Refuse a journal of a mirror that has gone back, or whose serials leap: the root index tells if that is so.

    Raises:
        StaticJournalError: it is one of these.
    """
    if index.serial < reached:
        raise StaticJournalError(f"{url}/changes", f"its serial is {index.serial}, and this mirror is at {reached}")
    newest = max((change.serial for change in changes), default=0)
    if newest > reached + LEEWAY:
        raise StaticJournalError(f"{url}/changes", f"it has serial {newest}, and this mirror is at {reached}")


def _project(change: Change) -> NormalizedName:
    project = parse_project_name(change.name)
    assert project is not None, "names were checked when they were read"
    return project


def _add(todo: TodoList, project: NormalizedName, change: Change, record: HeldProject | None, reached: int) -> None:
    """Add a project; one that is gone has no serial, and was gone when the journal had ``reached`` this one."""
    match change.change:
        case Kind.REMOVED if record is not None or project in todo:
            todo.add(project, TodoEntry(change.name, reached, Expectation.REMOVED))
        case Kind.QUARANTINED if record is not None or project in todo:
            todo.add(project, TodoEntry(change.name, change.serial, Expectation.QUARANTINES))
        case Kind.PAGE:
            todo.add_listed(project, ListedProject(change.name, change.serial))
        case _:  # about a project that was never here
            pass
