"""What was measured, and how it compares with what was aimed at; values and sums only."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.measure import Usage

MB = 1_000_000


@dataclass(frozen=True)
class Result:
    """One run of one client. ``problem`` is what was wrong with it; ``facts`` are what only its scenario knows."""

    case: str
    client: str
    usage: Usage
    requests: Mapping[str, int]
    body_bytes: int
    problem: str | None = None
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """What a scenario aims at, what came out, and whether that will do; None where it was not measured."""

    scenario: str
    text: str
    measured: str
    is_met: bool | None


@dataclass(frozen=True)
class Session:
    """A scenario that was run: when, with which versions, and what came out."""

    scenario: str
    date: str
    versions: Mapping[str, str]
    results: tuple[Result, ...]


Figure = Callable[[Result], float]


def wall(result: Result) -> float:
    """Return seconds from start to end."""
    return result.usage.wall_seconds


def cpu(result: Result) -> float:
    """Return seconds of CPU, user and system."""
    return result.usage.cpu_seconds


def peak_mb(result: Result) -> float:
    """Return the peak memory in MB."""
    return result.usage.peak_bytes / MB


def request_count(result: Result) -> float:
    """Return how many requests there were of all kinds."""
    return sum(result.requests.values())


class Results:
    """All runs, in the order in which they were made."""

    def __init__(self, results: Iterable[Result]) -> None:
        self.all = tuple(results)

    def of(self, case: str, client: str) -> list[Result]:
        """Return the runs of a client that did what they should."""
        return [each for each in self.all if (each.case, each.client) == (case, client) and each.problem is None]

    def median(self, figure: Figure, case: str, client: str = "ours") -> float | None:
        """Return the median of a figure, or None where there is no good run."""
        figures = [figure(result) for result in self.of(case, client)]
        return median(figures) if figures else None

    def worst(self, figure: Figure, case: str, client: str = "ours") -> float | None:
        """Return the largest of a figure, or None where there is no good run."""
        return max((figure(result) for result in self.of(case, client)), default=None)

    def peer(self) -> str:
        """Return the name of the other bandersnatch, as far as it took part."""
        return next((each.client for each in self.all if each.client.startswith("bandersnatch")), "bandersnatch")


def ratio(value: float | None, base: float | None) -> float | None:
    """Return how many times the base a value is; None where either is missing, or the base is lost in the noise."""
    return value / base if value is not None and base is not None and base > 0 else None


def difference(value: float | None, base: float | None) -> float | None:
    """Return by how much a value is more than the base; None where either is missing."""
    return None if value is None or base is None else value - base


def at_most(scenario: str, text: str, value: float | None, limit: float, unit: str = "") -> Target:
    """Return the target that a value is no more than a limit."""
    if value is None:
        return Target(scenario, text, "not measured", None)
    return Target(scenario, text, f"{value:.3g}{unit}", value <= limit)


def at_least(scenario: str, text: str, value: float | None, limit: float, unit: str = "") -> Target:
    """Return the target that a value is no less than a limit."""
    if value is None:
        return Target(scenario, text, "not measured", None)
    return Target(scenario, text, f"{value:.3g}{unit}", value >= limit)


def exactly(scenario: str, text: str, value: float | None, wanted: float | None) -> Target:
    """Return the target that a count is a certain number."""
    if value is None or wanted is None:
        return Target(scenario, text, "not measured", None)
    return Target(scenario, text, f"{value:,.0f}", value == wanted)


def over_time(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Return the versions of a scenario's clients, both of them where one was changed under way."""
    return {
        name: version if after[name] == version else f"{version}, later {after[name]}"
        for name, version in before.items()
    }


def save(path: Path, sessions: Mapping[str, Session]) -> None:
    """Write what was measured."""
    path.write_text(json.dumps([asdict(session) for session in sessions.values()], indent=1))


def load(path: Path) -> dict[str, Session]:
    """Read what was measured before; nothing where there is no such file."""
    try:
        read = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return {each["scenario"]: Session(**{**each, "results": tuple(map(_result, each["results"]))}) for each in read}


def _result(read: dict[str, object]) -> Result:
    usage = read["usage"]
    assert isinstance(usage, dict)
    return Result(**{**read, "usage": Usage(**usage)})  # type: ignore[arg-type]
