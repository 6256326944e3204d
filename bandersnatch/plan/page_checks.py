"""What a page may not do, given what is held and what the changelog told: pure rules that accept or raise."""

from collections.abc import Mapping

from bandersnatch.errors import SuspiciousPageError, shown
from bandersnatch.model import ProjectPage
from bandersnatch.upstream.expectations import Expectation

_MAY_LOSE_ALL_FILES = frozenset(
    {Expectation.REMOVALS, Expectation.QUARANTINES, Expectation.REMOVED, Expectation.LISTED}
)


def is_of_quarantine(page: ProjectPage, expectation: Expectation) -> bool:
    """Whether what a page lacks was quarantined: that may be harmful, and goes without anybody's leave."""
    return page.is_quarantined or expectation is Expectation.QUARANTINES


def check_page(page: ProjectPage, held_digests: Mapping[str, str], expectation: Expectation) -> None:
    """Accept a page, or refuse one that contradicts what upstream said before.

    ``held_digests`` has the SHA-256 of the files that the held page lists, by name. The names of files are never used again
    on PyPI, so a known name with other content is an attack or an accident; and so is a page that lost all its files
    although the changelog tells of no removal (on a full resync it was not asked, and the page is believed). A file that is
    held is not deleted because its name or link is of no use now.

    Raises:
        SuspiciousPageError: the page must not replace the one that is held.
    """
    _check_left_out(page, held_digests, expectation)
    for file in page.files:
        known = held_digests.get(file.filename, file.sha256)
        if known != file.sha256:
            reason = (
                f"upstream lists {file.filename} with SHA-256 {file.sha256}, but the one published before has {known}"
            )
            raise SuspiciousPageError(page.name, reason)
    if held_digests and not page.files and not page.is_quarantined and expectation not in _MAY_LOSE_ALL_FILES:
        raise SuspiciousPageError(page.name, "upstream's page lists no files, although its changelog removed none")


def _check_left_out(page: ProjectPage, held_digests: Mapping[str, str], expectation: Expectation) -> None:
    """Refuse a page that has what is of no use in the place of what is held."""
    for filename in page.left_out:
        if filename in held_digests:
            raise SuspiciousPageError(page.name, f"upstream lists {filename} with a link that leads nowhere")
    lost = held_digests.keys() - {file.filename for file in page.files}
    if page.left_out and lost and expectation not in _MAY_LOSE_ALL_FILES:
        reason = f"upstream lists {shown(page.left_out[0], 80)!r}, which is of no use, and {min(lost)} no more"
        raise SuspiciousPageError(page.name, f"{reason}, although its changelog removed none")
