"""``Filters``: all filters of a configuration as one value, which says what is kept, and why."""

import hashlib
from dataclasses import dataclass
from typing import Protocol

from packaging.utils import NormalizedName

from bandersnatch.filters.fingerprint import described
from bandersnatch.filters.verdict import UNFILTERED, Verdict


class ProjectFilter(Protocol):
    """Decides by the name of a project: the normalized one, or the one that upstream shows."""

    @property
    def filter_name(self) -> str:
        """The name by which the filter is enabled."""

    def keeps(self, project: NormalizedName, display_name: str) -> bool:
        """Whether the project stays."""

    def reason(self, project: NormalizedName, display_name: str) -> str:
        """Say why it stays or goes."""


@dataclass(frozen=True, slots=True)
class Filters:
    """The enabled filters; something stays where all of them keep it, so their order means nothing."""

    projects: tuple[ProjectFilter, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A word that differs whenever the filters may decide otherwise; empty where there are none."""
        text = described(self)
        return hashlib.sha256(text.encode()).hexdigest() if self != NO_FILTERS else ""

    def keeps_project(self, project: NormalizedName, display_name: str) -> bool:
        """Whether a project stays, as far as its name tells; asked once for each of hundreds of thousands."""
        return all(each.keeps(project, display_name) for each in self.projects)

    def project(self, project: NormalizedName, display_name: str) -> Verdict:
        """Say whether a project stays, as far as its name tells, and which filter says so."""
        for each in self.projects:
            if not each.keeps(project, display_name):
                return Verdict(keeps=False, filter_name=each.filter_name, reason=each.reason(project, display_name))
        return UNFILTERED


NO_FILTERS = Filters()
