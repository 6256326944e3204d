"""Plans of runs, from what is saved and held; and what they say."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bandersnatch.filters.filters import NO_FILTERS, Filters
from bandersnatch.names import NormalizedName
from bandersnatch.plan.basis import Basis
from bandersnatch.plan.run_plan import RunPlan, plan_run
from bandersnatch.state.inventory import HeldProject
from bandersnatch.state.saved_state import SavedState
from bandersnatch.state.todo import TodoEntry, TodoList
from bandersnatch.storage.layout import StoredPath
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.index import Upstream
from tests.support.builders import named
from tests.support.fakepypi import FakePyPI, Status

NEW = SavedState(None, None)
A, B, C = named("a"), named("b"), named("c")


@dataclass(frozen=True)
class Held:
    """An inventory of projects at a serial each, and the names of those that a dead run left unfinished."""

    at: Mapping[NormalizedName, int]
    unfinished: tuple[NormalizedName, ...] = ()
    display_names: Mapping[NormalizedName, str] = field(default_factory=dict)
    lowered: dict[NormalizedName, int] = field(default_factory=dict)

    def serials(self) -> Mapping[NormalizedName, int]:
        return self.at

    def quarantined(self) -> set[NormalizedName]:
        return set()

    def awaited_serials(self) -> Mapping[NormalizedName, int]:
        return {}

    def lower_serials(self, serials: Mapping[NormalizedName, int]) -> None:
        self.lowered.update(serials)

    def get(self, project: NormalizedName) -> HeldProject | None:
        if project not in self.at:
            return None
        return HeldProject(project, self.display_names.get(project, project), self.at[project], None, 0, 0)

    def all_unsettled(self) -> list[tuple[NormalizedName, StoredPath]]:
        return [(name, StoredPath(f"web/packages/{name}")) for name in self.unfinished]


def plan(
    upstream: Upstream,
    saved: SavedState = NEW,
    held: Mapping[NormalizedName, int] | None = None,
    *,
    filters: Filters = NO_FILTERS,
    must_check_all: bool = False,
) -> RunPlan:
    return plan_run(saved, Basis(upstream, Held(held or {}), filters), must_check_all=must_check_all)


def expectation(plan: RunPlan) -> dict[str, tuple[int, Expectation]]:
    return {name: (plan.todo[name].serial, plan.todo[name].expectation) for name in plan.todo}


def saved_todo(target: int, **entries: TodoEntry) -> SavedState:
    return SavedState(1, TodoList(target, {named(name): entry for name, entry in entries.items()}))


def without_rpc(pypi: FakePyPI) -> None:
    pypi.fault("/pypi", Status(404), times=None)
