"""Which projects a run looks at again although nothing says that they have changed, so that each is seen within some time.

Upstream changes some things without a row in its journal: a project is archived, or a file gets its provenance. What the
projects take turns in is time: each is owed one look in the option's time. So the share of a run follows from the time
since the last one, and those are asked for that were longest not looked at, for whatever reason.

After an upgrade from code that left some files out, all projects are looked at once, whatever the option says, so many in a
run as ``MOST_PROJECTS``: that takes a mirror of all of PyPI a day, at a run every two minutes.
"""

from msgspec import Struct
from packaging.utils import NormalizedName

from bandersnatch.filters.filters import Filters
from bandersnatch.state.inventory import Inventory
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.upstream.expectations import Expectation

MOST_SECONDS, MOST_PROJECTS = 7 * 86_400.0, 1000
"""However long ago the last run was, no more is asked for than the share of a week, or, of a small mirror, so many."""
RETRY_SECONDS = 3600.0
"""What could not be looked at is asked for again after that time, so that its turn does not come in every run."""


class Refresh(Struct, frozen=True):
    """The share of one run. ``up_to`` is when the last project of it was due; None where that is as it was recorded."""

    todo: TodoList
    up_to: float | None
    begun: float
    period_seconds: float

    def record(self, inventory: Inventory, projects: set[NormalizedName], failed: set[NormalizedName]) -> None:
        """Record that ``projects`` have had their turn, ``failed`` ones among them for a while only."""
        inventory.mark_looked_at(projects - failed, self.begun)
        inventory.end_asking(projects, self.begun)
        inventory.mark_looked_at(failed, self.begun - self.period_seconds + min(RETRY_SECONDS, self.period_seconds))
        if self.up_to is not None:
            inventory.save_refreshed(self.up_to)


def plan_refresh(
    inventory: Inventory, filters: Filters, period_seconds: float, now: float, *, goes_by_index: bool = False
) -> Refresh:
    """Return the share of a run that began at ``now``; what was looked at since then has had its turn.

    Beside it stands what is awaited. What the filters drop by its name, and is here all the same, waits for ``mirror`` to
    remove it. The root index lists no quarantined project, and does not tell when it is removed: where the run
    ``goes_by_index``, only its page does.
    """
    silent = inventory.quarantined() if goes_by_index else frozenset[NormalizedName]()
    number, up_to = _share(inventory, period_seconds, now)
    number = max(number, inventory.overdue(MOST_PROJECTS))
    todo = TodoList(0)
    for name, display_name, serial in (*inventory.longest_not_looked_at(number, now), *inventory.due_awaited(now)):
        is_silent = name in silent
        todo.add(
            name,
            TodoEntry(
                display_name, 0 if is_silent else serial, Expectation.REMOVED if is_silent else Expectation.ROLES
            ),
        )
    if filters.projects:
        dropped = {name for name in todo if not filters.keeps_project(name, todo[name].display_name)}
        for name in dropped:
            todo.discard(name)
        inventory.mark_looked_at(dropped, now)
    return Refresh(todo, up_to, now, period_seconds)


def _share(inventory: Inventory, period_seconds: float, now: float) -> tuple[int, float | None]:
    """Return how many projects have their turn, and up to when they were due; None where that is as it was recorded."""
    last, held = inventory.refreshed_up_to() if period_seconds else (now, 0)
    if last is None or last > now or not held:
        return 0, None if held == 0 else now
    elapsed = min(now - last, period_seconds)
    if elapsed > MOST_SECONDS and held * elapsed / period_seconds > MOST_PROJECTS:
        elapsed = max(MOST_SECONDS, MOST_PROJECTS * period_seconds / held)
    number = int(held * elapsed / period_seconds)
    # What is less than one project stays owed.
    return number, now - elapsed + number * period_seconds / held if number else None
