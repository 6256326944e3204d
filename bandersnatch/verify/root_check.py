"""``RootInspection``: compares the root index with what the mirror holds, and rewrites it if it differs."""

import logging
from collections.abc import Iterator

from msgspec import Struct

from bandersnatch.errors import PathConflictError
from bandersnatch.operations.session import Session
from bandersnatch.verify.findings import Finding, Problem
from bandersnatch.verify.tally import Tally

logger = logging.getLogger(__name__)


class RootInspection(Struct, frozen=True):
    """The root index of one verification; ``serial`` is the one that all projects have reached."""

    session: Session
    serial: int
    tally: Tally

    def look(self, *, repairs: bool) -> None:
        """Report what is wrong; called before the projects, because their news are not the root index's fault.

        Raises:
            StorageError: the disk refused.
            InterruptedRunError: the command was asked to stop.
        """
        found = list(self._findings())
        self.tally.count(found, is_repaired=bool(found) and repairs and self._write(anew=True))

    def follow(self) -> None:
        """Write what the verification itself has changed; raises what ``look`` raises."""
        self._write(anew=False)

    def _findings(self) -> Iterator[Finding]:
        for path, is_there in self.session.differing_root_pages(self.serial):
            yield Finding(path, Problem.INDEX if is_there else Problem.MISSING)

    def _write(self, *, anew: bool) -> bool:
        """Write the root index; return whether that was possible."""
        try:
            self.session.write_root_index(self.serial, anew=anew)
        except PathConflictError as error:
            logger.error("the root index can't be written: %s", error)
            return False
        return True
