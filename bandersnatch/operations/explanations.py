"""Why a project failed that upstream no longer has: what it tells when it is asked once more, before that is an error."""

import logging
import time
from collections.abc import Callable, Iterable

from msgspec.structs import replace
from packaging.utils import NormalizedName

from bandersnatch.errors import ProjectNotFoundError, UnexplainedError, UpstreamError
from bandersnatch.project.report import Failure
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.upstream.index import Upstream

_ASK_SECONDS = 3600

logger = logging.getLogger(__name__)


def changed_meanwhile(failures: Iterable[Failure], todo: TodoList, upstream: Upstream) -> set[NormalizedName]:
    """Return the projects that failed because upstream removed them, or all their files, after the plan was made.

    The todo list has the changes then. A first run takes days, in which many projects go.
    """
    doubtful = {failure.project for failure in failures if isinstance(failure.error, UnexplainedError)}
    if not doubtful:
        return set()
    try:
        _, changes = upstream.changes_since(todo.target_serial)
    except UpstreamError as error:
        logger.debug("%s", error)
        return set()
    serial = todo.target_serial
    explained = [pair for pair in changes if pair[0].project in doubtful]
    todo.merge(explained)
    todo.target_serial = serial  # of the other changes nothing is done yet
    return {change.project for change, _ in explained}


def made_up(
    failures: Iterable[Failure], todo: TodoList, upstream: Upstream, is_here: Callable[[NormalizedName], bool]
) -> set[NormalizedName]:
    """Return the projects without a page that were never here, and that a later list of all projects does not have.

    Some answer made them up; nothing else would ever tell that they are not to be waited for. The list is large, and may be
    an hour old: after two runs it is asked for once in an hour.
    """
    now = int(time.time())
    missing = {failure.project for failure in failures if isinstance(failure.error, ProjectNotFoundError)}
    doubtful = {project for project in missing if not is_here(project) and _is_due(todo[project], now)}
    if not doubtful:
        return set()
    for project in doubtful:
        entry = todo[project]
        is_first = entry.late_since is None
        todo.add(project, replace(entry, late_since=now - _ASK_SECONDS if is_first else now))
    try:
        list_serial, listed = upstream.all_projects(lambda project, _: project in doubtful, todo.target_serial)
    except UpstreamError as error:
        logger.debug("%s", error)
        return set()
    doubtful -= {project for project, _ in listed}
    # An older list could not have the project yet.
    return {project for project in doubtful if todo[project].serial <= list_serial}


def _is_due(entry: TodoEntry, now: int) -> bool:
    """Whether the list is to be asked about a project, as far as it is noted when that was done."""
    return entry.late_since is None or not 0 <= now - entry.late_since < _ASK_SECONDS
