"""What the made-up index holds: projects and their files, the same at every making."""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from benchmarks.archives import Archive, sdist, wheel

INDEX_PROJECTS = 736_000
"""How many projects PyPI has."""
FIRST_SERIAL = 20_000_000
SERIAL_STEP = 3
"""Serials of an index have gaps."""
KINDS = ("-py3-none-any.whl", ".tar.gz", "-cp312-cp312-manylinux_2_28_x86_64.whl")
"""What a release consists of: two thirds of all files are wheels."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large an index is. ``largest_project`` files belong to the first project, the others share the rest evenly.

    ``listed`` more projects have a name and a serial, but no page: they fill the list of all projects. ``has_legacy`` says
    whether the index serves what only other clients ask for: HTML, ``/pypi/<name>/json``, ``.metadata``.
    """

    name: str
    projects: int
    files: int
    file_bytes: tuple[int, int]
    largest_project: int = 0
    listed: int = 0
    has_legacy: bool = True

    def scaled(self, factor: float) -> "Size":
        """Return the same in small; to try a scenario, not to measure by it."""
        if factor == 1:
            return self
        projects = max(1, round(self.projects * factor))
        return replace(
            self,
            name=f"{self.name}-x{factor:g}",
            projects=projects,
            files=max(projects, round(self.files * factor)),
            largest_project=round(self.largest_project * factor),
            listed=round(self.listed * factor),
        )

    def files_of(self, number: int) -> int:
        """Return how many files the project of that number has."""
        if self.largest_project and number == 0:
            return self.largest_project
        special = 1 if self.largest_project else 0
        others, rest = self.projects - special, self.files - self.largest_project
        return rest // others + (number - special < rest % others)


@dataclass(frozen=True, slots=True)
class File:
    """A distribution file as pages tell of it; ``path`` is below the index's top."""

    filename: str
    version: str
    path: str
    size: int
    sha256: str
    metadata_sha256: str | None


@dataclass(frozen=True, slots=True)
class Project:
    """A project as the index has it at one moment."""

    name: str
    serial: int
    files: tuple[File, ...]

    @property
    def display_name(self) -> str:
        """The name as its uploader writes it."""
        return self.name.replace("-", "_").title()


Keep = Callable[[File, Archive], None]
"""What takes the bytes of a file as they are made."""


def project_name(number: int) -> str:
    """Return the normalized name of a project."""
    return f"bench-{number:06}"


def listed_name(number: int) -> str:
    """Return the normalized name of a project that is only listed."""
    return f"some-project-{number}"


def make_file(project: str, number: int, file_bytes: tuple[int, int], keep: Keep) -> File:
    """Make the file of that number; each release has an sdist and two wheels."""
    version, ending = f"{number // len(KINDS) + 1}.0", KINDS[number % len(KINDS)]
    filename = f"{project.replace('-', '_')}-{version}{ending}"
    size = random.Random(f"size of {filename}").randint(*file_bytes)
    archive = (sdist if ending == ".tar.gz" else wheel)(project, version, filename, size)
    place = hashlib.blake2b(archive.content, digest_size=32).hexdigest()
    metadata = archive.core_metadata
    file = File(
        filename,
        version,
        f"packages/{place[:2]}/{place[2:4]}/{place[4:]}/{filename}",
        len(archive.content),
        hashlib.sha256(archive.content).hexdigest(),
        None if metadata is None else hashlib.sha256(metadata).hexdigest(),
    )
    keep(file, archive)
    return file


def serial_of(number: int) -> int:
    """Return the serial of the project that is that far from the oldest one; those that are only listed are the oldest."""
    return FIRST_SERIAL + number * SERIAL_STEP


def make_projects(size: Size, keep: Keep) -> Iterator[Project]:
    """Make all projects of an index; ``keep`` gets the bytes of each file."""
    for number in range(size.projects):
        name = project_name(number)
        files = tuple(make_file(name, file, size.file_bytes, keep) for file in range(size.files_of(number)))
        yield Project(name, serial_of(size.listed + number), files)


def upload(projects: tuple[Project, ...], share: float, rounds: int, size: Size, keep: Keep) -> tuple[Project, ...]:
    """Return the projects after so many rounds, in each of which that share of them got one more file."""
    step, serial = max(1, round(1 / share)), projects[-1].serial
    now = list(projects)
    for round_ in range(rounds):
        for number in range((step // 2 + round_) % step, len(now), step):
            serial += SERIAL_STEP
            older = now[number]
            new = make_file(older.name, len(older.files) + len(KINDS), size.file_bytes, keep)
            now[number] = Project(older.name, serial, (*older.files, new))
    return tuple(now)
