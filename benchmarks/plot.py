"""Draws wall time and memory against the number of projects."""

from pathlib import Path

from benchmarks.results import Figure, Results, peak_mb, wall
from benchmarks.scenarios.growth import FILES, PROJECTS, case_of


def draw_growth(results: Results, path: Path) -> None:
    """Draw what B10 measured into a PNG.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure as Canvas  # noqa: PLC0415 - needed here only, and slow to import

    canvas = Canvas(figsize=(10, 4), layout="constrained")
    left, right = canvas.subplots(1, 2)
    for axes, figure, clients in ((left, wall, ("ours", "curl")), (right, peak_mb, ("ours",))):
        for client in clients:
            for files in FILES:
                points = points_of(results, figure, files, client)
                words = f"{client}, {files} file{'s' * (files > 1)} a project"
                axes.plot(
                    *zip(*points, strict=True), marker="o", linestyle="-" if client == "ours" else ":", label=words
                )
        axes.set_xscale("log")
        axes.set_xlabel("projects")
        axes.grid(visible=True, which="major", alpha=0.4)
        axes.legend()
    left.set_yscale("log")
    left.set_ylabel("wall, seconds")
    left.set_title("First sync")
    right.set_ylim(bottom=0)
    right.set_ylabel("peak memory, MB")
    right.set_title("Memory")
    canvas.savefig(path, dpi=110, metadata={"Software": None})


def points_of(results: Results, figure: Figure, files: int, client: str) -> list[tuple[float, float]]:
    """Return the sizes that were measured, and the figure at each."""
    measured = [(projects, results.median(figure, case_of(projects, files), client)) for projects in PROJECTS]
    return [(projects, value) for projects, value in measured if value is not None] or [(1.0, 0.0)]
