"""Whose each project is, where a mirror has several indexes: exactly one index's, so that no page has files of two.

An installer takes a file of the right name from whichever index lists it. If files of two indexes stood on one page,
whoever may upload to the one could replace the projects of the other (dependency confusion, PEP 708). So the operator says
which projects are an index's, by name, before anything is asked. The sections of the file are tried in their order, and the
first that has a project owns it; what none has is that of ``[mirror]``.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct

from bandersnatch.names import NormalizedName

FILTER_NAME = "upstream"
"""By this name the rule stands among the filters, in explanations."""


class Claim(Struct, frozen=True):
    """One pattern of a section ``[upstream NAME]``."""

    upstream: str
    pattern: str

    def matches(self, project: NormalizedName) -> bool:
        """Whether the pattern has this project."""
        return _compiled((self.pattern,)).fullmatch(project) is not None

    def covers(self, pattern: str) -> bool:
        """Whether every name that another pattern has is one that this has too."""
        # A star of the other may stand for any text. A character that is in no pattern stands for it here: only a star
        # of ours can take it.
        return _compiled((self.pattern,)).fullmatch(pattern.replace("*", "\0")) is not None

    def __str__(self) -> str:
        return f"[upstream {self.upstream}] projects has {self.pattern}"


class Owners(Struct, frozen=True):
    """Which index owns which projects, in the order of the file."""

    claims: tuple[Claim, ...] = ()

    def claims_on(self, project: NormalizedName) -> tuple[Claim, ...]:
        """Return all patterns that have a project; the first decides, and the others come too late."""
        return tuple(claim for claim in self.claims if claim.matches(project))

    def owner_of(self, project: NormalizedName) -> str | None:
        """Return the name of the section that owns a project; None if it is ``[mirror]``."""
        # Most of hundreds of thousands of projects are nobody else's, which one search tells.
        if not self.claims or _compiled(tuple(each.pattern for each in self.claims)).fullmatch(project) is None:
            return None
        return self.claims_on(project)[0].upstream

    def in_vain(self) -> Iterator[tuple[Claim, Claim]]:
        """Yield each pattern that an earlier one leaves nothing, and that earlier one."""
        for number, claim in enumerate(self.claims):
            if earlier := next((each for each in self.claims[:number] if each.covers(claim.pattern)), None):
                yield claim, earlier


class Owned(Struct, frozen=True):
    """Keeps the projects of one index, and drops those of the others: a filter of names like any other.

    ``upstream`` is the name of its section; None is ``[mirror]``.
    """

    owners: Owners
    upstream: str | None = None
    filter_name: str = FILTER_NAME

    def keeps(self, project: NormalizedName, display_name: str) -> bool:  # noqa: ARG002 - all name filters share a signature
        """Whether the project is this index's."""
        return self.owners.owner_of(project) == self.upstream

    def reason(self, project: NormalizedName, display_name: str) -> str:  # noqa: ARG002 - all name filters share a signature
        """Return which section has it."""
        claims = self.owners.claims_on(project)
        return str(claims[0]) if claims else f"no section [upstream NAME] has {project}"


@lru_cache(64)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Return an expression for any of these patterns, whose stars stand for any text, also for none."""
    return re.compile("|".join(".*".join(map(re.escape, pattern.split("*"))) for pattern in patterns), re.DOTALL)
