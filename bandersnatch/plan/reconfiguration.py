"""Whether a changed configuration makes a run look at every project again, and what it may not believe of what is held.

Pure rules for the fingerprints that ``state/saved_state.py`` keeps: ``before`` is the configuration with which all pages
were written, ``changing_to`` the one to which an unfinished run was changing them. ``config/fingerprint.py`` tells what
differs between two of them.
"""

import enum

from bandersnatch.config.fingerprint import INDEX, NAMES, changed_between, filters_of
from bandersnatch.state.saved_state import SavedState


class Reconfiguration(enum.Enum):
    """What is other than when the pages were written. Each makes a run look at every project."""

    OTHER_INDEX = enum.auto()
    """No serial that is recorded counts."""
    OTHER_PAGES = enum.auto()
    """Options or filters of what pages contain: a page that has not changed upstream is written again, too."""
    OTHER_NAMES = enum.auto()
    """Filters of project names alone: the held pages are right."""
    OTHER_PROGRAM = enum.auto()
    """The pages were made by another program; they are written again."""


def reconfiguration(
    wanted: str, before: str | None, changing_to: str | None, saved: SavedState
) -> Reconfiguration | None:
    """Return what differs from the wanted configuration; None if nothing does, or a todo list is changing just that."""
    if wanted == (changing_to or before) and (changing_to is None or saved.todo is not None):
        return None
    known = [each for each in (before, changing_to) if each is not None]
    if not known:
        # Without a state there are no pages yet, or the operator asked for a resync: all is looked at anyway.
        return None if saved.serial is None else Reconfiguration.OTHER_PROGRAM
    # Some pages may have been written with the one, and some with the other.
    changed = {what for each in known for what in changed_between(each, wanted)}
    if INDEX in changed:
        return Reconfiguration.OTHER_INDEX
    return Reconfiguration.OTHER_PAGES if changed - {NAMES} else Reconfiguration.OTHER_NAMES


def may_have_other_filters(wanted: str, before: str | None, changing_to: str | None) -> bool:
    """Whether any page here may have been written with other filters than those wanted."""
    known = [filters_of(each) for each in (before, changing_to) if each is not None]
    return not known or any(filters != filters_of(wanted) for filters in known)
