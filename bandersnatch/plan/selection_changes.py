"""What the filters select otherwise than the program that left the tree: counted by the run that takes it over, and told."""

from collections.abc import Collection

from msgspec import Struct, field
from packaging.utils import NormalizedName

from bandersnatch.amounts import count_of

DIFFERENCES = {
    "latest_release": "latest_release: by version, pre-releases take only the places that final releases leave",
    "exclude_platform": "exclude_platform: wheels are judged by their tags, so that py3 stands for all of Python 3",
    "prerelease_release": "prerelease_release: pre-releases are those of PEP 440, 1.0c1 and 1.0a too",
}
"""The filters whose difference changes most, in words. docs/moving-in.md has them all."""


class SelectionChanges(Struct):
    """The numbers of files by project: of those that the tree has, and filters drop, and of those that it has not."""

    dropped: dict[NormalizedName, int] = field(default_factory=dict)
    added: dict[NormalizedName, int] = field(default_factory=dict)

    def note(self, project: NormalizedName, *, dropped: int, added: int = 0) -> None:
        """Take note of a project; what was noted of it before is not counted again."""
        if dropped:
            self.dropped[project] = dropped
        if added:
            self.added[project] = added

    def told(self, filter_names: Collection[str]) -> str | None:
        """Say what has changed, and why that may be, or None where nothing has."""
        if not self.dropped and not self.added:
            return None
        return (
            "the filters select otherwise than the program that left this tree: "
            f"they drop {_counted(self.dropped)} that it has, and keep {_counted(self.added)} that it left out; "
            f"{reasons(filter_names)}"
        )


def reasons(filter_names: Collection[str]) -> str:
    """Say which of the enabled filters decide otherwise than in older versions, and where all of that stands."""
    known = [words for name, words in DIFFERENCES.items() if name in filter_names]
    return "; ".join([*known, 'see "Filters that decide otherwise" in docs/moving-in.md'])


def _counted(files: dict[NormalizedName, int]) -> str:
    return f"{count_of(sum(files.values()), 'file')} of {count_of(len(files), 'project')}"
