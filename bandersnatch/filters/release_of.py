"""Determines which release a file belongs to.

The legacy JSON says so, if it was fetched. Otherwise we compare the file's name with the versions on the page (PEP
700): what follows the project's name begins with a version, in upstream's spelling or an equivalent one; a name that
does not begin with the project's contains a version. A version that is not on the page is accepted if PEP 440 allows
it, or if the page lists no versions. All other files have no release.
"""

import re
from collections.abc import Mapping

from packaging.utils import canonicalize_version

from bandersnatch.filters.facts import NO_RELEASE, Release, parse_version
from bandersnatch.model import DistributionFile, ProjectPage
from bandersnatch.names import NormalizedName, belongs_to, canonicalize_name

_EXTENSION = re.compile(r"\.(?:whl|egg|exe|msi|dmg|rpm|deb|zip|tar|tgz|tbz|tar\.(?:gz|bz2|xz|Z|lzma))$", re.IGNORECASE)
_RPM_RELEASE = re.compile(r"-[^-]+\.\w+$")
_SEPARATORS = re.compile(r"[-_.+]+")


def rest_of(filename: str, project: NormalizedName) -> str:
    """Return what follows the project's name in a file name, without the extension: a version, and perhaps more.

    If the name does not begin with the project's, the whole stem is returned.
    """
    stem = _EXTENSION.sub("", filename)
    position = stem.find("-")
    while position != -1:
        if canonicalize_name(stem[:position]) == project:
            return stem[position + 1 :]
        position = stem.find("-", position + 1)
    return stem


def releases_of(page: ProjectPage, told: Mapping[str, str]) -> tuple[Release, ...]:
    """Return a page's releases with their files, in the page's order; ``told`` maps file names to known versions."""
    spellings = _Spellings(page.versions)
    files: dict[str, list[DistributionFile]] = {version: [] for version in page.versions}
    for file in page.files:
        version = told.get(file.filename)
        if version is None:
            version = spellings.version_of(file.filename, page.name)
        files.setdefault(version, []).append(file)
    return tuple(Release(version, parse_version(version), tuple(each)) for version, each in files.items())


def version_count(page: ProjectPage) -> int:
    """Return how many versions a project has: as the page says, or, where it does not, as the names of its files do."""
    return len(page.versions) or sum(release.is_known for release in releases_of(page, {}))


class _Spellings:
    """Finds the versions of a page by any of their spellings; an exact match goes first."""

    def __init__(self, versions: tuple[str, ...]) -> None:
        self._exact = dict.fromkeys(versions)
        self._canonical: dict[str, str] = {}
        self._loose: dict[str, str] = {}
        for version in versions:
            self._canonical.setdefault(_canonical(version), version)
            self._loose.setdefault(_loose(version), version)

    def version_of(self, filename: str, project: NormalizedName) -> str:
        """Return the version after the project's name in a file name, or the one anywhere in a name without it."""
        if not belongs_to(filename, project):
            return self._version_in(_EXTENSION.sub("", filename))
        rest = rest_of(filename, project)
        if filename.endswith(".whl"):
            written = rest.partition("-")[0]
            return self._find(written) or self._believed(written)
        if filename.endswith(".rpm"):
            rest = _RPM_RELEASE.sub("", rest)
        # Longest first: in foo-1.0-1.tar.gz the version 1.0-1 (a post release) must win over 1.0.
        ends = [len(rest), *(found.start() for found in reversed(list(_SEPARATORS.finditer(rest))))]
        return next((version for end in ends if (version := self._find(rest[:end])) is not None), self._believed(rest))

    def _believed(self, written: str) -> str:
        # Pages before version 1.1 of the API list no versions that could contradict the name.
        return written if not self._exact or parse_version(written) is not None else NO_RELEASE

    def _version_in(self, stem: str) -> str:
        """Return the only version of the page that occurs in a name, ignoring those that are part of a longer one."""
        found = [version for version in self._exact if version and _stands_in(version, stem)]
        # The version 1.0 also occurs in a name that has 1.0rc1.
        longest = max(map(len, found), default=0)
        candidates = [version for version in found if len(version) == longest]
        return candidates[0] if len(candidates) == 1 else NO_RELEASE

    def _find(self, written: str) -> str | None:
        if written in self._exact:
            return written
        canonical = self._canonical.get(_canonical(written))
        return canonical if canonical is not None else self._loose.get(_loose(written))


def _stands_in(version: str, stem: str) -> bool:
    """Whether a version occurs in a name, and not as part of another number."""
    return re.search(rf"(?<![\d.]){re.escape(version)}(?!\d|\.\d)", stem) is not None


def _canonical(version: str) -> str:
    try:
        return canonicalize_version(version)
    except ValueError:  # an int of over 4,300 digits
        return version


def _loose(version: str) -> str:
    """Return a version with the separators unified, which file names use interchangeably."""
    return _SEPARATORS.sub("-", version).lower()
