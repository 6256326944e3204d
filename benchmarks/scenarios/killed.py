"""A first sync that is killed half-way, and the run after it."""

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench, remove
from benchmarks.check import Expected, digest
from benchmarks.clients import WORKERS
from benchmarks.dataset import File
from benchmarks.measure import Request
from benchmarks.results import Result, Results, Target, at_most, exactly
from benchmarks.scenarios.first_sync import SMALL_FILES


@dataclass(frozen=True)
class Killed:
    """B9."""

    name: str = "B9"
    title: str = "kill -9 half-way through B1, then again"

    def run(self, bench: Bench) -> None:
        """Measure."""
        index = bench.index(SMALL_FILES)
        files, expected = index.files, Expected(index.projects)
        with bench.serving(index) as server:
            for _ in range(bench.settings.runs):
                for client in bench.who("ours"):
                    tree = bench.empty_tree(index, client)
                    is_enough = has_asked_for(server.access_log, len(files) // 2)
                    usage, _ = bench.attempt(client, server, tree, is_enough=is_enough)
                    whole = whole_files(tree / "web", files)
                    if usage.status != -signal.SIGKILL or not len(files) // 4 <= len(whole) < len(files):
                        problem = f"was not killed half-way: status {usage.status}, {len(whole)} files whole"
                        bench.record("B9", client.name, usage, problem=problem)
                        continue
                    begun = sum(1 for _ in tree.rglob("*.part"))
                    count = count_repeated(whole, begun)
                    bench.sync("B9", client, server, tree, expected, facts=count)
                    remove(tree)

    def targets(self, results: Results) -> list[Target]:
        """Compare."""

        def worst(fact: str) -> float | None:
            def read(result: Result) -> float:
                return result.facts[fact]

            return results.worst(read, "B9")

        return [
            exactly("B9", "no finished file fetched twice", worst("fetched twice"), 0),
            at_most("B9", f"at most {WORKERS} partial files at the kill", worst("partial"), WORKERS),
            at_most("B9", f"at most {WORKERS} files resumed", worst("resumed"), WORKERS),
        ]


def has_asked_for(access_log: Path, count: int) -> Callable[[], bool]:
    """Return what says whether so many files were sent already; it reads the log on from where it was."""
    position, seen = 0, 0

    def is_enough() -> bool:
        nonlocal position, seen
        with access_log.open("rb") as log:
            log.seek(position)
            written = log.read()
        position += len(written)
        seen += written.count(b" /packages/")
        return seen >= count

    return is_enough


def whole_files(web: Path, files: Sequence[File]) -> set[str]:
    """Return the paths of the files that a mirror has, whole and right."""
    return {file.path for file in files if (web / file.path).exists() and digest(web / file.path) == file.sha256}


def count_repeated(whole: set[str], begun: int) -> Callable[[Sequence[Request]], Mapping[str, float]]:
    """Return what counts, in the requests of the second run, those that the first one had made needless."""

    def count(requests: Sequence[Request]) -> dict[str, float]:
        asked = [request for request in requests if request.kind == "file"]
        return {
            "whole": len(whole),
            "partial": begun,
            "fetched twice": sum(request.uri.lstrip("/") in whole for request in asked),
            "resumed": sum(request.is_partial for request in asked),
        }

    return count
