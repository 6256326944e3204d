"""Checks that upstream has the projects on the allowlists; a misspelt name would silently mirror nothing."""

import logging
from collections.abc import Callable, Iterable

from packaging.utils import NormalizedName

from bandersnatch.errors import InterruptedRunError, NothingToldError, UpstreamError
from bandersnatch.filters.filters import Filters
from bandersnatch.filters.names import OnlyListed
from bandersnatch.inifile.option import ApiMethod
from bandersnatch.plan.named_projects import MOST_NAMES, look_up
from bandersnatch.upstream.index import Upstream

logger = logging.getLogger(__name__)


def allowlisted(filters: Filters) -> frozenset[NormalizedName]:
    """Return the projects on an allowlist that no other name filter drops."""
    names = frozenset[NormalizedName]().union(
        *(each.names for each in filters.projects if isinstance(each, OnlyListed))
    )
    return frozenset(name for name in names if filters.keeps_project(name, name))


def tell_missing(names: Iterable[NormalizedName], is_there: Callable[[NormalizedName], bool]) -> None:
    """Warn, once, about the projects that do not exist."""
    if missing := sorted(name for name in names if not is_there(name)):
        logger.warning("upstream does not have these projects of the allowlist: %s", ", ".join(missing))


def ask_for(filters: Filters, upstream: Upstream) -> None:
    """Fetch upstream's list of all projects, and warn about allowlisted ones that it lacks.

    Raises:
        UpstreamError: the list can't be fetched.
    """
    if names := allowlisted(filters):
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
