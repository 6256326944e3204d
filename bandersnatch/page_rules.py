"""What a page may not do, given what is held and what the changelog told: pure rules that accept or raise."""

from collections.abc import Mapping

from bandersnatch.changes import Owed
from bandersnatch.errors import SuspiciousPageError
from bandersnatch.model import ProjectPage

_MAY_LOSE_ALL_FILES = frozenset({Owed.REMOVALS, Owed.REMOVED, Owed.LISTED})


def check_page(page: ProjectPage, held_digests: Mapping[str, str], owed: Owed) -> None:
    """Accept a page, or refuse one that contradicts what upstream said before.

    ``held_digests`` has the SHA-256 of the files that the held page lists, by name. The names of files are never used again
    on PyPI, so a known name with other content is an attack or an accident; and so is a page that lost all its files
    although the changelog tells of no removal (on a full resync it was not asked, and the page is believed).

    Raises:
        SuspiciousPageError: the page must not replace the one that is held.
    """
    for file in page.files:
        known = held_digests.get(file.filename, file.sha256)
        if known != file.sha256:
            reason = (
                f"upstream lists {file.filename} with SHA-256 {file.sha256}, but the one published before has {known}"
            )
            raise SuspiciousPageError(page.name, reason)
    if held_digests and not page.files and not page.is_quarantined and owed not in _MAY_LOSE_ALL_FILES:
        raise SuspiciousPageError(page.name, "upstream's page lists no files, although its changelog removed none")
