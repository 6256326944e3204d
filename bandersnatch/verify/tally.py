"""Counts what a verification finds, repairs, fails at and withholds; details are logged at once, and not kept."""

import logging
from collections.abc import Callable, Iterable
from itertools import chain

from bandersnatch.errors import MirrorError
from bandersnatch.project.report import Failure, Settled
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import REMOVALS_OF_VERIFY
from bandersnatch.verify.findings import Finding, Problem, Remedy, VerifyReport, VerifySettings

logger = logging.getLogger(__name__)


class Tally:
    """The counts of one verification; ``tell`` receives each finding, and what was done about it."""

    def __init__(
        self, storage: FilesystemStorage, settings: VerifySettings, tell: Callable[[Finding, Remedy], object]
    ) -> None:
        self._storage, self._settings, self._tell = storage, settings, tell
        self._withheld: list[str] = []
        self.report = VerifyReport(unlisted_sought=False if settings.delete_unlisted else None)

    def count(self, findings: Iterable[Finding], *, is_repaired: bool) -> None:
        """Count findings, which may have been repaired."""
        for finding in findings:
            remedy = self._remedy(finding) if is_repaired else Remedy.NONE
            done = f", {remedy.value}" if is_repaired else ""
            logger.warning("%s: %s%s", finding.path, finding.problem.value, done)
            self.report.found[finding.problem] += 1
            self.report.repaired[finding.problem] += remedy is Remedy.REPAIRED
            self.report.deleted[finding.problem] += remedy is Remedy.DELETED
            self._tell(finding, remedy)

    def count_fetched(self, settled: Settled) -> None:
        """Count the files that were fetched for a project."""
        self.report.files += settled.files
        self.report.size_bytes += settled.size_bytes

    def _remedy(self, finding: Finding) -> Remedy:
        # A repair may be a deletion, as of a page in a form that is not configured.
        is_gone = finding.problem is not Problem.MISSING and self._storage.stat(finding.path) is None
        return Remedy.DELETED if is_gone else Remedy.REPAIRED

    def fail(self, failure: Failure) -> None:
        """Count a project that could not be compared with upstream."""
        bug = None if isinstance(failure.error, MirrorError) else failure.error
        logger.error("%s failed: %s", failure.project, failure.error, exc_info=bug)
        self.report.failed += 1

    def withhold(self, too_much: str, listing: Iterable[str]) -> None:
        """Record removals that exceed the limit, and list them in a file, after those of another kind."""
        listed = ""
        if not self._settings.dry_run:
            # One verification may withhold files of pages and unlisted files; the list has both.
            earlier = self._storage.pieces(REMOVALS_OF_VERIFY) if self._withheld else ()
            pieces = (text.encode("utf-8", "surrogateescape") for text in listing)
            with self._storage.rewrite(REMOVALS_OF_VERIFY) as writer:
                for piece in chain(earlier, pieces):
                    writer.write(piece)
            listed = f". {self._storage.root / REMOVALS_OF_VERIFY} lists it all"
        self._withheld.append(too_much)
        self.report.withheld = (
            f"this would remove {' and '.join(self._withheld)}, which max-removals forbids: nothing was removed{listed}"
        )

    def close(self) -> None:
        """Delete an earlier verification's list of withheld removals, if this one withholds nothing."""
        if not self._settings.dry_run and not self._withheld:
            self._storage.delete(REMOVALS_OF_VERIFY)
