"""Asks upstream once more about projects that it no longer seems to have, before that counts as an error."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from bandersnatch.amounts import count_of
from bandersnatch.errors import ProjectNotFoundError, UnexplainedError, UpstreamError
from bandersnatch.names import NormalizedName
from bandersnatch.plan.pageless import Pageless
from bandersnatch.project.report import Failure
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.state.upstream_record import PagelessProject
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.index import Upstream

_ASK_SECONDS = 3600
_MOST_NAMED = 10

logger = logging.getLogger(__name__)


def changed_meanwhile(failures: Iterable[Failure], todo: TodoList, upstream: Upstream) -> set[NormalizedName]:
    """Return the projects that failed because upstream removed or emptied them after the plan was made.

    Their changes are then on the todo list. A first run takes days, and many projects are removed in that time.
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
    todo.target_serial = serial  # the other changes are not on the list, and must be read again
    return {change.project for change, _ in explained}


def settle_pageless(
    failures: Sequence[Failure], todo: TodoList, pageless: Pageless, is_here: Callable[[NormalizedName], bool]
) -> tuple[list[Failure], tuple[PagelessProject, ...]]:
    """Take off the list what upstream lists and has had no page of for an hour, if it was never here.

    Return the other failures, and what is to be recorded.
    """
    missing = {failure.project for failure in failures if isinstance(failure.error, ProjectNotFoundError)}
    missing = {name for name in missing if todo[name].expectation is Expectation.LISTED and not is_here(name)}
    after = pageless.after(missing, set(todo))
    known = {each.project for each in after}
    settled = {name for name in missing if name in known and pageless.is_confirmed(name)}
    if settled:
        told = ", ".join(sorted(settled)[:_MOST_NAMED])
        more = f", and {len(settled) - _MOST_NAMED} more" if len(settled) > _MOST_NAMED else ""
        words = "upstream lists %s without a page, for an hour or more, which counts as not there: %s%s"
        logger.warning(words, count_of(len(settled), "project"), told, more)
    for project in settled:
        todo.discard(project)
    return [failure for failure in failures if failure.project not in settled], after


def made_up(
    failures: Iterable[Failure], todo: TodoList, upstream: Upstream, is_here: Callable[[NormalizedName], bool]
) -> set[NormalizedName]:
    """Return the projects without a page that were never here, and that a newer list of all projects lacks.

    Some answer made them up, and nothing else would ever tell us not to wait for them. The list is large, and may be an
    hour old: the first two runs fetch it, and later ones once an hour.
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
    # A list older than the project can't have it.
    return {project for project in doubtful if todo[project].serial <= list_serial}


def _is_due(entry: TodoEntry, now: int) -> bool:
    """Whether to consult the list about a project; ``late_since`` records when that was last done."""
    return entry.late_since is None or not 0 <= now - entry.late_since < _ASK_SECONDS
