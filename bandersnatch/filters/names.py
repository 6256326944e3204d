"""The filters that need only the name of a project; they decide before anything is requested from upstream."""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from bandersnatch.errors import shown
from bandersnatch.filters.settings import Entry, Settings

_ANCHOR = re.compile(r"(?<!\[)\^|\\A")
"""Shows that the author of a pattern knows that it matches at the beginning."""


class OnlyListed(Struct, frozen=True):
    """Keeps the projects of a list."""

    filter_name: str
    names: frozenset[NormalizedName]
    place: str
    """Where the list is in the file, for messages."""

    def keeps(self, project: NormalizedName, display_name: str) -> bool:  # noqa: ARG002 - all name filters share a signature
        """Whether the project is on the list."""
        return project in self.names

    def reason(self, project: NormalizedName, display_name: str) -> str:  # noqa: ARG002 - all name filters share a signature
        """Return whether the list names it."""
        return f"{self.place} {'names' if project in self.names else 'does not name'} {project}"


class NotListed(Struct, frozen=True):
    """Drops the projects of a list."""

    filter_name: str
    names: frozenset[NormalizedName]
    place: str

    def keeps(self, project: NormalizedName, display_name: str) -> bool:  # noqa: ARG002 - all name filters share a signature
        """Whether the project is not on the list."""
        return project not in self.names

    def reason(self, project: NormalizedName, display_name: str) -> str:  # noqa: ARG002 - all name filters share a signature
        """Return whether the list names it."""
        return f"{self.place} {'names' if project in self.names else 'does not name'} {project}"


class NameMatchesNone(Struct, frozen=True):
    """Drops projects if a pattern matches the beginning of their displayed name; case matters."""

    filter_name: str
    patterns: tuple[re.Pattern[str], ...]

    def keeps(self, project: NormalizedName, display_name: str) -> bool:  # noqa: ARG002 - all name filters share a signature
        """Whether no pattern matches."""
        return not any(self._matches(pattern, display_name) for pattern in self.patterns)

    def reason(self, project: NormalizedName, display_name: str) -> str:  # noqa: ARG002 - all name filters share a signature
        """Return which pattern matches."""
        for pattern in self.patterns:
            if self._matches(pattern, display_name):
                return f"[filter_regex] packages has {shown(pattern.pattern)!r}, which matches {display_name}"
        return f"no pattern of [filter_regex] packages matches {display_name}"

    def overlooked(self, names: Sequence[str]) -> Iterator[str]:
        """Yield a warning for each unanchored pattern that occurs elsewhere in some of the names that are kept."""
        for pattern in self.patterns:
            if _ANCHOR.search(pattern.pattern) or not (found := list(filter(pattern.search, names))):
                continue
            yield (
                f"[filter_regex] packages has {shown(pattern.pattern)!r}, which matches at the beginning of names only: "
                f"projects that have it elsewhere, such as {shown(found[0])}, are kept ({len(found)} in all). "
                "A ^ before it says that this is intended; [filter_regex] search = true looks for it everywhere"
            )

    @staticmethod
    def _matches(pattern: re.Pattern[str], name: str) -> bool:
        return pattern.match(name) is not None


class NameContainsNone(NameMatchesNone, frozen=True):
    """Drops projects if a pattern matches anywhere in their displayed name."""

    def overlooked(self, names: Sequence[str]) -> Iterator[str]:  # noqa: ARG002 - same signature as in the base class
        """Yield nothing."""
        return iter(())

    @staticmethod
    def _matches(pattern: re.Pattern[str], name: str) -> bool:
        return pattern.search(name) is not None


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
