"""Which release a file belongs to.

The legacy JSON says so, where it was asked for. Otherwise the file's name does, held against the versions that the page
lists (PEP 700): the name behind the project's begins with the version, in upstream's spelling or in another one of the same
version; a name that does not begin with the project's has one of the versions in it. A version that the page does not list
is believed where it is one of PEP 440, or where the page lists none at all. All other files are of no release.
"""

import re
from collections.abc import Mapping

from packaging.utils import NormalizedName, canonicalize_name, canonicalize_version

from bandersnatch.filters.facts import NO_RELEASE, Release, parse_version
from bandersnatch.model import DistributionFile, ProjectPage, belongs_to

_EXTENSION = re.compile(r"\.(?:whl|egg|exe|msi|dmg|rpm|deb|zip|tar|tgz|tbz|tar\.(?:gz|bz2|xz|Z|lzma))$", re.IGNORECASE)
_RPM_RELEASE = re.compile(r"-[^-]+\.\w+$")
_SEPARATORS = re.compile(r"[-_.+]+")


def rest_of(filename: str, project: NormalizedName) -> str:
    """Return what follows the name of the project in a file's name, without the extension: a version, and what may follow.

    The whole stem is returned where the name is not the project's.
    """
    stem = _EXTENSION.sub("", filename)
    position = stem.find("-")
    while position != -1:
        if canonicalize_name(stem[:position]) == project:
            return stem[position + 1 :]
        position = stem.find("-", position + 1)
    return stem


def releases_of(page: ProjectPage, told: Mapping[str, str]) -> tuple[Release, ...]:
    """Return the releases of a page with their files, in the page's order; ``told`` has versions by the name of the file."""
    spellings = _Spellings(page.versions)
    files: dict[str, list[DistributionFile]] = {version: [] for version in page.versions}
    for file in page.files:
        version = told.get(file.filename)
        if version is None:
            version = spellings.version_of(file.filename, page.name)
        files.setdefault(version, []).append(file)
    return tuple(Release(version, parse_version(version), tuple(each)) for version, each in files.items())


class _Spellings:
    """The versions of a page, to be found by any of their spellings; the exact one goes first."""

    def __init__(self, versions: tuple[str, ...]) -> None:
        self._exact = dict.fromkeys(versions)
        self._canonical: dict[str, str] = {}
        self._loose: dict[str, str] = {}
        for version in versions:
            self._canonical.setdefault(_canonical(version), version)
            self._loose.setdefault(_loose(version), version)

    def version_of(self, filename: str, project: NormalizedName) -> str:
        """Return the version that a file's name has behind the project's, or anywhere if that is not there."""
        if not belongs_to(filename, project):
            return self._version_in(_EXTENSION.sub("", filename))
        rest = rest_of(filename, project)
        if filename.endswith(".whl"):
            written = rest.partition("-")[0]
            return self._find(written) or self._believed(written)
        if filename.endswith(".rpm"):
            rest = _RPM_RELEASE.sub("", rest)
        ends = [len(rest), *(found.start() for found in reversed(list(_SEPARATORS.finditer(rest))))]
        return next((version for end in ends if (version := self._find(rest[:end])) is not None), self._believed(rest))

    def _believed(self, written: str) -> str:
        return written if not self._exact or parse_version(written) is not None else NO_RELEASE

    def _version_in(self, stem: str) -> str:
        """Return the one version of the page that stands in a name, apart from others that are parts of it."""
        found = [version for version in self._exact if version and _stands_in(version, stem)]
        longest = max(map(len, found), default=0)
        candidates = [version for version in found if len(version) == longest]
        return candidates[0] if len(candidates) == 1 else NO_RELEASE

    def _find(self, written: str) -> str | None:
        if written in self._exact:
            return written
        canonical = self._canonical.get(_canonical(written))
        return canonical if canonical is not None else self._loose.get(_loose(written))


def _stands_in(version: str, stem: str) -> bool:
    """Whether a version stands in a name, and not as a part of another number."""
    return re.search(rf"(?<![\d.]){re.escape(version)}(?!\d|\.\d)", stem) is not None


def _canonical(version: str) -> str:
    try:
        return canonicalize_version(version)
    except ValueError:  # what Python says of a number with 5,000 digits
        return version


def _loose(version: str) -> str:
    """Return a version as file names may spell it: there, separators are interchangeable."""
    return _SEPARATORS.sub("-", version).lower()
