"""What a run has to do: the todo list, from the saved one and from what upstream says has changed."""

import logging
from collections.abc import Set
from dataclasses import dataclass

from packaging.utils import NormalizedName

from bandersnatch.changes import Owed
from bandersnatch.errors import SerialMovedBackError
from bandersnatch.state import SavedState
from bandersnatch.todo import TodoEntry, TodoList
from bandersnatch.upstream import Upstream

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The work of one run. ``recheck``: look at every file, since nothing is known of earlier runs."""

    todo: TodoList
    recheck: bool
    is_new: bool
    """Whether there is anything to do that was not recorded before: False where upstream has nothing new."""


def plan_run(saved: SavedState, upstream: Upstream, held: Set[NormalizedName], *, pages_differ: bool) -> RunPlan:
    """Return what to do: everything on a first run, a resync or a change of how pages look; else what has changed.

    Raises:
        SerialMovedBackError: upstream's journal ends before the serial that is reached.
        UpstreamError: upstream could not be asked.

    """
    recheck = saved.serial is None
    begin = saved.todo.target_serial if saved.todo is not None else saved.serial
    if begin is None or pages_differ:
        logger.info("full sync with %s: every project is checked", upstream.url)
        return RunPlan(_plan_everything(upstream, held), recheck, is_new=True)
    todo = saved.todo if saved.todo is not None else TodoList(begin)
    newest = _merge_changes(todo, upstream, begin)
    return RunPlan(todo, recheck, is_new=saved.todo is not None or newest > begin)


def _merge_changes(todo: TodoList, upstream: Upstream, begin: int) -> int:
    """Add what has changed since ``begin``, and return the newest serial.

    The entry of ``begin`` itself is asked for again: if upstream's journal no longer has it, it may have been restored from
    a backup, and one more question tells.
    """
    newest, changes = upstream.changes_since(max(begin - 1, 0))
    if begin > 0 and newest < begin and (last := upstream.last_serial()) < begin:
        raise SerialMovedBackError(upstream.url, begin, last)
    todo.merge((change, owed) for change, owed in changes if change.serial > begin)
    todo.target_serial = max(todo.target_serial, newest)
    return newest


def _plan_everything(upstream: Upstream, held: Set[NormalizedName]) -> TodoList:
    """Return a list of all projects.

    Upstream's list may be an hour old. The changelog closes the gap: asked first for its newest serial, which is the target,
    and then for all that came after the newest project on the list.
    """
    first = upstream.last_serial()
    listed = upstream.all_projects()
    list_serial = max((project.serial for project in listed.values()), default=0)
    todo = TodoList(first)
    for name, project in listed.items():
        todo.add(name, TodoEntry(project.display_name, project.serial, Owed.LISTED))
    newest, changes = upstream.changes_since(min(first, list_serial))
    todo.merge(changes)
    todo.target_serial = max(todo.target_serial, newest)
    for name in held:
        if name not in todo:
            todo.add(name, TodoEntry(name, 0, Owed.REMOVED))
    return todo
