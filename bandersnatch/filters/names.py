"""The filters that need only the name of a project; they decide before anything is requested from upstream."""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from bandersnatch.names import NormalizedName
from bandersnatch.shown_text import shown

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
