"""Turns what was measured into the tables of RESULTS.md."""

from collections.abc import Iterable, Mapping, Sequence, Set

from benchmarks.measure import KINDS
from benchmarks.results import MB, Figure, Result, Results, Session, Target, cpu, peak_mb, ratio, wall
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.scenarios.growth import FILES, PROJECTS, case_of, cost_ms, file_cost_ms

HEAD = """\
# Results

Made by `python -m benchmarks --write`; [README.md](README.md) says what each scenario is and how it is measured. Of several
runs, the table has the median and in brackets each of them.
"""
COLUMNS = ("case", "client", "wall, s", "CPU, s", "peak, MB", *KINDS, "MB sent", "wall / ours", "wall / curl")


def render(sessions: Mapping[str, Session], machine: Mapping[str, str]) -> str:
    """Return the whole of RESULTS.md."""
    ordered = [sessions[name] for name in SCENARIOS if name in sessions]
    results = Results(result for session in ordered for result in session.results)
    targets = [target for session in ordered for target in SCENARIOS[session.scenario].targets(results)]
    wrong = {session.scenario for session in ordered if any(_is_ours_and_wrong(each) for each in session.results)}
    parts = [HEAD, _circumstances(ordered, machine), "## Targets\n", _targets(targets, wrong)]
    parts += ["## Measured\n", _measured(ordered, results)]
    if "B10" in sessions:
        parts += ["## Cost against size\n", _growth(results), "![wall and memory against size](growth.png)\n"]
    return "\n".join(parts)


def _circumstances(sessions: Sequence[Session], machine: Mapping[str, str]) -> str:
    by_versions: dict[str, list[Session]] = {}
    for session in sessions:
        versions = ", ".join(f"{name} {version}" for name, version in session.versions.items())
        by_versions.setdefault(versions, []).append(session)
    lines = [", ".join(f"{name}: {value}" for name, value in machine.items()) + ".\n"]
    if changed := ", ".join(_measured_in_several_versions(sessions)):
        lines.append(f"**Not all scenarios were measured with the same version of {changed}**:\n")
    for versions, those in by_versions.items():
        names, dates = ", ".join(session.scenario for session in those), sorted(session.date for session in those)
        lines.append(f"- {names}, {dates[0]} to {dates[-1]} UTC: {versions}.")
    return "\n".join(lines) + "\n"


def _measured_in_several_versions(sessions: Iterable[Session]) -> list[str]:
    """Return the clients that were not of one version in all scenarios: some results are of earlier sessions."""
    seen: dict[str, set[str]] = {}
    for session in sessions:
        for name, version in session.versions.items():
            seen.setdefault(name, set()).add(version)
    return [name for name, versions in seen.items() if len(versions) > 1]


def _is_ours_and_wrong(result: Result) -> bool:
    return result.client == "ours" and result.problem is not None


def _targets(targets: Iterable[Target], wrong: Set[str]) -> str:
    """Return the table of targets; a scenario of which any run of ours went wrong meets none."""
    words = {True: "yes", False: "**no**", None: "-"}
    rows = [
        (
            target.scenario,
            target.text,
            target.measured,
            "**no**, a run was wrong" if target.scenario in wrong else words[target.is_met],
        )
        for target in targets
    ]
    return table(("scenario", "target", "measured", "met"), rows)


def _measured(sessions: Iterable[Session], results: Results) -> str:
    parts = []
    for session in sessions:
        cases = dict.fromkeys((result.case, result.client) for result in session.results)
        rows = [_row(results, case, client) for case, client in cases]
        parts += [f"{session.scenario}: {_scenario(session).title}.\n", table(COLUMNS, rows)]
        parts += [
            f"- {result.case}, {result.client}: **wrong**: {result.problem}\n"
            for result in session.results
            if result.problem
        ]
    return "\n".join(parts)


def _scenario(session: Session) -> Scenario:
    return SCENARIOS[session.scenario]


def _row(results: Results, case: str, client: str) -> tuple[str, ...]:
    runs = results.of(case, client)
    if not runs:
        return (case, client, "wrong", *("-" for _ in COLUMNS[3:]))
    requests = [_span(run.requests[kind] for run in runs) for kind in KINDS]
    ours, curl = (
        ratio(results.median(wall, case, client), results.median(wall, case, base)) for base in ("ours", "curl")
    )
    figures = [_figures(runs, figure, digits) for figure, digits in ((wall, 2), (cpu, 2), (peak_mb, 0))]
    return (case, client, *figures, *requests, _sent(runs), _times(ours), _times(curl))


def _figures(runs: list[Result], figure: Figure, digits: int) -> str:
    values = sorted(figure(run) for run in runs)
    middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
    told = f"{middle:.{digits}f}"
    return f"{told} ({', '.join(f'{value:.{digits}f}' for value in values)})" if len(values) > 1 and digits else told


def _span(counts: Iterable[int]) -> str:
    values = sorted(set(counts))
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,}-{values[-1]:,}"


def _sent(runs: list[Result]) -> str:
    return f"{max(run.body_bytes for run in runs) / MB:,.1f}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _growth(results: Results) -> str:
    rows = []
    for projects in PROJECTS:
        for files in FILES:
            figures = (cost_ms(results, wall, projects, files), cost_ms(results, cpu, projects, files))
            yardstick = cost_ms(results, wall, projects, files, "curl")
            peak = results.median(peak_mb, case_of(projects, files))
            told = [_digits(value, 3) for value in (*figures, yardstick)]
            rows.append((f"{projects:,}", str(files), *told, _digits(peak, 0)))
    per_file = [
        (f"{projects:,}", *(_digits(file_cost_ms(results, figure, projects), 3) for figure in (wall, cpu)))
        for projects in PROJECTS
    ]
    first = table(
        ("projects", "files each", "wall per project, ms", "CPU per project, ms", "curl's wall, ms", "peak, MB"), rows
    )
    second = table(("projects", "wall per file, ms", "CPU per file, ms"), per_file)
    note = "Without what a run with one project takes. A file more in each project costs:\n"
    return "\n".join((first, note, second))


def _digits(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    titles = list(head)
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
