"""What a changelog action means for a mirror: which page, if any, upstream owes us because of it.

The list of actions is in PyPI's code (every place that writes a journal entry); an action that is not known is taken for
a change of content, which is always safe.
"""

import enum
import re


class Expectation(enum.Enum):
    """Why a project is on the todo list, and with that what its page must be like; the value is its word on disk."""

    CONTENT = ""
    """Files, releases or marks changed: the page must be at least as new as the serial."""
    REMOVALS = "removals"
    """As above, and files or releases were removed or quarantined too: only now may a page have lost all its files."""
    QUARANTINES = "quarantines"
    """As above, and a release was quarantined, which may be harmful: what the page drops waits for nobody's leave."""
    LISTED = "listed"
    """The list of all projects told the serial. It may belong to a role action, so an older page will do in the end."""
    ROLES = "roles"
    """Only owners or maintainers changed: any page will do, since nothing on it has changed but its serial."""
    REMOVED = "removed"
    """The project was removed: 404 is the right answer; a page must be of a project created since."""
    EXCLUDED = "excluded"
    """The configuration's filters drop the project, by its name: it goes, whatever upstream says."""


_ROLE_ACTION = re.compile(
    r"(add|remove|change) (Owner|Maintainer) (?!(.* )?file )"  # "add Owner file x" would be a file for the Python "Owner"
    r"|(invite|revoke_invite|accepted) ",
    re.IGNORECASE,
)
_CONTENT_REMOVAL = re.compile(r"remove (file |release$)|remove$|docdestroy$", re.IGNORECASE)
_QUARANTINE = re.compile(r".* quarantined$", re.IGNORECASE)
"""Of a project or a release today, and perhaps of a file one day."""
_PROJECT_REMOVALS = frozenset({"remove project", "remove"})


def owed_after(action: str | None, version: str | None) -> Expectation:
    """Return what a journal row asks of the mirror.

    Before 2018 ``remove`` stood for a release (with a version) and for a project (without).
    """
    if action is None:
        return Expectation.CONTENT
    if action in _PROJECT_REMOVALS and version is None:
        return Expectation.REMOVED
    if _ROLE_ACTION.match(action):
        return Expectation.ROLES
    if _QUARANTINE.match(action):
        return Expectation.QUARANTINES
    return Expectation.REMOVALS if _CONTENT_REMOVAL.match(action) else Expectation.CONTENT
