"""What a run would do, as a value: the projects it would update and remove, and, as far as is known, files and bytes."""

from collections.abc import Iterator

from msgspec import Struct, field

from bandersnatch.amounts import count_of
from bandersnatch.names import NormalizedName


class FileCount(Struct, frozen=True):
    """A number of files and their total size."""

    files: int = 0
    size_bytes: int = 0

    def __add__(self, other: "FileCount") -> "FileCount":
        return FileCount(self.files + other.files, self.size_bytes + other.size_bytes)

    def to_json(self) -> dict[str, object]:
        """Return the form for JSON."""
        return {"files": self.files, "bytes": self.size_bytes}


class PlannedUpdate(Struct, frozen=True):
    """A project that is new, or whose page would change; what only the page tells is None if it was not fetched."""

    project: NormalizedName
    serial: int
    held_serial: int | None
    download: FileCount | None = None
    remove: FileCount | None = None
    check_files: int | None = None
    """How many files would be read, and downloaded again if their digests are wrong."""


class PlannedRemoval(Struct, frozen=True):
    """A project that upstream, or the configuration, has removed."""

    project: NormalizedName
    remove: FileCount


class Forecast(Struct):
    """The plan of a run that is not carried out."""

    from_serial: int | None
    serial: int
    is_full: bool
    """Whether the pages were fetched."""
    updates: list[PlannedUpdate] = field(default_factory=list)
    removals: list[PlannedRemoval] = field(default_factory=list)
    unchanged: int = 0
    """How many projects the run would ask for although, as far as is known, nothing would change."""
    failures: dict[NormalizedName, str] = field(default_factory=dict)
    withheld: str | None = None
    """What exceeds ``max-removals``, so that nothing would be removed."""

    selection: str | None = None
    """How the filters' selection differs from that of the program that made the tree, as far as that is known."""

    @property
    def download(self) -> FileCount | None:
        """The total download, or None if it is unknown."""
        return _total(update.download for update in self.updates)

    @property
    def remove(self) -> FileCount | None:
        """The total removal, including the files of removed projects, or None if it is unknown."""
        dropped = _total(update.remove for update in self.updates)
        return None if dropped is None else sum((removal.remove for removal in self.removals), dropped)

    @property
    def unknown(self) -> list[str]:
        """What the plan can't tell, in words."""
        told = []
        if not self.is_full and (self.updates or self.unchanged):
            told.append(
                "which files are to be downloaded, and which ones pages no longer list: --full fetches the pages"
            )
        if not self.is_full and self.removals:
            told.append("whether upstream has created a removed project again: --full asks for it")
        if check_files := sum(update.check_files or 0 for update in self.updates):
            told.append(
                f"how many of {count_of(check_files, 'file')} are bad: a run reads them, and downloads those again"
            )
        return told

    def to_json(self) -> dict[str, object]:
        """Return the whole plan in the form for JSON."""
        return {
            "from_serial": self.from_serial,
            "serial": self.serial,
            "full": self.is_full,
            "update": [
                {
                    "project": update.project,
                    "serial": update.serial,
                    "held_serial": update.held_serial,
                    "download": _json(update.download),
                    "remove": _json(update.remove),
                }
                for update in self.updates
            ],
            "remove": [{"project": removal.project, **removal.remove.to_json()} for removal in self.removals],
            "unchanged": self.unchanged,
            "failed": dict(self.failures),
            "total": {"download": _json(self.download), "remove": _json(self.remove)},
            "withheld": self.withheld,
            "selection": self.selection,
            "unknown": self.unknown,
        }


def _json(count: FileCount | None) -> dict[str, object] | None:
    return None if count is None else count.to_json()


def _total(counts: Iterator[FileCount | None]) -> FileCount | None:
    total = FileCount()
    for count in counts:
        if count is None:
            return None
        total += count
    return total
