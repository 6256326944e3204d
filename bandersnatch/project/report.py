"""What came of the work: the outcome for each project, and the report of the whole run."""

from msgspec import Struct, field
from packaging.utils import NormalizedName

from bandersnatch.amounts import count_of, size_of
from bandersnatch.errors import MirrorError
from bandersnatch.filters.verdict import Verdict
from bandersnatch.storage.layout import StoredPath


class Settled(Struct, frozen=True):
    """A project is at its serial: pages and files are in place, or ``excluded_by`` says why it has never been here."""

    project: NormalizedName
    serial: int
    changed: bool
    files: int = 0
    size_bytes: int = 0
    deleted_files: int = 0
    excluded_by: Verdict | None = None
    is_quarantined: bool = False
    filtered_files: int = 0
    """How many of the deleted files upstream still has, and filters drop."""
    added_files: int = 0
    """How many files a held page of the same serial did not list, although filters keep them."""
    is_incomplete: bool | None = None
    """Whether upstream lists what it does not serve: an unusable file, or core metadata; None where nobody has looked."""


class Gone(Struct, frozen=True):
    """Upstream has removed a project; it is still held, and leaves the mirror when the run finishes.

    Or the filters of the configuration drop it, as ``excluded_by`` then says.
    """

    project: NormalizedName
    excluded_by: Verdict | None = None


class Shrinks(Struct, frozen=True):
    """A project's new page no longer lists some files that are held; it waits until removals are allowed.

    So many of them, ``filtered``, upstream still has, and filters drop them. ``prepared`` is what the work goes on with.
    """

    project: NormalizedName
    files: tuple[StoredPath, ...]
    filtered: int = 0
    prepared: object = None


class Failure(Struct, frozen=True):
    """A project could not be brought to its serial; nothing that was right has changed, and it stays on the todo list."""

    project: NormalizedName
    error: Exception


Outcome = Settled | Gone | Shrinks | Failure


class Report(Struct):
    """What one run did; its summary is the last line of every log."""

    serial: int = 0
    updated: int = 0
    removed: int = 0
    excluded: int = 0
    """Of how many projects only the page told that a filter drops them; where they were held, they are removed."""
    files: int = 0
    size_bytes: int = 0
    seconds: float = 0.0
    outage: MirrorError | None = None
    """What ended the run before all projects were worked on."""
    withheld: str | None = None
    """Why nothing was removed, where ``max-removals`` forbade it."""
    untried: int = 0
    """Projects of the todo list that were not worked on, since the run ended before."""
    failures: list[Failure] = field(default_factory=list)
    late: list[Failure] = field(default_factory=list)
    """Projects whose pages are behind the changelog, for less than an hour: the next run tries them again."""

    def count(self, settled: Settled) -> None:
        """Add what was done for one project."""
        self.updated += settled.changed
        self.files += settled.files
        self.size_bytes += settled.size_bytes

    def add(self, other: "Report") -> None:
        """Add what another part of the same run did."""
        self.updated += other.updated
        self.removed += other.removed
        self.files += other.files
        self.size_bytes += other.size_bytes
        self.outage = self.outage or other.outage
        self.withheld = self.withheld or other.withheld
        self.untried += other.untried
        self.failures += other.failures
        self.late += other.late

    def summary(self) -> str:
        """Return the last line of the run."""
        return f"synced to serial {self.serial}: {self.counts()}"

    def counts(self) -> str:
        """Return the numbers of the summary."""
        late = f"{len(self.late)} late, " if self.late else ""
        untried = f"; not tried: {count_of(self.untried, 'project')}" if self.untried else ""
        return (
            f"{self.updated} updated, {self.removed} removed, {len(self.failures)} failed, {late}"
            f"{count_of(self.files, 'file')}, {size_of(self.size_bytes)} in {self.seconds:.1f} s{untried}"
        )
