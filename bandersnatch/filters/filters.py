"""``Filters``: all filters of a configuration as one value, which says what is kept, and why.

Something stays where every filter keeps it, so the order of filters means nothing. Only the latest releases are chosen last,
out of what all others keep; otherwise a place would go to a release of which nothing is left.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName

from bandersnatch.filters.facts import FileFacts, ProjectFacts, Release
from bandersnatch.filters.fingerprint import described, described_before
from bandersnatch.filters.verdict import Verdict, first_drop

if TYPE_CHECKING:  # what reads requirements need not be imported where there are none
    from bandersnatch.filters.releases import Latest, OnlyReleases


class ProjectFilter(Protocol):
    """Decides by the name of a project: the normalized one, or the one that upstream shows."""

    @property
    def filter_name(self) -> str:
        """The name by which the filter is enabled."""

    def keeps(self, project: NormalizedName, display_name: str) -> bool:
        """Whether the project stays."""

    def reason(self, project: NormalizedName, display_name: str) -> str:
        """Say why it stays or goes."""


@runtime_checkable
class Overlooking(Protocol):
    """A filter that may let pass more than an operator thinks."""

    def overlooked(self, names: Sequence[str]) -> Iterator[str]:
        """Yield warnings of that, given the displayed names that are kept."""


class MetadataFilter(Protocol):
    """Decides on a whole project by what upstream tells of it."""

    @property
    def filter_name(self) -> str:
        """The name by which the filter is enabled."""

    @property
    def needs_json(self) -> bool:
        """Whether it looks into the project's legacy JSON."""

    def keeps(self, facts: ProjectFacts) -> bool:
        """Whether the project stays."""

    def reason(self, facts: ProjectFacts) -> str:
        """Say why it stays or goes."""


class FileFilter(Protocol):
    """Decides on single files."""

    @property
    def filter_name(self) -> str:
        """The name by which the filter is enabled."""

    @property
    def needs_json(self) -> bool:
        """Whether it looks into the project's legacy JSON."""

    def keeps(self, facts: FileFacts) -> bool:
        """Whether the file stays."""

    def reason(self, facts: FileFacts) -> str:
        """Say why it stays or goes."""


class ReleaseFilter(Protocol):
    """Decides on single releases."""

    @property
    def filter_name(self) -> str:
        """The name by which the filter is enabled."""

    def keeps(self, project: NormalizedName, release: Release) -> bool:
        """Whether the release stays."""

    def reason(self, project: NormalizedName, release: Release) -> str:
        """Say why it stays or goes."""


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
        """A text that differs whenever the filters may decide otherwise; empty where there are none."""
        groups = (self.projects, self.metadata, self.files, self.releases, self.pinned, self.latest)
        return "\n".join(sorted(described(each) for group in groups for each in group))

    @property
    def text_before(self) -> str:
        """The same in its form before 9.0."""
        return described_before(self) if self != NO_FILTERS else ""

    @property
    def of_names(self) -> "Filters":
        """Those that look at nothing but the names of projects."""
        return Filters(projects=self.projects)

    @property
    def of_pages(self) -> "Filters":
        """The others, which make a page what it is."""
        return replace(self, projects=())

    @property
    def names(self) -> frozenset[str]:
        """The names by which they are enabled."""
        groups = (self.projects, self.metadata, self.files, self.releases, self.pinned, self.latest)
        return frozenset(each.filter_name for group in groups for each in group)

    @property
    def shape_pages(self) -> bool:
        """Whether any filter looks at more than the names of projects."""
        return self.of_pages != NO_FILTERS

    @property
    def needs_json(self) -> bool:
        """Whether a filter looks into the legacy JSON of projects."""
        return any(each.needs_json for each in self.metadata) or any(each.needs_json for each in self.files)

    def overlooked(self, names: Sequence[str]) -> Iterator[str]:
        """Yield warnings of patterns that let pass, of these names that are kept, more than an operator may think."""
        for each in self.projects:
            if isinstance(each, Overlooking):
                yield from each.overlooked(names)

    def keeps_project(self, project: NormalizedName, display_name: str) -> bool:
        """Whether a project stays, as far as its name tells; asked once for each of hundreds of thousands."""
        return all(each.keeps(project, display_name) for each in self.projects)

    def project(self, project: NormalizedName, display_name: str) -> Verdict:
        """Say whether a project stays, as far as its name tells, and which filter says so."""
        return first_drop(
            Verdict(each.keeps(project, display_name), each.filter_name, each.reason(project, display_name))
            for each in self.projects
        )

    def metadata_of(self, facts: ProjectFacts) -> Verdict:
        """Say whether a project stays, as far as its page and its metadata tell, and which filter says so."""
        return first_drop(Verdict(each.keeps(facts), each.filter_name, each.reason(facts)) for each in self.metadata)


NO_FILTERS = Filters()
