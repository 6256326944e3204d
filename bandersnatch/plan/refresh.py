"""Which projects a run checks again although nothing says they have changed, so that each is seen within some time.

Upstream changes some things without a journal entry: a project is archived, or a file gets its provenance. Every
project is due once per period (the option ``refresh``). So a run's share follows from the time since the last run, and
it takes the projects that were not asked for longest, for whatever reason.

After an upgrade from code that left some files out, all projects are checked once, whatever the option says, at most
``MOST_PROJECTS`` per run: for a mirror of all of PyPI that takes a day, with a run every two minutes.
"""

from msgspec import Struct

from bandersnatch.filters.filters import Filters
from bandersnatch.names import NormalizedName
from bandersnatch.plan.reached import OwnSerials
from bandersnatch.plan.run_plan import RunPlan
from bandersnatch.state.inventory import Inventory
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.upstream.changelog_actions import Expectation

MOST_SECONDS, MOST_PROJECTS = 7 * 86_400.0, 1000
"""However long ago the last run was, a run takes no more than the share of a week, or, in a small mirror, this many."""
OWN_SECONDS, LEAST_OWN = 86_400.0, 100
"""If upstream has no serials: within what time each project is due at the latest, and how many are in every run."""
RETRY_SECONDS = 3600.0
"""When failed projects are due again; until then they do not take the place of others in every run."""


class Refresh(Struct, frozen=True):
    """The share of one run. ``up_to`` is when its last project was due; None leaves the recorded time as it is."""

    todo: TodoList
    up_to: float | None
    begun: float
    period_seconds: float

    def record(self, inventory: Inventory, projects: set[NormalizedName], failed: set[NormalizedName]) -> None:
        """Record that ``projects`` have had their turn; the ``failed`` ones are due again soon."""
        inventory.mark_looked_at(projects - failed, self.begun)
        inventory.end_asking(projects, self.begun)
        inventory.mark_looked_at(failed, self.begun - self.period_seconds + min(RETRY_SECONDS, self.period_seconds))
        if self.up_to is not None:
            inventory.save_refreshed(self.up_to)


def plan_refresh(inventory: Inventory, filters: Filters, period_seconds: float, plan: RunPlan, now: float) -> Refresh:
    """Return the share of the run with that plan, which began at ``now``; projects checked since have had their turn.

    Projects with awaited data are added. A project that name filters drop but that is still here is left to ``mirror``
    to remove. The root index does not list quarantined projects, nor say when they are removed: if the plan goes by
    it, only their pages tell. If upstream has no serials, only pages tell of any change: then all are due within a
    day, and in each run some are, unless the root index says that nothing has changed.
    """
    own = plan.own_serials
    silent = inventory.quarantined() if plan.goes_by_index else frozenset[NormalizedName]()
    if own is not None:
        period_seconds = min(period_seconds or OWN_SECONDS, OWN_SECONDS)
    number, up_to = _share(inventory, period_seconds, now)
    number = max(number, inventory.overdue(MOST_PROJECTS))
    if own is not None:
        number = 0 if own.has_no_news else max(number, LEAST_OWN)
    todo = TodoList(0)
    for name, display_name, serial in (*inventory.longest_not_looked_at(number, now), *inventory.due_awaited(now)):
        todo.add(name, _entry(display_name, serial, is_silent=name in silent, own=own))
    if filters.projects:
        dropped = {name for name in todo if not filters.keeps_project(name, todo[name].display_name)}
        for name in dropped:
            todo.discard(name)
        inventory.mark_looked_at(dropped, now)
    return Refresh(todo, up_to, now, period_seconds)


def _entry(display_name: str, serial: int, *, is_silent: bool, own: OwnSerials | None) -> TodoEntry:
    if is_silent or (own is not None and not own.record.has_root):  # its page alone tells that it is gone
        return TodoEntry(display_name, 0, Expectation.REMOVED)
    return TodoEntry(display_name, serial, Expectation.ROLES if own is None else Expectation.LISTED)


def _share(inventory: Inventory, period_seconds: float, now: float) -> tuple[int, float | None]:
    """Return how many projects are due, and up to when; None leaves the recorded time as it is."""
    last, held = inventory.refreshed_up_to() if period_seconds else (now, 0)
    # There was no earlier run, or its clock was wrong: the period starts now.
    if last is None or last > now or not held:
        return 0, None if held == 0 else now
    elapsed = min(now - last, period_seconds)
    if elapsed > MOST_SECONDS and held * elapsed / period_seconds > MOST_PROJECTS:
        elapsed = max(MOST_SECONDS, MOST_PROJECTS * period_seconds / held)
    number = int(held * elapsed / period_seconds)
    # A fraction of a project is not lost: the recorded time advances only by what whole projects account for.
    return number, now - elapsed + number * period_seconds / held if number else None
