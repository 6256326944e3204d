"""Which release a file belongs to.

The legacy JSON says so, where it was asked for. Otherwise the file's name does, held against the versions that the page
lists (PEP 700): the name behind the project's begins with the version, in upstream's spelling or in another one of the same
version. A file whose release can't be told from that has one of its own, under the version that its name seems to have.
"""

import re
from collections.abc import Mapping

from packaging.utils import NormalizedName, canonicalize_name, canonicalize_version

from bandersnatch.filters.facts import Release, parse_version
from bandersnatch.model import DistributionFile, ProjectPage

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
            version = spellings.version_of(file.filename, rest_of(file.filename, page.name))
        files.setdefault(version, []).append(file)
    return tuple(Release(version, parse_version(version), tuple(each)) for version, each in files.items())


class _Spellings:
    """The versions of a page, to be found by any of their spellings; the exact one goes first."""

    def __init__(self, versions: tuple[str, ...]) -> None:
        self._exact = dict.fromkeys(versions)
        self._canonical: dict[str, str] = {}
        self._loose: dict[str, str] = {}
        for version in versions:
            self._canonical.setdefault(canonicalize_version(version), version)
            self._loose.setdefault(_loose(version), version)

    def version_of(self, filename: str, rest: str) -> str:
        """Return the version with which the rest of a file's name begins."""
        if filename.endswith(".whl"):
            written = rest.partition("-")[0]
            return self._find(written) or written
        if filename.endswith(".rpm"):
            rest = _RPM_RELEASE.sub("", rest)
        ends = [len(rest), *(found.start() for found in reversed(list(_SEPARATORS.finditer(rest))))]
        return next((version for end in ends if (version := self._find(rest[:end])) is not None), rest)

    def _find(self, written: str) -> str | None:
        if written in self._exact:
            return written
        canonical = self._canonical.get(canonicalize_version(written))
        return canonical if canonical is not None else self._loose.get(_loose(written))


def _loose(version: str) -> str:
    """Return a version as file names may spell it: there, separators are interchangeable."""
    return _SEPARATORS.sub("-", version).lower()
