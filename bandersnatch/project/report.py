"""The outcome of the work on each project, and the report of the whole run."""

from msgspec import Struct, field

from bandersnatch.amounts import count_of, size_of
from bandersnatch.errors import MirrorError
from bandersnatch.filters.verdict import Verdict
from bandersnatch.names import NormalizedName
from bandersnatch.storage.layout import StoredPath


class RefusedFiles(Struct, frozen=True):
    """How many files were left out because upstream tells only a weak digest of them, or none."""

    weak: int = 0
    unhashed: int = 0

    def plus(self, other: "RefusedFiles") -> "RefusedFiles":
        """Return the sum of both."""
        return RefusedFiles(self.weak + other.weak, self.unhashed + other.unhashed)


NONE_REFUSED = RefusedFiles()


class Settled(Struct, frozen=True):
    """A project is at its serial: pages and files are in place, or ``excluded_by`` says why the mirror never had it."""

    project: NormalizedName
    serial: int
    changed: bool
    files: int = 0
    size_bytes: int = 0
    deleted_files: int = 0
    excluded_by: Verdict | None = None
    is_quarantined: bool = False
    filtered_files: int = 0
    """How many of the deleted files upstream still has; filters drop them."""
    added_files: int = 0
    """How many files are new although the held page has the same serial: filters keep them now."""
    is_incomplete: bool | None = None
    """Whether upstream's page lists what can't be mirrored: an unusable file, or core metadata that is not there.

    None if the job did not check.
    """
    refused: RefusedFiles = NONE_REFUSED


class Gone(Struct, frozen=True):
    """A project is to leave the mirror: upstream removed it, or a filter drops it, which ``excluded_by`` says.

    It stays until the end of the run, when it is known how much the run would remove.
    """

    project: NormalizedName
    excluded_by: Verdict | None = None


class Shrinks(Struct, frozen=True):
    """A project's new page no longer lists some held files; the page is not published until removals are allowed.

    ``filtered`` is how many of them upstream still has; filters drop them. A later job continues from ``prepared``.
    """

    project: NormalizedName
    files: tuple[StoredPath, ...]
    filtered: int = 0
    prepared: object = None


class Failure(Struct, frozen=True):
    """A project could not be brought to its serial. Its published page is unchanged, and it stays on the todo list."""

    project: NormalizedName
    error: Exception


Outcome = Settled | Gone | Shrinks | Failure


class Report(Struct):
    """What one run did. Its summary is the last line of the log."""

    serial: int = 0
    updated: int = 0
    removed: int = 0
    excluded: int = 0
    """How many projects a filter dropped after their pages were read; those that were held are removed."""
    files: int = 0
    size_bytes: int = 0
    seconds: float = 0.0
    outage: MirrorError | None = None
    """The error that ended the run early."""
    withheld: str | None = None
    """Why nothing was removed, where ``max-removals`` forbade it."""
    untried: int = 0
    """How many projects of the todo list were not worked on, because the run ended early."""
    failures: list[Failure] = field(default_factory=list)
    refused: RefusedFiles = NONE_REFUSED
    """Files that upstream has, and that are not here because of what it tells of their content."""
    late: list[Failure] = field(default_factory=list)
    """Projects whose pages have been behind the changelog for less than an hour; the next run tries them again."""

    def count(self, settled: Settled) -> None:
        """Add the work on one project."""
        self.updated += settled.changed
        self.files += settled.files
        self.size_bytes += settled.size_bytes
        self.refused = self.refused.plus(settled.refused)

    def add(self, other: "Report") -> None:
        """Add the report of another part of the same run."""
        self.updated += other.updated
        self.removed += other.removed
        self.excluded += other.excluded
        self.files += other.files
        self.size_bytes += other.size_bytes
        self.outage = self.outage or other.outage
        self.withheld = self.withheld or other.withheld
        self.untried += other.untried
        self.refused = self.refused.plus(other.refused)
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
