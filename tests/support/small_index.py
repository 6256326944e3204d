"""A small index as the benchmarks make it."""

from benchmarks.archives import Archive
from benchmarks.dataset import File, Project, Size, make_projects

SMALL = Size("small", projects=4, files=15, file_bytes=(3_000, 5_000), largest_project=6)


def make(size: Size = SMALL) -> tuple[tuple[Project, ...], dict[str, tuple[File, Archive]]]:
    kept: dict[str, tuple[File, Archive]] = {}
    projects = tuple(make_projects(size, lambda file, archive: kept.update({file.path: (file, archive)})))
    return projects, kept
