"""``Filters``: all filters of a configuration as one value, which says what is kept and why.

Something is kept if every filter keeps it, so the order of filters does not matter. Only the latest releases are chosen
last, from what all others keep; otherwise a release with nothing left would take one of the places.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.filters.fingerprint import described, described_before
from bandersnatch.filters.verdict import Verdict, first_drop
from bandersnatch.names import NormalizedName

if TYPE_CHECKING:  # importing them takes time; a run with nothing new judges no page, and few mirrors choose releases
    from bandersnatch.filters.facts import FileFacts, ProjectFacts, Release
    from bandersnatch.filters.releases import Latest, OnlyReleases


class ProjectFilter(Protocol):
    """Decides by the name of a project: the normalized one, or the one that upstream displays."""

    @property
    def filter_name(self) -> str:
        """The name by which the filter is enabled."""

    def keeps(self, project: NormalizedName, display_name: str) -> bool:
        """Whether the project is kept."""

    def reason(self, project: NormalizedName, display_name: str) -> str:
        """Return why it is kept or dropped."""


@runtime_checkable
class Overlooking(Protocol):
    """A filter that may keep more than the operator expects."""

    def overlooked(self, names: Sequence[str]) -> Iterator[str]:
        """Yield warnings about that, given the displayed names that are kept."""


class MetadataFilter(Protocol):
    """Decides on a whole project by its page and metadata."""

    @property
    def filter_name(self) -> str:
        """The name by which the filter is enabled."""

    @property
    def needs_json(self) -> bool:
        """Whether it needs the project's legacy JSON."""

    def keeps(self, facts: "ProjectFacts") -> bool:
        """Whether the project is kept."""

    def reason(self, facts: "ProjectFacts") -> str:
        """Return why it is kept or dropped."""


class FileFilter(Protocol):
    """Decides on single files."""

    @property
    def filter_name(self) -> str:
        """The name by which the filter is enabled."""

    @property
    def needs_json(self) -> bool:
        """Whether it needs the project's legacy JSON."""

    def keeps(self, facts: "FileFacts") -> bool:
        """Whether the file is kept."""

    def reason(self, facts: "FileFacts") -> str:
        """Return why it is kept or dropped."""


class ReleaseFilter(Protocol):
    """Decides on single releases."""

    @property
    def filter_name(self) -> str:
        """The name by which the filter is enabled."""

    def keeps(self, project: NormalizedName, release: "Release") -> bool:
        """Whether the release is kept."""

    def reason(self, project: NormalizedName, release: "Release") -> str:
        """Return why it is kept or dropped."""


class Filters(Struct, frozen=True):
    """The enabled filters. ``pinned`` are release filters that decide alone on the projects that they pin."""

    projects: tuple[ProjectFilter, ...] = ()
    metadata: tuple[MetadataFilter, ...] = ()
    files: tuple[FileFilter, ...] = ()
    releases: tuple[ReleaseFilter, ...] = ()
    pinned: tuple["OnlyReleases", ...] = ()
    latest: tuple["Latest", ...] = ()

    @property
    def text(self) -> str:
        """A text that changes whenever the filters may decide differently; empty if there are none."""
        # Sorted, so that the order in which a file enables filters is no change.
        groups = (self.projects, self.metadata, self.files, self.releases, self.pinned, self.latest)
        return "\n".join(sorted(described(each) for group in groups for each in group))

    @property
    def text_before(self) -> str:
        """The same text in its form before 9.0."""
        return described_before(self) if self != NO_FILTERS else ""

    @property
    def of_names(self) -> "Filters":
        """The filters that need only the names of projects."""
        return Filters(projects=self.projects)

    @property
    def of_pages(self) -> "Filters":
        """All other filters: those that affect the content of pages."""
        return replace(self, projects=())

    @property
    def names(self) -> frozenset[str]:
        """The names by which they are enabled."""
        groups = (self.projects, self.metadata, self.files, self.releases, self.pinned, self.latest)
        return frozenset(each.filter_name for group in groups for each in group)

    @property
    def shape_pages(self) -> bool:
        """Whether any filter needs more than the names of projects."""
        return self.of_pages != NO_FILTERS

    @property
    def needs_json(self) -> bool:
        """Whether any filter needs the legacy JSON of projects."""
        return any(each.needs_json for each in self.metadata) or any(each.needs_json for each in self.files)

    def overlooked(self, names: Sequence[str]) -> Iterator[str]:
        """Yield warnings about patterns that keep some of these names although the operator may not expect it."""
        for each in self.projects:
            if isinstance(each, Overlooking):
                yield from each.overlooked(names)

    def keeps_project(self, project: NormalizedName, display_name: str) -> bool:
        """Whether a project is kept, judging by its name: a fast path without reasons, for hundreds of thousands."""
        return all(each.keeps(project, display_name) for each in self.projects)

    def project(self, project: NormalizedName, display_name: str) -> Verdict:
        """Return the verdict on a project by its name."""
        return first_drop(
            Verdict(each.keeps(project, display_name), each.filter_name, each.reason(project, display_name))
            for each in self.projects
        )

    def metadata_of(self, facts: "ProjectFacts") -> Verdict:
        """Return the verdict on a project by its page and its metadata."""
        return first_drop(Verdict(each.keeps(facts), each.filter_name, each.reason(facts)) for each in self.metadata)


NO_FILTERS = Filters()
