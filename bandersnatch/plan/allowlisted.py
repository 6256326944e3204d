"""Checks that upstream has the projects on the allowlists; a misspelt name would silently mirror nothing."""

import logging
from collections.abc import Callable, Iterable

from bandersnatch.errors import InterruptedRunError, NothingToldError, UpstreamError
from bandersnatch.filters.filters import Filters
from bandersnatch.filters.names import OnlyListed
from bandersnatch.inifile.option import ApiMethod
from bandersnatch.names import NormalizedName
from bandersnatch.plan.named_projects import MOST_NAMES, look_up
from bandersnatch.upstream.index import Upstream

logger = logging.getLogger(__name__)


def allowlisted(filters: Filters) -> frozenset[NormalizedName]:
    """Return the projects on an allowlist that no other name filter drops."""
    names = frozenset[NormalizedName]().union(
        *(each.names for each in filters.projects if isinstance(each, OnlyListed))
    )
    return frozenset(name for name in names if filters.keeps_project(name, name))


def named(filters: Filters) -> frozenset[NormalizedName]:
    """Return also the projects that a list of releases names: of all others it keeps no release."""
    names = allowlisted(filters)
    if filters.releases or filters.pinned:
        from bandersnatch.filters.releases import OnlyReleases  # noqa: PLC0415 - loaded if there are such filters

        lists = (each.specifiers for each in (*filters.releases, *filters.pinned) if isinstance(each, OnlyReleases))
        names |= {name for each in lists for name in each if filters.keeps_project(name, name)}
    return names


def tell_missing(names: Iterable[NormalizedName], is_there: Callable[[NormalizedName], bool]) -> None:
    """Warn, once, about the projects that do not exist."""
    if missing := sorted(name for name in names if not is_there(name)):
        logger.warning("upstream does not have these projects of the allowlist: %s", ", ".join(missing))


def ask_for(filters: Filters, upstream: Upstream) -> None:
    """Fetch upstream's list of all projects, and warn about allowlisted ones that it lacks.

    Raises:
        UpstreamError: the list can't be fetched.
    """
    if names := named(filters):
        there = _names_of(upstream, names)
        tell_missing(names, there.__contains__)


def _names_of(upstream: Upstream, names: frozenset[NormalizedName]) -> set[NormalizedName]:
    if upstream.api_method is ApiMethod.SIMPLE:
        return set(upstream.root().projects)
    if len(names) <= MOST_NAMES and (found := look_up(names, upstream)) is not None:
        return set(found)
    try:
        return {name for name, _ in upstream.all_projects(lambda name, _: name in names)[1]}
    except InterruptedRunError:
        raise
    except UpstreamError as error:
        if upstream.api_method is not ApiMethod.AUTO:
            raise
        try:
            return set(upstream.root().projects)
        except UpstreamError as second:
            raise NothingToldError(error, second) from second
