"""What the log says about each outcome of the work on a project."""

import logging

from bandersnatch.amounts import count_of, size_of
from bandersnatch.errors import MirrorError, ProjectNotFoundError
from bandersnatch.logs import OF_PROJECT
from bandersnatch.project.report import Failure, RefusedFiles, Settled

logger = logging.getLogger(__name__)


def tell_settled(settled: Settled, *, is_named: bool) -> None:
    """Log what was done for a project; ``is_named`` if the operator named it."""
    if settled.excluded_by is not None:
        level = logging.WARNING if is_named else logging.DEBUG  # a run may drop thousands
        logger.log(level, "%s: not mirrored, since %s", settled.project, settled.excluded_by)
    if settled.is_quarantined:
        _tell_quarantined(settled)
    elif settled.changed:
        logger.info(
            "%s: updated to serial %d, files fetched: %d (%s), deleted: %d",
            settled.project, settled.serial, settled.files, size_of(settled.size_bytes), settled.deleted_files,
            extra=OF_PROJECT,
        )  # fmt: skip


def tell_behind(settled: Settled, listed_serial: int) -> None:
    """Log that a project's page is older than upstream's list says."""
    logger.info(
        "%s: its page has serial %d, and upstream lists it at %d; later runs ask again for a day",
        settled.project, settled.serial, listed_serial, extra=OF_PROJECT,
    )  # fmt: skip


def tell_failure(failure: Failure, *, is_named: bool, is_held: bool) -> None:
    """Log why a project failed; an error that is a bug comes with its traceback."""
    if is_named and not is_held and isinstance(failure.error, ProjectNotFoundError):
        logger.error("%s failed: upstream has no such project", failure.project)
        return
    bug = None if isinstance(failure.error, MirrorError) else failure.error
    hint = "" if is_named else "; the next run tries it again"
    logger.error("%s failed: %s%s", failure.project, failure.error, hint, exc_info=bug)


def tell_refused(refused: RefusedFiles) -> None:
    """Log how many files a run left out because of what upstream tells of their content, and which option takes them."""
    if refused.weak:
        logger.warning(
            "%s left out: upstream tells only MD5, SHA-1 or SHA-224 of them; allow-weak-hashes = true takes them",
            count_of(refused.weak, "file"),
        )
    if refused.unhashed:
        logger.warning(
            "%s left out: upstream tells no digest of them; allow-unhashed = true takes them unchecked",
            count_of(refused.unhashed, "file"),
        )


def _tell_quarantined(settled: Settled) -> None:
    if settled.changed:
        logger.info(
            "%s: quarantined by upstream; its page stays, files deleted: %d", settled.project, settled.deleted_files
        )
    else:
        logger.debug("%s: quarantined by upstream", settled.project)
