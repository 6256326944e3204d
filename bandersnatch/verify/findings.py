"""What a verification looks for and finds, as values: each problem, and the totals."""

import enum
from collections import Counter

from msgspec import Struct, field

from bandersnatch.amounts import count_of, size_of
from bandersnatch.errors import MirrorError
from bandersnatch.names import NormalizedName
from bandersnatch.storage.layout import StoredPath


class Problem(enum.Enum):
    """What is wrong with a path; the value is the word for it in logs and JSON."""

    MISSING = "missing"
    SIZE = "wrong size"
    DIGEST = "wrong digest"
    UNREADABLE = "unreadable"
    PAGE = "differs from upstream"
    INDEX = "differs from what is held"
    UNLISTED = "listed by no page"


class Remedy(enum.Enum):
    """What was done about a problem."""

    NONE = "left"
    REPAIRED = "repaired"
    DELETED = "deleted"


class VerifySettings(Struct, frozen=True):
    """What a verification checks, and what it may do. The budget is in seconds; None means no limit."""

    check_digests: bool = True
    delete_unlisted: bool = False
    dry_run: bool = False
    allow_removals: bool = False
    budget_seconds: float | None = None


class Finding(Struct, frozen=True):
    """One problem; ``project`` is None if the path belongs to no project."""

    path: StoredPath
    problem: Problem
    project: NormalizedName | None = None

    def to_json(self, remedy: Remedy) -> dict[str, object]:
        """Return the form for JSON."""
        return {
            "path": self.path,
            "problem": self.problem.value,
            "project": self.project,
            "repaired": remedy is Remedy.REPAIRED,
            "deleted": remedy is Remedy.DELETED,
        }


class VerifyReport(Struct):
    """The totals of a verification; it is complete if no held project was skipped for lack of time."""

    held: int = 0
    verified: int = 0
    failed: int = 0
    """Projects that could not be compared with upstream."""
    is_complete: bool = False
    unlisted_sought: bool | None = None
    """Whether the search for unlisted files was finished; None if it was not asked for."""
    found: Counter[Problem] = field(default_factory=Counter)
    repaired: Counter[Problem] = field(default_factory=Counter)
    deleted: Counter[Problem] = field(default_factory=Counter)
    """Problems that were files which should not have been there, and are gone."""
    files: int = 0
    """How many files were fetched, including those that are new upstream, and their total size."""
    size_bytes: int = 0
    unlisted_error: str | None = None
    """Why files that no page lists could not be identified."""
    withheld: str | None = None
    outage: MirrorError | None = None
    seconds: float = 0.0

    @property
    def left(self) -> int:
        """How many of the problems remain."""
        return self.found.total() - self.repaired.total() - self.deleted.total()

    def summary(self) -> str:
        """Return the last line of the log."""
        unlisted = ", the search for unlisted files is incomplete" if self.unlisted_sought is False else ""
        fetched = f", {count_of(self.files, 'file')} fetched ({size_of(self.size_bytes)})" if self.files else ""
        return (
            f"verified {self.verified} of {count_of(self.held, 'project')}{unlisted}: {self.found.total()} found, "
            f"{self.repaired.total()} repaired, {self.deleted.total()} deleted, {self.left} left, "
            f"{self.failed} failed{fetched} in {self.seconds:.1f} s"
        )

    def to_json(self) -> dict[str, object]:
        """Return the numbers in the form for JSON."""
        return {
            "projects": {"held": self.held, "verified": self.verified, "failed": self.failed},
            "complete": self.is_complete,
            "found": self.found.total(),
            "repaired": self.repaired.total(),
            "deleted": self.deleted.total(),
            "left": self.left,
            "problems": {
                problem.value: {
                    "found": self.found[problem],
                    "repaired": self.repaired[problem],
                    "deleted": self.deleted[problem],
                }
                for problem in Problem
            },
            "fetched": {"files": self.files, "bytes": self.size_bytes},
            "unlisted_sought": self.unlisted_sought,
            "unlisted_error": self.unlisted_error,
            "withheld": self.withheld,
            "seconds": round(self.seconds, 1),
        }
