"""Remembers projects that were removed without a journal entry, so that what an outage has taken comes back.

A list of all projects lacked them, and their pages were 404. When such a project returns, upstream's changelog says
nothing. So runs ask for it for thirty days: for the first hour each run, and then less and less often.
"""

from collections.abc import Callable, Iterable
from functools import cached_property

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.names import NormalizedName, parse_project_name
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import UNCONFIRMED
from bandersnatch.upstream.changelog_actions import Expectation

_ALWAYS_SECONDS = 3600
_KEEP_SECONDS = 30 * 24 * 3600
_MOST_AT_A_TIME = 1000
_MAX_BYTES = 256 * 1024**2


class _Removed(Struct, frozen=True):
    """When a project was removed, and when it was last asked for, in seconds since 1970."""

    project: str
    removed: float
    asked: float


_decoder = msgspec.json.Decoder(list[_Removed])


class Unconfirmed:
    """The list of one mirror, kept in a file. Losing the file only means that nothing asks for these projects again."""

    def __init__(self, storage: FilesystemStorage, now: float) -> None:
        self._storage, self._now = storage, now

    @cached_property
    def _known(self) -> dict[NormalizedName, _Removed]:
        # Read when it is needed: before that, nobody has locked the directory.
        return {NormalizedName(each.project): each for each in self._load()}

    def add_to(self, todo: TodoList, is_held: Callable[[NormalizedName], bool]) -> bool:
        """Put the projects that are due on the todo list; return whether there are any.

        Projects that are held again, or whose removal the changelog now confirms, are forgotten.
        """
        before = len(self._known)
        for project in list(self._known):
            entry = todo.get(project)
            if is_held(project) or (
                entry is not None and entry.expectation is Expectation.REMOVED and not entry.is_unlisted
            ):
                del self._known[project]
        due = sorted((each for each in self._known.values() if self._is_due(each)), key=lambda each: each.asked)
        for each in due[:_MOST_AT_A_TIME]:
            project = NormalizedName(each.project)
            self._known[project] = replace(each, asked=self._now)
            if project not in todo:
                todo.add(project, TodoEntry(project, 0, Expectation.REMOVED))
        if len(self._known) < before:
            self.save()
        return bool(due)

    def save(self, removed: Iterable[NormalizedName] = ()) -> None:
        """Write the list, including what a run has just removed."""
        self._known |= {project: _Removed(project, self._now, self._now) for project in removed}
        if self._known:
            self._storage.save(UNCONFIRMED, [msgspec.json.encode(list(self._known.values()))])
        else:
            self._storage.delete(UNCONFIRMED)

    def _is_due(self, each: _Removed) -> bool:
        # Exponential back-off: each interval is as long as the time from the removal to the last request.
        age = self._now - each.removed
        return age <= _ALWAYS_SECONDS or each.asked > self._now or self._now - each.asked >= each.asked - each.removed

    def _load(self) -> Iterable[_Removed]:
        try:
            known = _decoder.decode(self._storage.read_record(UNCONFIRMED, _MAX_BYTES) or b"[]")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ()
        return [
            each
            for each in known
            if parse_project_name(each.project) == each.project and 0 <= self._now - each.removed <= _KEEP_SECONDS
        ]
