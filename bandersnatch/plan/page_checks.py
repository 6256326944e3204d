"""What a page may not do, given what we hold and what the changelog said: pure rules that accept or raise.

Whether the page is new enough is in ``stale_page_check``.
"""

from collections.abc import Mapping

from bandersnatch.errors import SuspiciousPageError
from bandersnatch.model import DistributionFile, ProjectPage
from bandersnatch.shown_text import shown
from bandersnatch.upstream.changelog_actions import Expectation

_MAY_LOSE_ALL_FILES = frozenset(
    {Expectation.REMOVALS, Expectation.QUARANTINES, Expectation.REMOVED, Expectation.LISTED}
)


def is_of_quarantine(page: ProjectPage, expectation: Expectation) -> bool:
    """Whether what a page lacks was quarantined; it may be harmful, and is removed without approval."""
    return page.is_quarantined or expectation is Expectation.QUARANTINES


def check_page(page: ProjectPage, held_digests: Mapping[str, str], expectation: Expectation) -> None:
    """Accept a page, or refuse one that contradicts what upstream said before.

    ``held_digests`` has the SHA-256 of the files on the held page, by name. PyPI never reuses a file name, so a known
    name with other content is an attack or an accident; so is a page that lost all its files although the changelog has
    no removal (on a full resync the changelog is not read, and the page is believed). A held file is not deleted
    because its name or link is unusable now.

    Raises:
        SuspiciousPageError: the page must not replace the held one.
    """
    _check_left_out(page, held_digests, expectation)
    for file in page.files:
        # A file that was never held has nothing to contradict.
        known = held_digests.get(file.filename, file.sha256)
        if known != file.sha256:
            raise SuspiciousPageError(page.name, _contradiction(file, known))
    if held_digests and not page.files and not page.is_quarantined and expectation not in _MAY_LOSE_ALL_FILES:
        raise SuspiciousPageError(page.name, "upstream's page lists no files, although its changelog removed none")


def _contradiction(file: DistributionFile, known: str | None) -> str:
    """Say that a file has another digest than before; where upstream tells no SHA-256, that of ours does not help."""
    told = file.checksum
    if told is None:
        return f"upstream lists {file.filename} without a digest, and it is not known if it is the one published before"
    other = (
        f"the one published before has {known}" if told.algorithm == "sha256" else "the one published before has not"
    )
    return f"upstream lists {file.filename} with {told.algorithm_name} {told.digest}, but {other}"


def _check_left_out(page: ProjectPage, held_digests: Mapping[str, str], expectation: Expectation) -> None:
    """Refuse a page that has unusable entries in place of files that we hold."""
    for filename in page.left_out:
        if filename in held_digests:
            raise SuspiciousPageError(page.name, f"upstream lists {filename} with a link that leads nowhere")
    lost = held_digests.keys() - {file.filename for file in page.files}
    if page.left_out and lost and expectation not in _MAY_LOSE_ALL_FILES:
        reason = f"upstream lists {shown(page.left_out[0], 80)!r}, which is of no use, and {min(lost)} no more"
        raise SuspiciousPageError(page.name, f"{reason}, although its changelog removed none")
