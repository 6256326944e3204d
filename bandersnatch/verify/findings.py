"""What a verification looks for and finds, as values: each thing that is wrong, and the numbers of the whole."""

import enum
from collections import Counter

from msgspec import Struct, field
from packaging.utils import NormalizedName

from bandersnatch.amounts import count_of, size_of
from bandersnatch.errors import MirrorError
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
    """What became of what is wrong."""

    NONE = "left"
    REPAIRED = "repaired"
    DELETED = "deleted"


class VerifySettings(Struct, frozen=True):
    """What a verification looks at, and what it may do. The budget is in seconds; None is for as long as it takes."""

    check_digests: bool = True
    delete_unlisted: bool = False
    dry_run: bool = False
    allow_removals: bool = False
    budget_seconds: float | None = None


class Finding(Struct, frozen=True):
    """One thing that is wrong; ``project`` is None for what belongs to none."""

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
    """The numbers of a verification, which is complete when no project that is held was left out for want of time."""

    held: int = 0
    verified: int = 0
    failed: int = 0
    """Projects that could not be compared with upstream."""
    is_complete: bool = False
    unlisted_sought: bool | None = None
    """Whether files that no page lists were looked for, to the end; None where nobody asked for that."""
    found: Counter[Problem] = field(default_factory=Counter)
    repaired: Counter[Problem] = field(default_factory=Counter)
    deleted: Counter[Problem] = field(default_factory=Counter)
    """How much of what was found should not have been there, and is gone."""
    files: int = 0
    """How many files were fetched, and how large they are; those that are new upstream count too."""
    size_bytes: int = 0
    unlisted_error: str | None = None
    """Why files that no page lists could not be told from the others."""
    withheld: str | None = None
    outage: MirrorError | None = None
    seconds: float = 0.0

    @property
    def left(self) -> int:
        """How much of what was found is still wrong."""
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
