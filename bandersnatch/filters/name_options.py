"""Reads the filters by name, and the kinds of entries that other filters have too: requirements and patterns.

Apart from the filters, because runs without such options need those alone, and packaging's parser takes 6 ms to import.
"""

import re

from packaging.requirements import InvalidRequirement, Requirement

from bandersnatch.filters.names import NameContainsNone, NameMatchesNone, NotListed, OnlyListed
from bandersnatch.filters.settings import Entry, Settings
from bandersnatch.names import NormalizedName, canonicalize_name


def read_allowlist_project(settings: Settings) -> OnlyListed | None:
    """Read the filter that keeps the projects of the allowlist, whatever versions it asks for."""
    names = allowed_names(settings)
    return OnlyListed("allowlist_project", names, "[allowlist] packages") if names else None


def read_blocklist_project(settings: Settings) -> NotListed | None:
    """Read the filter that drops projects; an entry with a specifier, extra or marker is about releases only."""
    entries = settings.entries("blocklist", "packages")
    requirements = (read_requirement(settings, entry) for entry in entries)
    names = frozenset(canonicalize_name(r.name) for r in requirements if r is not None and str(r) == r.name)
    return NotListed("blocklist_project", names, "[blocklist] packages") if names else None


def read_regex_project(settings: Settings) -> NameMatchesNone | None:
    """Read the filter that drops projects by patterns."""
    patterns = read_patterns(settings, settings.entries("filter_regex", "packages"))
    kind = NameContainsNone if searches(settings) else NameMatchesNone
    return kind("regex_project", patterns) if patterns else None


def searches(settings: Settings) -> bool:
    """Whether the patterns of ``[filter_regex]`` match anywhere, and not only at the beginning."""
    return settings.is_true(settings.value("filter_regex", "search"))


def allowed_names(settings: Settings) -> frozenset[NormalizedName]:
    """Return the names on the allowlist, which some filters of whole projects exempt."""
    requirements = (read_requirement(settings, entry) for entry in settings.entries("allowlist", "packages"))
    return frozenset(canonicalize_name(each.name) for each in requirements if each is not None)


def read_requirement(settings: Settings, entry: Entry) -> Requirement | None:
    """Read an entry such as ``foo``, ``foo>=1.0`` or ``foo[extra]``; report anything else."""
    text = entry.without_comment().text
    try:
        return parse_requirement(text) if text else None
    except InvalidRequirement:
        comma = "; write one project per line, without commas" if "," in text else ""
        settings.add_problem(entry, f"expected the name of a project, or one with versions such as foo>=1.0{comma}")
        return None


def parse_requirement(text: str) -> Requirement:
    """Parse a requirement.

    Raises:
        InvalidRequirement: it is invalid, or its versions can't be compared.
    """
    try:
        requirement = Requirement(text)  # older packaging parses the versions here
        hash(requirement.specifier)  # newer packaging puts that off until now
    except InvalidRequirement:
        raise
    except ValueError as error:  # an int of over 4,300 digits
        raise InvalidRequirement(str(error)) from error
    return requirement


def read_patterns(settings: Settings, entries: list[Entry]) -> tuple[re.Pattern[str], ...]:
    """Read regular expressions, and sort them: their order in the file does not matter."""
    patterns: dict[str, re.Pattern[str]] = {}
    for entry in entries:
        try:
            patterns[entry.text] = re.compile(entry.text)
        except (re.error, OverflowError, RecursionError) as error:  # such as a{99999999999}, or 1,000 parentheses
            settings.add_problem(entry, f"expected a regular expression: {error}")
    return tuple(patterns[text] for text in sorted(patterns))
