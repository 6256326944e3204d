"""Empty folder to whole mirror: many small files, the same over a slow line, and a few large files; also over TLS."""

from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.check import Expected
from benchmarks.clients import WORKERS
from benchmarks.dataset import Size
from benchmarks.index import Index
from benchmarks.results import Results, Target, at_least, at_most, exactly, peak_mb, ratio, request_count, wall

SMALL_FILES = Size("B1", 2_000, 20_000, (4_096, 16_384), largest_project=5_000)
SLOW_LINE = Size("B2", 300, 3_000, (4_096, 16_384))
LARGE_FILES = Size("B6", 20, 20, (100_000_000, 100_000_000))
SMALLER_FILES = Size("B6-tenth", 20, 20, (10_000_000, 10_000_000))
LATENCY_SECONDS = 0.03
REQUESTS_BESIDE = 3
"""The newest serial, the list of all projects, and the changes since."""


def sync_in_turn(bench: Bench, case: str, index: Index, *keys: str, latency_seconds: float = 0) -> None:
    """Let the clients sync an empty folder, one after the other, as often as is wanted."""
    expected = Expected(index.projects)
    needed = len(index.projects) + len(index.files) + REQUESTS_BESIDE
    facts = {"latency": bench.latency(latency_seconds), "needed": needed}
    with bench.serving(index, latency_seconds) as server:
        for _ in range(bench.settings.runs):
            for client in bench.who(*keys):
                bench.sync(case, client, server, bench.empty_tree(index, client), expected, facts=lambda _: facts)


@dataclass(frozen=True)
class FirstSync:
    """B1."""

    name: str = "B1"
    title: str = "first sync: 2,000 projects, 20,000 small files, one project with 5,000 of them"

    def run(self, bench: Bench) -> None:
        """Measure."""
        sync_in_turn(bench, "B1", bench.index(SMALL_FILES), "ours", "peer", "curl")
        sync_in_turn(bench, "B1 TLS", bench.index_over_tls(SMALL_FILES), "ours", "curl")

    def targets(self, results: Results) -> list[Target]:
        """Compare."""
        ours, peer = results.median(wall, "B1"), results.median(wall, "B1", results.peer())
        of_peer, of_curl = ratio(ours, peer), ratio(ours, results.median(wall, "B1", "curl"))
        over_tls = ratio(results.median(wall, "B1 TLS"), results.median(wall, "B1 TLS", "curl"))
        needed = results.median(lambda result: result.facts["needed"], "B1")
        return [
            at_most("B1", "wall at most 0.15 of the peer's", of_peer, 0.15),
            at_most("B1", "wall at most 1.6 times curl's", of_curl, 1.6),
            at_most("B1", "over TLS: wall at most 1.6 times curl's", over_tls, 1.6),
            exactly("B1", "requests: pages + files + 3", results.worst(request_count, "B1"), needed),
        ]


@dataclass(frozen=True)
class WithLatency:
    """B2."""

    name: str = "B2"
    title: str = "first sync: 300 projects, 3,000 small files, each answer 30 ms later"

    def run(self, bench: Bench) -> None:
        """Measure."""
        index = bench.index(SLOW_LINE)
        sync_in_turn(bench, "B2", index, "ours", "peer", "curl", latency_seconds=LATENCY_SECONDS)

    def targets(self, results: Results) -> list[Target]:
        """Compare."""
        waited = results.median(lambda result: result.facts["latency"] * result.facts["needed"], "B2")
        ideal = None if waited is None else waited / WORKERS
        text = f"wall at most 1.05 times requests x latency / {WORKERS} workers"
        return [at_most("B2", text, ratio(results.median(wall, "B2"), ideal), 1.05)]


@dataclass(frozen=True)
class LargeFiles:
    """B6. Files of a tenth of the size show whether the memory grows with it."""

    name: str = "B6"
    title: str = "first sync: 20 files of 100 MB"

    def run(self, bench: Bench) -> None:
        """Measure."""
        sync_in_turn(bench, "B6 (10 MB)", bench.index(SMALLER_FILES), "ours")
        sync_in_turn(bench, "B6", bench.index(LARGE_FILES), "ours", "peer", "curl")
        sync_in_turn(bench, "B6 TLS", bench.index_over_tls(LARGE_FILES), "ours", "curl")

    def targets(self, results: Results) -> list[Target]:
        """Compare."""
        throughput = ratio(results.median(wall, "B6", "curl"), results.median(wall, "B6"))
        over_tls = ratio(results.median(wall, "B6 TLS"), results.median(wall, "B6 TLS", "curl"))
        growth = ratio(results.median(peak_mb, "B6"), results.median(peak_mb, "B6 (10 MB)"))
        return [
            at_least("B6", "throughput at least that of curl", throughput, 1),
            at_most("B6", "over TLS: wall at most that of curl", over_tls, 1),
            at_most("B6", "memory flat: peak at most 1.1 times that with files of 10 MB", growth, 1.1),
        ]
