"""The filters of releases: by version, by pattern, and the latest ones."""

import re
from collections.abc import Mapping, Sequence
from enum import Enum, IntEnum

from msgspec import Struct
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from bandersnatch.filters.facts import Release
from bandersnatch.filters.name_options import read_patterns, read_requirement, searches
from bandersnatch.filters.settings import Settings
from bandersnatch.names import NormalizedName, canonicalize_name
from bandersnatch.shown_text import shown

Specifiers = Mapping[NormalizedName, frozenset[SpecifierSet]]


class OnlyReleases(Struct, frozen=True):
    """Keeps the releases that a list asks for, and none of the projects that it does not name."""

    filter_name: str
    specifiers: Specifiers
    place: str

    def keeps(self, project: NormalizedName, release: Release) -> bool:
        """Whether an entry for the project asks for the release; versions outside PEP 440 are never asked for.

        Files without a release are kept if the list names the project.
        """
        if not release.is_known:
            return project in self.specifiers
        return _contains(self.specifiers.get(project, frozenset()), release.parsed)

    def reason(self, project: NormalizedName, release: Release) -> str:
        """Return what the list asks for."""
        return f"{self.place} asks for {_shown(self.specifiers, project)}, {_subject(release)}"

    def pins(self, project: NormalizedName) -> bool:
        """Whether an entry for the project restricts the versions."""
        return any(len(each) > 0 for each in self.specifiers.get(project, frozenset()))


class NotReleases(Struct, frozen=True):
    """Drops the releases of a list; versions outside PEP 440 are kept."""

    filter_name: str
    specifiers: Specifiers

    def keeps(self, project: NormalizedName, release: Release) -> bool:
        """Whether no entry for the project names the release."""
        return not _contains(self.specifiers.get(project, frozenset()), release.parsed)

    def reason(self, project: NormalizedName, release: Release) -> str:
        """Return what the list names."""
        listed = _shown(self.specifiers, project)
        return f"[blocklist] packages names {listed}, {_subject(release)}"


class NoPrereleases(Struct, frozen=True):
    """Drops pre-releases (PEP 440) of the listed projects, or of all projects if the list is empty."""

    filter_name: str
    names: frozenset[NormalizedName]

    def keeps(self, project: NormalizedName, release: Release) -> bool:
        """Whether the release is final, or its project is not listed."""
        return not release.is_prerelease or bool(self.names and project not in self.names)

    def reason(self, project: NormalizedName, release: Release) -> str:
        """Return whether the release is a pre-release."""
        if self.names and project not in self.names:
            return f"[filter_prerelease] packages does not name {project}"
        return f"{_shown_version(release)} is {'a' if release.is_prerelease else 'no'} pre-release"


class VersionMatchesNone(Struct, frozen=True):
    """Drops releases if a pattern matches the beginning of their version."""

    filter_name: str
    patterns: tuple[re.Pattern[str], ...]

    def keeps(self, project: NormalizedName, release: Release) -> bool:  # noqa: ARG002 - all release filters share a signature
        """Whether no pattern matches; files without a release have no version to match."""
        return not release.is_known or not any(self._matches(pattern, release.version) for pattern in self.patterns)

    def reason(self, project: NormalizedName, release: Release) -> str:  # noqa: ARG002 - all release filters share a signature
        """Return which pattern matches."""
        for pattern in self.patterns:
            if release.is_known and self._matches(pattern, release.version):
                return f"[filter_regex] releases has {shown(pattern.pattern)!r}, which matches {shown(release.version)}"
        return f"no pattern of [filter_regex] releases matches {_shown_version(release)}"

    @staticmethod
    def _matches(pattern: re.Pattern[str], version: str) -> bool:
        return pattern.match(version) is not None


class VersionContainsNone(VersionMatchesNone, frozen=True):
    """Drops releases if a pattern matches anywhere in their version."""

    @staticmethod
    def _matches(pattern: re.Pattern[str], version: str) -> bool:
        return pattern.search(version) is not None


class SortBy(Enum):
    """What makes a release the latest."""

    VERSION = "version"
    TIME = "time"


class _Rank(IntEnum):
    """The kind of a release, which matters more than its version."""

    NO_VERSION = 0
    PRERELEASE = 1
    FINAL = 2


class Latest(Struct, frozen=True):
    """Keeps the latest of the releases that all other filters keep.

    By version, pre-releases take the places that final releases leave, and versions outside PEP 440 those that both
    leave. By time, only the upload time counts, as in the versions that introduced ``sort_by``. The release that
    upstream displays as current always stays; if necessary, it takes the last place.
    """

    filter_name: str
    keep: int
    sort_by: SortBy

    def select(self, releases: Sequence[Release]) -> frozenset[str]:
        """Return the versions that are kept."""
        latest = sorted(releases, key=self._sort_key, reverse=True)[: self.keep]
        current = max(releases, key=_preference, default=None)
        if current is not None and all(each.version != current.version for each in latest):
            latest[-1] = current
        return frozenset(release.version for release in latest)

    def reason(self, kept: frozenset[str], release: Release) -> str:
        """Return whether the release is one of the latest."""
        verb = "is" if release.version in kept else "is not"
        return f"{shown(release.version)} {verb} among the {self.keep} latest by {self.sort_by.value}"

    def _sort_key(self, release: Release) -> tuple[float, _Rank, Version, str]:
        time = release.uploaded if self.sort_by is SortBy.TIME else 0.0
        return time, _rank(release), *_version_order(release)


def _rank(release: Release) -> _Rank:
    if release.parsed is None:
        return _Rank.NO_VERSION
    return _Rank.PRERELEASE if release.is_prerelease else _Rank.FINAL


def _version_order(release: Release) -> tuple[Version, str]:
    return release.parsed or Version("0"), release.version


def _preference(release: Release) -> tuple[bool, _Rank, Version, str]:
    """Return the sort key by which PyPI chooses the release to display; but PyPI counts invalid versions as final."""
    return not release.is_yanked, _rank(release), *_version_order(release)


def read_allowlist_release(settings: Settings) -> OnlyReleases | None:
    """Read the filter that keeps the releases of the allowlist."""
    specifiers = _read_specifiers(settings, "allowlist")
    return OnlyReleases("allowlist_release", specifiers, "[allowlist] packages") if specifiers else None


def read_blocklist_release(settings: Settings) -> NotReleases | None:
    """Read the filter that drops the releases of the blocklist."""
    specifiers = _read_specifiers(settings, "blocklist")
    return NotReleases("blocklist_release", specifiers) if specifiers else None


def read_prerelease_release(settings: Settings) -> NoPrereleases:
    """Read the filter that drops pre-releases."""
    entries = settings.entries("filter_prerelease", "packages")
    requirements = (read_requirement(settings, entry) for entry in entries)
    names = frozenset(canonicalize_name(each.name) for each in requirements if each is not None)
    return NoPrereleases("prerelease_release", names)


def read_regex_release(settings: Settings) -> VersionMatchesNone | None:
    """Read the filter that drops releases by patterns."""
    patterns = read_patterns(settings, settings.entries("filter_regex", "releases"))
    kind = VersionContainsNone if searches(settings) else VersionMatchesNone
    return kind("regex_release", patterns) if patterns else None


def read_latest_release(settings: Settings) -> Latest | None:
    """Read the filter that keeps the latest releases; 0 disables it."""
    keep, sort_by = settings.value("latest_release", "keep"), settings.value("latest_release", "sort_by")
    order = SortBy.VERSION
    if sort_by is not None:
        try:
            order = SortBy(sort_by.text.lower())
        except ValueError:
            settings.add_problem(sort_by, "expected version or time")
    number = settings.number(keep)
    return Latest("latest_release", number, order) if number else None


def grouped(requirements: Sequence[Requirement], constraints: Sequence[Requirement] = ()) -> Specifiers:
    """Return the specifiers of each project: one requirement must hold, and all constraints."""
    limits: dict[NormalizedName, SpecifierSet] = {}
    for constraint in constraints:
        name = canonicalize_name(constraint.name)
        limits[name] = limits.get(name, SpecifierSet()) & constraint.specifier
    found: dict[NormalizedName, frozenset[SpecifierSet]] = {}
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        specifier = requirement.specifier & limits.get(name, SpecifierSet())
        found[name] = found.get(name, frozenset()) | {specifier}
    return found


def _read_specifiers(settings: Settings, section: str) -> Specifiers:
    requirements = (read_requirement(settings, entry) for entry in settings.entries(section, "packages"))
    return grouped([each for each in requirements if each is not None])


def _contains(specifiers: frozenset[SpecifierSet], version: Version | None) -> bool:
    # Whether pre-releases are wanted is up to prerelease_release, not to the entries of a list.
    return version is not None and any(each.contains(version, prereleases=True) for each in specifiers)


def _shown_version(release: Release) -> str:
    return shown(release.version) if release.is_known else "what is of no release"


def _subject(release: Release) -> str:
    return f"the release is {shown(release.version)}" if release.is_known else "the files have no release"


def _shown(specifiers: Specifiers, project: NormalizedName) -> str:
    listed = specifiers.get(project)
    if listed is None:
        return f"nothing of {project}"
    return " or ".join(sorted(f"{project}{each}" if len(each) else f"any {project}" for each in listed))
