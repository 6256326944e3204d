"""``Failures``: what a run does about a failed project: it reports it, waits for a late page, or ends early.

Only the main thread works here.
"""

import logging
import time
from collections.abc import Callable, Set

from msgspec.structs import replace

from bandersnatch.config.config import Config
from bandersnatch.errors import (
    AheadOfJournalError,
    HostDownError,
    MirrorError,
    StaleMetadataError,
    UnexplainedError,
)
from bandersnatch.operations.outcome_log import tell_failure
from bandersnatch.project.report import Failure, Report
from bandersnatch.state.inventory import Inventory
from bandersnatch.state.todo import TodoList
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.workers.scheduler import Schedule

logger = logging.getLogger(__name__)

_LATE_SECONDS = 3600
"""A page that is behind the changelog for longer is an error: no cache of PyPI lasts as long."""
_REMOVALS = frozenset({Expectation.REMOVALS, Expectation.QUARANTINES, Expectation.REMOVED, Expectation.EXCLUDED})

Withdraw = Callable[[Set[Expectation]], int]
"""Withdraws jobs that have not started, except those with one of these expectations; returns how many."""


class Failures:
    """The failures of one run, added to ``report``. With ``are_named`` the operator has named the projects."""

    def __init__(self, config: Config, inventory: Inventory, report: Report, *, are_named: bool) -> None:
        self._config, self._inventory, self._report, self._are_named = config, inventory, report, are_named
        self.ended_early = self.is_index_down = False
        self._is_any_left_out = False

    def take(self, failure: Failure, todo: TodoList, schedule: Schedule, withdraw: Withdraw) -> None:
        """Record a failure, and withdraw what must not be started after it.

        Raises:
            MirrorError: it is one that stops the run.
        """
        error = failure.error
        if isinstance(error, StaleMetadataError | AheadOfJournalError) and self._is_late(failure, todo):
            return
        if isinstance(error, HostDownError):
            self._take_outage(error, schedule, withdraw)
            return
        if isinstance(error, MirrorError) and error.stops_run:
            raise error
        self._report.failures.append(failure)
        if not isinstance(error, UnexplainedError):
            self._tell(failure)
        if self._config.stop_on_error:
            self.ended_early = True
            withdrawn = withdraw(frozenset())
            self._is_any_left_out = self._is_any_left_out or withdrawn > 0 or not schedule.is_empty()
            schedule.clear()

    def take_removal(self, failure: Failure) -> None:
        """Record a failure to remove a project; other work is not affected."""
        self._report.failures.append(failure)
        self._tell(failure)

    def tell_unexplained(self, *, is_removal_left: bool) -> None:
        """Report the failures that later changelog entries might have explained, but did not."""
        for failure in self._report.failures:
            if isinstance(failure.error, UnexplainedError):
                self._tell(failure)
        if self._is_any_left_out or (self.ended_early and is_removal_left):
            logger.error("not all projects were worked on, since stop-on-error is true")

    def _is_late(self, failure: Failure, todo: TodoList) -> bool:
        """Whether a page may still come, because upstream's caches may take an hour; it is reported once until then."""
        if self._are_named:
            return False
        entry, now = todo[failure.project], int(time.time())
        is_first = entry.late_since is None or entry.late_since > now
        if is_first:
            todo.add(failure.project, replace(entry, late_since=now))
        elif entry.late_since is not None and now - entry.late_since >= _LATE_SECONDS:
            return False
        self._report.late.append(failure)
        level = logging.WARNING if is_first else logging.INFO
        logger.log(level, "%s; the next run tries it again", failure.error)
        return True

    def _take_outage(self, outage: HostDownError, schedule: Schedule, withdraw: Withdraw) -> None:
        """Start no more projects; if only the host of the files is down, those with removals go on."""
        self._report.untried += 1  # the project itself did not fail
        if self._report.outage is None or outage.is_index:
            self._report.outage = outage
        if outage.is_index:
            self.is_index_down = True
            schedule.clear()
        else:
            # Removals need nothing from the files' host, and should not wait for it.
            schedule.keep(_REMOVALS)
            withdraw(_REMOVALS)

    def _tell(self, failure: Failure) -> None:
        is_held = self._inventory.get(failure.project) is not None
        tell_failure(failure, is_named=self._are_named, is_held=is_held)
