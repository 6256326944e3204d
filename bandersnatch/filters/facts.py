"""What filters judge: a project's page, and where they ask for more, its legacy JSON; its releases and files."""

import json
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct, field
from packaging.utils import NormalizedName
from packaging.version import Version

from bandersnatch.model import DistributionFile, ProjectPage


class ProjectDocument(Struct, frozen=True):
    """The legacy JSON of a project, as a tree of plain values; empty where upstream has none."""

    tree: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def parse(cls, body: bytes | None) -> "ProjectDocument":
        """Read the bytes, which upstream's JSON is known to be; None stands for a project that has none."""
        tree = msgspec.json.decode(body) if body is not None else {}
        return cls(tree if isinstance(tree, dict) else {})

    def files(self) -> dict[str, tuple[str, Mapping[str, object]]]:
        """Return the version and the entry of each file, by its name."""
        releases = self.tree.get("releases")
        found: dict[str, tuple[str, Mapping[str, object]]] = {}
        for version, entries in releases.items() if isinstance(releases, dict) else ():
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict) and isinstance(name := entry.get("filename"), str):
                    found[name] = (version, entry)
        return found


NO_DOCUMENT = ProjectDocument()
NO_RELEASE = ""
"""The version of files that are of no release, as far as anyone can tell."""


class Release(Struct, frozen=True):
    """One version with its files; ``parsed`` is None where the version is none of PEP 440.

    The files that are of no release are one ``Release``, too, with ``NO_RELEASE`` as its version.
    """

    version: str
    parsed: Version | None
    files: tuple[DistributionFile, ...]

    @property
    def is_known(self) -> bool:
        """Whether it is a release; filters of releases have no say in files that are of none."""
        return self.version != NO_RELEASE

    @property
    def is_prerelease(self) -> bool:
        """Whether PEP 440 calls it an alpha, a beta, a candidate or a development release."""
        return self.parsed is not None and self.parsed.is_prerelease

    @property
    def is_yanked(self) -> bool:
        """Whether all of its files are yanked."""
        return bool(self.files) and all(file.yanked is not False for file in self.files)

    @property
    def uploaded(self) -> float:
        """When its first file was uploaded, in seconds since 1970; 0 where upstream does not tell."""
        return min((file.mtime or 0.0 for file in self.files), default=0.0)


class ProjectFacts(Struct, frozen=True):
    """What is known of a project when its page is there."""

    page: ProjectPage
    document: ProjectDocument = NO_DOCUMENT


class FileFacts(Struct, frozen=True):
    """What is known of one file; ``entry`` is its entry in the legacy JSON, empty where that was not asked for."""

    project: NormalizedName
    version: str
    file: DistributionFile
    document: ProjectDocument = NO_DOCUMENT
    entry: Mapping[str, object] = field(default_factory=dict)

    def tree(self) -> Mapping[str, object]:
        """Return the values that dotted paths of file filters lead into."""
        page_entry: dict[str, object] = {
            "filename": self.file.filename,
            "requires_python": self.file.requires_python,
            "size": self.file.size,
            "upload_time_iso_8601": self.file.upload_time,
            "url": self.file.url,
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
"""The dotted paths that a project's page answers without the legacy JSON."""


def parse_version(text: str) -> Version | None:
    """Return the version, or None where it is none of PEP 440."""
    try:
        return Version(text)
    except ValueError:  # InvalidVersion is one, and what Python says of a number with 5,000 digits
        return None


def find(tree: object, path: Sequence[str]) -> list[object]:
    """Return the values at the end of a path: none, one, or those of a list; null counts as none."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    found = tree if isinstance(tree, list) else [tree]
    return [each for each in found if each is not None]


def as_text(value: object) -> str:
    """Return what patterns are matched against: a text as it is, anything else as JSON has it."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
