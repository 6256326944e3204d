"""Does a project cost the same whether there are a thousand or a hundred thousand of them?"""

from dataclasses import dataclass
from statistics import mean

from benchmarks.bench import Bench, remove
from benchmarks.check import Expected
from benchmarks.dataset import Size
from benchmarks.results import Figure, Results, Target, at_most, cpu, difference, wall

PROJECTS = (1_000, 10_000, 100_000)
FILES = (1, 3)
"""Files in each project; the difference is what a file costs, and what is left a project."""
FILE_BYTES = (3_000, 5_000)
ALLOWED_DEVIATION = 0.15
LONG = 100_000
"""From so many projects on, one run will do: it takes minutes, in which chance evens out, and its mirrors have 17 GB."""


@dataclass(frozen=True)
class Growth:
    """B10."""

    name: str = "B10"
    title: str = "first sync of 1,000, 10,000 and 100,000 projects with 1 and with 3 small files"

    def run(self, bench: Bench) -> None:
        """Measure."""
        start = Size("B10-start", 1, 1, FILE_BYTES, has_legacy=False)
        for _ in range(bench.settings.runs):
            self._measure(bench, start_case(), start, "ours")
        for projects in PROJECTS:
            runs = 1 if projects >= LONG else bench.settings.runs
            # In turns, since a machine may be slower some minutes later, and what a file costs is the difference.
            for files in FILES * runs:
                size = Size(f"B10-{projects}-{files}", projects, projects * files, FILE_BYTES, has_legacy=False)
                self._measure(bench, case_of(projects, files), size, "ours", "curl")

    def _measure(self, bench: Bench, case: str, size: Size, *keys: str) -> None:
        index = bench.index(size)
        with bench.serving(index) as server:
            for client in bench.who(*keys):
                tree = bench.empty_tree(index, client)
                bench.sync(case, client, server, tree, Expected(index.projects))
                remove(tree)

    def targets(self, results: Results) -> list[Target]:
        """Compare."""
        found = []
        for files in FILES:
            text = f"{files} file{'s' * (files > 1)} each: cost per project within 15% of the mean"
            for words, figure in (("wall", wall), ("CPU", cpu)):
                costs = [cost_ms(results, figure, projects, files) for projects in PROJECTS]
                found.append(at_most("B10", f"{text}, {words}", deviation(costs), ALLOWED_DEVIATION))
        for words, figure in (("wall", wall), ("CPU", cpu)):
            costs = [file_cost_ms(results, figure, projects) for projects in PROJECTS]
            found.append(
                at_most("B10", f"cost per file within 15% of the mean, {words}", deviation(costs), ALLOWED_DEVIATION)
            )
        return found


def start_case() -> str:
    """Return the case in which there is next to nothing to do."""
    return "B10 (1 project)"


def case_of(projects: int, files: int) -> str:
    """Return the case of so many projects with so many files each."""
    return f"B10 {projects:,} x {files}"


def cost_ms(results: Results, figure: Figure, projects: int, files: int, client: str = "ours") -> float | None:
    """Return what a project costs with its files, without what each run takes to start and to end."""
    start = results.median(figure, start_case()) if client == "ours" else 0.0
    total = difference(results.median(figure, case_of(projects, files), client), start)
    return None if total is None else 1000 * total / projects


def file_cost_ms(results: Results, figure: Figure, projects: int) -> float | None:
    """Return what a file more in each project costs."""
    fewest, most = (cost_ms(results, figure, projects, files) for files in FILES)
    added = difference(most, fewest)
    return None if added is None else added / (FILES[1] - FILES[0])


def deviation(costs: list[float | None]) -> float | None:
    """Return how far from their mean the costs are at most, as a part of it; None where one is missing."""
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs) or mean(known) <= 0:
        return None
    return max(abs(cost / mean(known) - 1) for cost in known)
