"""The brake on removals: an accident upstream, or in the configuration, must not empty the mirror.

A percentage applies to a mirror of any size. If it comes to next to nothing, a few removals still pass: a small mirror
loses a project now and then.
"""

from msgspec import Struct

from bandersnatch.amounts import count_of
from bandersnatch.inifile.option import RemovalLimit

_A_FEW = 10
_ALL_PERCENT = 100


class Doomed(Struct, frozen=True):
    """How much a run is about to remove. ``files`` belong to pages that stay; None if their number is unknown."""

    projects: int
    concluded: int = 0
    """Projects without a journal entry: a list of all projects lacks them, or changed filters drop them."""
    files: int | None = 0
    filtered_files: int = 0
    """Those of the files that filters drop, while upstream still has them."""
    shrinking: int = 0
    """The number of projects from whose pages upstream has dropped files."""
    is_reconfigured: bool = False
    """Whether the configuration has changed since the pages were written."""
    are_named: bool = False
    """Whether the operator named the projects, so that no accident can reach others."""
    are_unlisted: bool = False
    """Whether the files are on no page, as with ``verify --delete``."""


def excess(limit: RemovalLimit, doomed: Doomed, held_projects: int, held_files: int) -> str | None:
    """Return what is too much, in words, or None if the limit allows everything."""
    if _allows_projects(limit, doomed, held_projects) and _allows_files(limit, doomed, held_projects, held_files):
        return None
    if doomed.are_unlisted:
        return f"{count_of(doomed.files or 0, 'file')} that no page lists, beside {held_files} that pages list"
    number = "it is not known how many" if doomed.files is None else str(doomed.files)
    held = count_of(held_projects, "project"), count_of(held_files, "file")
    return f"{doomed.projects} of {held[0]}, and from others {number} of {held[1]}"


def _allows_projects(limit: RemovalLimit, doomed: Doomed, held: int) -> bool:
    """Whether so many projects may go: without a journal entry, the percentage allows at least one."""
    if 0 < held <= doomed.concluded and limit.percent < _ALL_PERCENT:
        return False  # nothing would be left; this holds even for a single project
    # Every removal must pass this; those that were only concluded must also pass the stricter test at the end.
    is_little = limit.allows(doomed.projects, held)
    if limit.percent and not doomed.are_named:
        is_little = is_little and limit.allows_share(doomed.projects, held, _a_few_of(held))
    return is_little and limit.allows_share(doomed.concluded, held, 1)


def _allows_files(limit: RemovalLimit, doomed: Doomed, held_projects: int, held: int) -> bool:
    """Whether so many files may go from pages that stay.

    Where filters keep the latest releases, each new release replaces an old one, however few files there are; and one
    project of a small mirror may lose a release. Neither is an accident, so the larger of number and percentage counts.
    """
    files = doomed.files or 0
    if doomed.is_reconfigured:
        return limit.allows_share(files, held, 1)
    if limit.percent and doomed.are_unlisted:
        return limit.allows_share(files, held, _a_few_of(held))
    if limit.percent and doomed.shrinking > _a_few_of(held_projects) and not doomed.are_named:
        return limit.allows(files, held) and limit.allows_share(files - doomed.filtered_files, held, _a_few_of(held))
    return limit.allows(files, held)


def _a_few_of(held: int) -> int:
    return max(1, min(_A_FEW, held // 2))
