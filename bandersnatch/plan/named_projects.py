"""Looks up the few projects of an allowlist one by one, because the list of all projects is tens of megabytes.

A project's legacy JSON has what that list would say: the spelling of its name, and its serial.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from packaging.utils import NormalizedName

from bandersnatch.errors import InterruptedRunError, NotFoundError, UpstreamError
from bandersnatch.filters.filters import Filters
from bandersnatch.filters.names import OnlyListed
from bandersnatch.model import ListedProject, parse_display_name, parse_project_name
from bandersnatch.upstream.index import Upstream

logger = logging.getLogger(__name__)

MOST_NAMES = 100
"""Beyond this, the list is the smaller download: one project's JSON may be several megabytes."""
_AT_A_TIME = 10


def named_projects(filters: Filters) -> frozenset[NormalizedName] | None:
    """Return the only projects that allowlists allow; None if there is no allowlist, or a long one."""
    allowlists = [each.names for each in filters.projects if isinstance(each, OnlyListed)]
    names = frozenset.intersection(*allowlists) if allowlists else None
    return names if names is not None and len(names) <= MOST_NAMES else None


def look_up(names: frozenset[NormalizedName], upstream: Upstream) -> dict[NormalizedName, ListedProject] | None:
    """Return those of the projects that upstream has, as its list of all projects would; None if only that list can
    tell.

    Only the list spells the name of a project that has a page but no legacy JSON. And if upstream seems to have none of
    the projects, that may be an outage.

    Raises:
        InterruptedRunError: the run was asked to stop.
    """
    try:
        with ThreadPoolExecutor(_AT_A_TIME) as executor:
            found = dict(zip(names, executor.map(partial(_look_up, upstream), names), strict=True))
    except InterruptedRunError:
        raise
    except UpstreamError as error:
        logger.debug("%s; the list of all projects is asked for", error)
        return None
    if not any(found.values()) or not all(_is_absent(upstream, name) for name in names if found[name] is None):
        return None
    return {name: project for name, project in found.items() if project is not None}


def _look_up(upstream: Upstream, name: NormalizedName) -> ListedProject | None:
    """Return what upstream says about a project; None if it has no legacy JSON."""
    try:
        body, serial = upstream.project_json(name)
    except NotFoundError:
        return None
    display_name = parse_display_name(body)
    # The display name is published, so it must really be that of this project.
    is_believed = serial > 0 and upstream.journal_end.reaches(serial)
    return ListedProject(
        display_name if parse_project_name(display_name) == name else name, serial if is_believed else 0
    )


def _is_absent(upstream: Upstream, name: NormalizedName) -> bool:
    try:
        upstream.project_page(name, None)
    except NotFoundError:
        return True
    except InterruptedRunError:
        raise
    except UpstreamError:
        return False
    return False
