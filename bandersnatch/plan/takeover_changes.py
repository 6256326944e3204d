"""How the filters' selection differs from that of the program that made the tree; reported at the takeover."""

from collections.abc import Collection

from msgspec import Struct, field

from bandersnatch.amounts import count_of
from bandersnatch.names import NormalizedName

DIFFERENCES = {
    "latest_release": "latest_release: by version, pre-releases take only the places that final releases leave",
    "exclude_platform": "exclude_platform: wheels are judged by their tags, so that py3 stands for all of Python 3",
    "prerelease_release": "prerelease_release: pre-releases are those of PEP 440, 1.0c1 and 1.0a too",
}
"""The filters that differ most, in words. docs/moving-in.md has all of them."""


class TakeoverChanges(Struct):
    """The numbers of files by project: those in the tree that filters drop, and those it lacks that filters keep."""

    dropped: dict[NormalizedName, int] = field(default_factory=dict)
    added: dict[NormalizedName, int] = field(default_factory=dict)

    def note(self, project: NormalizedName, *, dropped: int, added: int = 0) -> None:
        """Record a project; recording it again replaces its numbers."""
        if dropped:
            self.dropped[project] = dropped
        if added:
            self.added[project] = added

    def told(self, filter_names: Collection[str]) -> str | None:
        """Return what has changed and why, in words, or None if nothing has."""
        if not self.dropped and not self.added:
            return None
        return (
            "the filters select other files than the program that made this tree: "
            f"they drop {_counted(self.dropped)} that it has, and keep {_counted(self.added)} that it left out; "
            f"{reasons(filter_names)}"
        )


def reasons(filter_names: Collection[str]) -> str:
    """Return which enabled filters decide differently from older versions, and where all differences are documented."""
    known = [words for name, words in DIFFERENCES.items() if name in filter_names]
    return "; ".join([*known, 'see "Filters that decide otherwise" in docs/moving-in.md'])


def _counted(files: dict[NormalizedName, int]) -> str:
    return f"{count_of(sum(files.values()), 'file')} of {count_of(len(files), 'project')}"
