"""Runs on a mirror that is there: nothing new, a few changes, and a look at everything."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench, remove
from benchmarks.check import Expected, files_below
from benchmarks.clients import Wishes, environment_of
from benchmarks.dataset import Project
from benchmarks.index import Index
from benchmarks.measure import Request, run
from benchmarks.results import Results, Target, at_least, at_most, cpu, difference, exactly, ratio, request_count, wall
from benchmarks.scenarios.first_sync import LARGE_FILES, SMALL_FILES

CHANGED_SHARE = 0.01
QUICK_RUNS = 3
"""A run of a fraction of a second is repeated that many times more often."""
HASHER = "sha256sum"
SHADOWMIRE = "shadowmire"


@dataclass(frozen=True)
class NothingNew:
    """B3."""

    name: str = "B3"
    title: str = "run with nothing new, on B1's mirror"

    def run(self, bench: Bench) -> None:
        """Measure."""
        index = bench.index(SMALL_FILES)
        expected = Expected(index.projects)
        with bench.serving(index) as server:
            trees = bench.synced_trees("B3", server, expected, "ours", "peer")
            for _ in range(bench.settings.runs * QUICK_RUNS):
                for client, tree in trees:
                    bench.sync("B3", client, server, tree, expected)

    def targets(self, results: Results) -> list[Target]:
        """Compare."""
        ours, peers = results.median(cpu, "B3"), results.median(cpu, "B3", results.peer())
        return [
            at_most("B3", "wall at most 0.25 s", results.median(wall, "B3"), 0.25, " s"),
            at_most("B3", "CPU at most 0.2 s", ours, 0.2, " s"),
            at_most("B3", "CPU at most half of the peer's", ratio(ours, peers), 0.5),
            exactly("B3", "1 request", results.worst(request_count, "B3"), 1),
        ]


@dataclass(frozen=True)
class FewChanges:
    """B4: in each round, the index moves on by a file in one project of a hundred."""

    name: str = "B4"
    title: str = "1% of the projects changed, on B1's mirror"

    def run(self, bench: Bench) -> None:
        """Measure."""
        index = bench.index(SMALL_FILES)
        with bench.serving(index) as server:
            trees = bench.synced_trees("B4", server, Expected(index.projects), "ours", "peer")
        before: Sequence[Project] = index.projects
        try:
            for rounds in range(1, bench.settings.runs + 1):
                now = index.upload(CHANGED_SHARE, rounds)
                facts, before = {"needed": needed_requests(before, now)}, now
                with bench.serving(index) as server:
                    for client, tree in trees:
                        bench.sync("B4", client, server, tree, Expected(now), facts=facts_of(facts))
        finally:
            index.put_back()
            for _, tree in trees:
                remove(tree)  # it is ahead of the index now

    def targets(self, results: Results) -> list[Target]:
        """Compare."""
        wanted = results.median(lambda result: result.facts["needed"], "B4")
        ours, peers = results.median(wall, "B4"), results.median(wall, "B4", results.peer())
        shadowmires = results.median(wall, "B4", SHADOWMIRE)
        return [
            at_most("B4", "wall at most 0.5 s", ours, 0.5, " s"),
            at_most("B4", "wall at most 0.3 of the peer's", ratio(ours, peers), 0.3),
            at_most("B4", "wall at most half of shadowmire's", ratio(ours, shadowmires), 0.5),
            exactly("B4", "requests: 2 + changed pages + new files", results.worst(request_count, "B4"), wanted),
        ]


@dataclass(frozen=True)
class CheckAll:
    """B5."""

    name: str = "B5"
    title: str = "after `rm state todo`, with nothing missing"

    def run(self, bench: Bench) -> None:
        """Measure."""
        small = bench.index(SMALL_FILES)
        self._check_in_turn(bench, "B5", small, "stat", "ours", "peer")
        self._check_in_turn(bench, "B5 hash", small, "hash", "ours", "peer")
        large = bench.index(LARGE_FILES)
        self._check_in_turn(bench, "B5, 100 MB", large, "stat", "ours")
        self._check_in_turn(bench, "B5 hash, 100 MB", large, "hash", "ours")

    def _check_in_turn(self, bench: Bench, case: str, index: Index, method: str, *keys: str) -> None:
        expected, wishes = Expected(index.projects), Wishes(compare_method=method)
        with bench.serving(index) as server:
            trees = bench.synced_trees(case, server, expected, *keys)
            for _ in range(bench.settings.runs):
                for client, tree in trees:
                    client.forget(tree)
                    count = count_unchanged(len(index.projects))
                    bench.sync(case, client, server, tree, expected, wishes, count)
                if method == "hash" and trees:
                    hash_everything(bench, case, trees[0][1])

    def targets(self, results: Results) -> list[Target]:
        """Compare."""
        pages = results.median(lambda result: result.facts["projects"], "B5")
        unchanged = results.median(lambda result: result.facts["unchanged"], "B5")
        scan = results.median(wall, "B5")
        small, large = (results.median(wall, case) for case in ("B5 hash", "B5 hash, 100 MB"))
        yardstick, large_yardstick = (results.median(wall, case, HASHER) for case in ("B5 hash", "B5 hash, 100 MB"))
        in_all = None if scan is None or yardstick is None else scan + yardstick
        hashing = (
            difference(results.median(figure, "B5 hash, 100 MB"), results.median(figure, "B5, 100 MB"))
            for figure in (cpu, wall)
        )
        busy = ratio(*hashing)
        cores = os.cpu_count() or 1
        return [
            at_most("B5", "wall at most 4 s", scan, 4, " s"),
            exactly("B5", "all pages answered by 304", unchanged, pages),
            exactly("B5", "no file asked for", results.worst(lambda result: result.requests["file"], "B5"), 0),
            at_most("B5", "hash: at most 1.5 times B5 and sha256sum", ratio(small, in_all), 1.5),
            at_most("B5", "hash, 100 MB: at most 1.25 times sha256sum", ratio(large, large_yardstick), 1.25),
            at_least(
                "B5", f"hash, 100 MB: {cores} cores busy with that, at least 0.85 of each", ratio(busy, cores), 0.85
            ),
        ]


def needed_requests(before: Sequence[Project], now: Sequence[Project]) -> int:
    """Return what it takes to follow: the changelog and its newest serial, each changed page, each new file."""
    pairs = list(zip(before, now, strict=True))
    pages = sum(then != later for then, later in pairs)
    return 2 + pages + sum(len(later.files) - len(then.files) for then, later in pairs)


def facts_of(facts: Mapping[str, float]) -> Callable[[Sequence[Request]], Mapping[str, float]]:
    """Return what tells these facts whatever was asked for."""
    return lambda _: facts


def count_unchanged(projects: int) -> Callable[[Sequence[Request]], Mapping[str, float]]:
    """Return what counts the pages that were answered by 304, beside the number of all."""

    def count(requests: Sequence[Request]) -> dict[str, float]:
        unchanged = sum(request.kind == "page" and request.status == 304 for request in requests)
        return {"unchanged": unchanged, "projects": projects}

    return count


def hash_everything(bench: Bench, case: str, tree: Path) -> None:
    """Run sha256sum on all files of a mirror, on all cores: the yardstick."""
    listed = tree.with_name(f"{tree.name}.files")
    paths = [f"{tree}/web/{path}" for path in files_below(tree / "web", "packages") if not path.endswith(".metadata")]
    listed.write_text("".join(f"{path}\0" for path in paths))
    cores = os.cpu_count() or 1
    at_a_time = max(1, min(500, len(paths) // (4 * cores)))
    command = ["xargs", "-0", "-a", str(listed), "-P", str(cores), "-n", str(at_a_time), HASHER]
    usage = run(command, environment_of(None), tree.with_name(f"{tree.name}.sums"))
    bench.record(case, HASHER, usage, problem=f"exit status {usage.status}" if usage.status else None)
