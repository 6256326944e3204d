"""The brake on removals: an accident upstream must not empty the mirror."""

from msgspec import Struct, field
from packaging.utils import NormalizedName

from bandersnatch.filters.verdict import Verdict
from bandersnatch.layout import StoredPath
from bandersnatch.options import RemovalLimit


class Removals(Struct):
    """What a run is about to remove: projects that are gone, and files that pages no longer list.

    ``excluded`` says which of the projects go because of a filter.
    """

    projects: list[NormalizedName] = field(default_factory=list)
    files: dict[NormalizedName, tuple[StoredPath, ...]] = field(default_factory=dict)
    excluded: dict[NormalizedName, Verdict] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.projects or self.files)

    def excess(self, limit: RemovalLimit, held_projects: int, held_files: int) -> str | None:
        """Say what is too much, or None where the limit allows it all.

        The files of projects that are gone as a whole count as their project only.
        """
        files = sum(map(len, self.files.values()))
        return excess(limit, (len(self.projects), held_projects), (files, held_files))

    def listing(self) -> str:
        """Return the text form: a line ``project NAME`` or ``file PATH`` for each."""
        lines = [f"project {name}\n" for name in sorted(self.projects)]
        lines += [f"file {path}\n" for name in sorted(self.files) for path in self.files[name]]
        return "".join(lines)


def excess(limit: RemovalLimit, projects: tuple[int, int], files: tuple[int | None, int]) -> str | None:
    """Say what is too much, or None; of projects and of files, how many are to be removed, out of how many held.

    None stands for a number of files that is not known, which is no reason to say that it is too much.
    """
    removed, held = files
    if limit.allows(*projects) and limit.allows(removed or 0, held):
        return None
    number = "it is not known how many" if removed is None else str(removed)
    return f"{projects[0]} of {projects[1]} projects, and from others {number} of {held} files"
