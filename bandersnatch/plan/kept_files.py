"""Adds to a page the files that upstream has deleted, if the operator wants to keep them on it. Pure."""

from msgspec.structs import replace
from packaging.version import Version

from bandersnatch.model import ProjectPage


def with_kept_files(page: ProjectPage, held: ProjectPage) -> ProjectPage:
    """Return upstream's page plus the files that only the held page lists; a quarantined page gets none."""
    if page.is_quarantined:
        return page
    listed = {file.filename for file in page.files}
    kept = tuple(file for file in held.files if file.filename not in listed)
    if not kept:
        return page
    # Where one of both does not tell its versions, those of the other are not all.
    is_told = all(each.versions or not each.files for each in (page, held))
    versions = {*page.versions, *held.versions} if is_told else ()
    return replace(page, files=(*page.files, *kept), versions=tuple(sorted(versions, key=_version_order)))


def _version_order(text: str) -> tuple[bool, Version, str]:
    """Return a sort key by PEP 440; versions outside it come first, as on PyPI."""
    try:
        return True, Version(text), text
    except ValueError:  # InvalidVersion, or an int of over 4,300 digits
        return False, Version("0"), text
