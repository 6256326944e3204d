"""An index as large as PyPI: a few projects of it chosen, and all of them held."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench, remove
from benchmarks.check import Expected
from benchmarks.clients import Ours, Wishes, environment_of, write_config
from benchmarks.dataset import INDEX_PROJECTS, Size, listed_name, serial_of
from benchmarks.index import Index
from benchmarks.results import Results, Target, at_most, cpu, difference, exactly, peak_mb, ratio, request_count, wall
from benchmarks.server import REPOSITORY

HOLDING = REPOSITORY / "benchmarks" / "holding.py"
PROJECTS = 50
WHOLE = Size("whole", PROJECTS, 4 * PROJECTS, (4_096, 16_384), listed=INDEX_PROJECTS - PROJECTS)


@dataclass(frozen=True)
class FewChosen:
    """B7."""

    name: str = "B7"
    title: str = "index of 736,000 projects, 50 chosen by an allowlist"

    def run(self, bench: Bench) -> None:
        """Measure."""
        index = bench.index(WHOLE)
        expected = Expected(index.projects)
        wishes = Wishes(allowlist=[project.name for project in index.projects])
        with bench.serving(index) as server:
            for _ in range(bench.settings.runs):
                for client in bench.who("ours", "peer"):
                    tree = bench.empty_tree(index, client)
                    bench.sync("B7", client, server, tree, expected, wishes)
                    bench.sync("B7 nothing new", client, server, tree, expected, wishes)
                    remove(tree)

    def targets(self, results: Results) -> list[Target]:
        """Compare."""
        again = "B7 nothing new"
        return [
            at_most("B7", "first run: wall at most 0.5 s", results.median(wall, "B7"), 0.5, " s"),
            at_most("B7", "first run: peak at most 60 MB", results.worst(peak_mb, "B7"), 60, " MB"),
            at_most("B7", "nothing new: wall at most 0.3 s", results.median(wall, again), 0.3, " s"),
            exactly("B7", "nothing new: 1 request", results.worst(request_count, again), 1),
        ]


@dataclass(frozen=True)
class AllHeld:
    """B8. The held projects have no pages on disk, so that a walk through them would make a wrong root index.

    What a run takes where only the 50 changed projects are held is what their downloads cost; a tenth of the projects
    shows whether the rest grows as the number of projects does.
    """

    name: str = "B8"
    title: str = "736,000 projects held, 50 changed"

    def run(self, bench: Bench) -> None:
        """Measure."""
        index = bench.index(WHOLE)
        listed = index.size.listed
        with bench.serving(index) as server:
            for _ in range(bench.settings.runs):
                for case, held in (("B8", listed), ("B8 (a tenth held)", listed // 10), ("B8 (only the 50)", 0)):
                    for client in bench.who("ours"):
                        assert isinstance(client, Ours)
                        tree = bench.empty_tree(index, client)
                        hold_listed(client, index, tree, held)
                        bench.sync(case, client, server, tree, Expected(index.projects, held))
                        remove(tree)

    def targets(self, results: Results) -> list[Target]:
        """Compare."""
        downloads = results.median(cpu, "B8 (only the 50)")
        whole = difference(results.median(cpu, "B8"), downloads)
        tenth = difference(results.median(cpu, "B8 (a tenth held)"), downloads)
        return [
            at_most("B8", "CPU at most 0.6 s", results.median(cpu, "B8"), 0.6, " s"),
            at_most("B8", "peak at most 60 MB", results.worst(peak_mb, "B8"), 60, " MB"),
            at_most("B8", "CPU at most 12 times that with a tenth of the projects", ratio(whole, tenth), 12),
        ]


def hold_listed(client: Ours, index: Index, tree: Path, listed: int) -> None:
    """Make what a mirror knows that holds so many of the listed projects and, older than they are now, those with pages."""
    names: Sequence[str] = [*map(listed_name, range(listed)), *(project.name for project in index.projects)]
    named = tree.with_name(f"{tree.name}.names")
    named.write_text("".join(f"{name}\n" for name in names))
    tree.rmdir()
    config = write_config(tree, index, Wishes())
    serial = serial_of(index.size.listed) - 1
    command = [sys.executable, "-P", str(HOLDING), str(config), str(serial), str(named)]
    subprocess.run(command, check=True, env=environment_of(client.source), cwd=tree.parent)
