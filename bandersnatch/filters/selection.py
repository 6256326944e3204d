"""What the filters keep of one project: its page in the mirror, and the verdicts behind that."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.filters.facts import NO_DOCUMENT, NO_RELEASE, FileFacts, ProjectDocument, Release
from bandersnatch.filters.filters import Filters, ReleaseFilter
from bandersnatch.filters.release_of import releases_of
from bandersnatch.filters.verdict import UNFILTERED, Verdict
from bandersnatch.model import DistributionFile, ProjectPage

if TYPE_CHECKING:  # importing it takes time, and few mirrors need it
    from bandersnatch.filters.releases import Latest


class Selection(Struct, frozen=True, dict=True):
    """Applies the filters to a project's page.

    Files are judged first, then the releases that still have files; of these the latest are chosen. If requirements pin
    the project, they alone decide on its releases. Files without a release are never among the latest, and take none of
    their places.
    """

    filters: Filters
    upstream_page: ProjectPage
    document: ProjectDocument = NO_DOCUMENT

    @cached_property
    def page(self) -> ProjectPage:
        """The page with the files and versions that are kept; upstream's own object if all are."""
        kept_versions = self._kept_versions
        dropped = {
            file.filename for release in self.releases for file in release.files if not self._stays(release, file)
        }
        versions = tuple(version for version in self.upstream_page.versions if version in kept_versions)
        if not dropped and versions == self.upstream_page.versions:
            return self.upstream_page
        files = tuple(file for file in self.upstream_page.files if file.filename not in dropped)
        return replace(self.upstream_page, files=files, versions=versions)

    @cached_property
    def releases(self) -> tuple[Release, ...]:
        """All releases of upstream's page."""
        told = {name: version for name, (version, _) in self._entries.items()}
        return releases_of(self.upstream_page, told)

    def file_verdicts(self, release: Release, file: DistributionFile) -> list[Verdict]:
        """Return the verdict of each file filter on a file."""
        facts = self._facts(release, file)
        return [Verdict(each.keeps(facts), each.filter_name, each.reason(facts)) for each in self.filters.files]

    def release_verdicts(self, release: Release) -> list[Verdict]:
        """Return the verdict of each release filter on a release."""
        project = self.upstream_page.name
        verdicts = [
            Verdict(each.keeps(project, release), each.filter_name, each.reason(project, release))
            for each in self._release_filters
        ]
        if release.files and not self._kept_files[release.version]:
            verdicts.append(replace(UNFILTERED, keeps=False, reason="all its files are dropped"))
        if release.is_known and all(each.keeps for each in verdicts):
            verdicts += [
                Verdict(release.version in kept, latest.filter_name, latest.reason(kept, release))
                for latest, kept in zip(self._latest, self._chosen, strict=True)
            ]
        return verdicts

    @cached_property
    def _entries(self) -> Mapping[str, tuple[str, Mapping[str, object]]]:
        return self.document.files()

    def _facts(self, release: Release, file: DistributionFile) -> FileFacts:
        entry = self._entries[file.filename][1] if file.filename in self._entries else {}
        return FileFacts(self.upstream_page.name, release.version, file, self.document, entry)

    @cached_property
    def _kept_files(self) -> dict[str, frozenset[str]]:
        """The file names of each version that the file filters keep."""
        return {
            release.version: frozenset(file.filename for file in release.files if self._keeps_file(release, file))
            for release in self.releases
        }

    def _keeps_file(self, release: Release, file: DistributionFile) -> bool:
        # A fast path: most mirrors have no filters of files.
        if not self.filters.files:
            return True
        facts = self._facts(release, file)
        return all(each.keeps(facts) for each in self.filters.files)

    @cached_property
    def _pinning(self) -> tuple[ReleaseFilter, ...]:
        return tuple(each for each in self.filters.pinned if each.pins(self.upstream_page.name))

    @property
    def _release_filters(self) -> tuple[ReleaseFilter, ...]:
        return self._pinning or (*self.filters.releases, *self.filters.pinned)

    @property
    def _latest(self) -> tuple["Latest", ...]:
        return () if self._pinning else self.filters.latest

    @cached_property
    def _candidates(self) -> tuple[Release, ...]:
        """The releases that all filters keep, before the latest are chosen."""
        project = self.upstream_page.name
        return tuple(
            release
            for release in self.releases
            if (self._kept_files[release.version] or not release.files)
            and all(each.keeps(project, release) for each in self._release_filters)
        )

    @cached_property
    def _chosen(self) -> tuple[frozenset[str], ...]:
        """The versions that each latest-releases filter chooses; a release without files takes no place."""
        candidates = [release for release in self._candidates if release.files and release.is_known]
        return tuple(each.select(candidates) for each in self._latest)

    @cached_property
    def _kept_versions(self) -> frozenset[str]:
        kept = frozenset(release.version for release in self._candidates)
        # latest_release does not apply to files without a release.
        return kept.intersection(*self._chosen) | (kept & {NO_RELEASE})

    def _stays(self, release: Release, file: DistributionFile) -> bool:
        return release.version in self._kept_versions and file.filename in self._kept_files[release.version]
