"""What filters decide on: a project's page, its releases and files, and its legacy JSON if a filter needs that."""

import json
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct, field
from packaging.version import Version

from bandersnatch.model import DistributionFile, ProjectPage
from bandersnatch.names import NormalizedName


class ProjectDocument(Struct, frozen=True):
    """The legacy JSON of a project as a tree of plain values; empty if upstream has none."""

    tree: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def parse(cls, body: bytes | None) -> "ProjectDocument":
        """Parse legacy JSON that is known to be valid; None means that the project has none."""
        tree = msgspec.json.decode(body) if body is not None else {}
        return cls(tree if isinstance(tree, dict) else {})

    def files(self) -> dict[str, tuple[str, Mapping[str, object]]]:
        """Return the version and the entry of each file, by file name."""
        releases = self.tree.get("releases")
        found: dict[str, tuple[str, Mapping[str, object]]] = {}
        for version, entries in releases.items() if isinstance(releases, dict) else ():
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict) and isinstance(name := entry.get("filename"), str):
                    found[name] = (version, entry)
        return found


NO_DOCUMENT = ProjectDocument()
NO_RELEASE = ""
"""The version given to files whose release can't be determined."""


class Release(Struct, frozen=True):
    """One version with its files; ``parsed`` is None if PEP 440 does not allow the version.

    The files without a release form one ``Release`` too, with ``NO_RELEASE`` as its version.
    """

    version: str
    parsed: Version | None
    files: tuple[DistributionFile, ...]

    @property
    def is_known(self) -> bool:
        """Whether it is a real release; filters of releases ignore files without one."""
        return self.version != NO_RELEASE

    @property
    def is_prerelease(self) -> bool:
        """Whether PEP 440 counts it as a pre-release: alpha, beta, candidate or development release."""
        return self.parsed is not None and self.parsed.is_prerelease

    @property
    def is_yanked(self) -> bool:
        """Whether all its files are yanked."""
        return bool(self.files) and all(file.yanked is not False for file in self.files)

    @property
    def uploaded(self) -> float:
        """When its first file was uploaded, in seconds since 1970; 0 if upstream does not say."""
        return min((file.mtime or 0.0 for file in self.files), default=0.0)


class ProjectFacts(Struct, frozen=True):
    """What is known about a project once its page has arrived."""

    page: ProjectPage
    document: ProjectDocument = NO_DOCUMENT


class FileFacts(Struct, frozen=True):
    """What is known about one file; ``entry`` is its entry in the legacy JSON, empty if that was not fetched."""

    project: NormalizedName
    version: str
    file: DistributionFile
    document: ProjectDocument = NO_DOCUMENT
    entry: Mapping[str, object] = field(default_factory=dict)

    def tree(self) -> Mapping[str, object]:
        """Return the values that the dotted paths of file filters refer to."""
        page_entry: dict[str, object] = {
            "filename": self.file.filename,
            "requires_python": self.file.requires_python,
            "size": self.file.size,
            "upload_time_iso_8601": self.file.upload_time,
            "url": self.file.url,
            # As in the legacy JSON, where the reason has a field of its own.
            "yanked": self.file.yanked is not False,
        }
        return {
            "info": self.document.tree.get("info"),
            "release": self.version or None,
            "release_file": {**self.entry, **page_entry},
        }


PAGE_FIELDS = frozenset(
    {"release", *(f"release_file.{name}" for name in ("filename", "requires_python", "size", "url", "yanked"))}
    | {"release_file.upload_time_iso_8601"}
)
"""The dotted paths that the project's page answers, so that the legacy JSON need not be fetched."""


def parse_version(text: str) -> Version | None:
    """Return the version, or None if PEP 440 does not allow it."""
    try:
        return Version(text)
    except ValueError:  # InvalidVersion, or an int of over 4,300 digits
        return None


def find(tree: object, path: Sequence[str]) -> list[object]:
    """Return the values at the end of a path: none, one, or the items of a list; null counts as none."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    found = tree if isinstance(tree, list) else [tree]
    return [each for each in found if each is not None]


def as_text(value: object) -> str:
    """Return the text that patterns match: a string unchanged, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
