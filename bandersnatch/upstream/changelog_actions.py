"""What a changelog action means for a mirror: what we expect of the project's page because of it.

The actions are those of PyPI's code (wherever it writes a journal entry); an unknown action counts as a change of
content, which is always safe.
"""

import enum
import re


class Expectation(enum.Enum):
    """Why a project is on the todo list, and so what its page must be like; the value is its word in the todo file."""

    CONTENT = ""
    """Files, releases or marks changed: the page must be at least as new as the serial."""
    REMOVALS = "removals"
    """As above, and files or releases were removed or quarantined: only then may a page have lost all its files."""
    QUARANTINES = "quarantines"
    """As above, and a release was quarantined, perhaps as malware: its files are removed without waiting for approval."""
    LISTED = "listed"
    """The serial comes from the list of all projects. It may belong to a change of roles, so an older page will do."""
    ROLES = "roles"
    """Only owners or maintainers changed: any page will do, since only its serial has changed."""
    REMOVED = "removed"
    """The project was removed: expect 404, or the page of a project created since then under the same name."""
    EXCLUDED = "excluded"
    """The configuration's filters drop the project by its name: it goes, whatever upstream says."""


_ROLE_ACTION = re.compile(
    r"(add|remove|change) (Owner|Maintainer) (?!(.* )?file )"  # "add Owner file x" would be a file for the Python "Owner"
    r"|(invite|revoke_invite|accepted) ",
    re.IGNORECASE,
)
_CONTENT_REMOVAL = re.compile(r"remove (file |release$)|remove$|docdestroy$", re.IGNORECASE)
_QUARANTINE = re.compile(r".* quarantined$", re.IGNORECASE)
"""PyPI writes it for projects and releases, and may do so for files one day."""
_PROJECT_REMOVALS = frozenset({"remove project", "remove"})


def expectation_after(action: str | None, version: str | None) -> Expectation:
    """Return what a journal row makes us expect.

    Before 2018 ``remove`` meant a release (with a version) or a project (without).
    """
    if action is None:
        return Expectation.CONTENT
    # An old "remove" with a version means one release; the project stays.
    if action in _PROJECT_REMOVALS and version is None:
        return Expectation.REMOVED
    if _ROLE_ACTION.match(action):
        return Expectation.ROLES
    if _QUARANTINE.match(action):
        return Expectation.QUARANTINES
    return Expectation.REMOVALS if _CONTENT_REMOVAL.match(action) else Expectation.CONTENT
