"""The scenarios, each in what it runs and what it aims at."""

from typing import Protocol

from benchmarks.bench import Bench
from benchmarks.results import Results, Target
from benchmarks.scenarios.again import CheckAll, FewChanges, NothingNew
from benchmarks.scenarios.first_sync import FirstSync, LargeFiles, WithLatency
from benchmarks.scenarios.growth import Growth
from benchmarks.scenarios.killed import Killed
from benchmarks.scenarios.other_indexes import OtherIndexes
from benchmarks.scenarios.whole_index import AllHeld, FewChosen


class Scenario(Protocol):
    """Something to measure."""

    @property
    def name(self) -> str:
        """B1 to B12."""

    @property
    def title(self) -> str:
        """What it is, in a few words."""

    def run(self, bench: Bench) -> None:
        """Measure."""

    def targets(self, results: Results) -> list[Target]:
        """Compare what was measured with what is aimed at."""


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        FirstSync(),
        WithLatency(),
        NothingNew(),
        FewChanges(),
        CheckAll(),
        LargeFiles(),
        FewChosen(),
        AllHeld(),
        Killed(),
        Growth(),
        OtherIndexes(),
    )
}

# What needs a mirror of B1's index comes right after B1, and what changes that index comes last of these.
ORDER = ("B1", "B3", "B5", "B4", "B9", "B2", "B6", "B7", "B8", "B10", "B12")
