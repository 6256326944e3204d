"""Looks up the few projects of an allowlist one by one, because the list of all projects is tens of megabytes.

A project's legacy JSON has what that list would say: the spelling of its name, and its serial.
"""

import logging

from bandersnatch.errors import InterruptedRunError, NotFoundError, UpstreamError
from bandersnatch.filters.filters import Filters
from bandersnatch.filters.names import OnlyListed
from bandersnatch.http.request import Steps, Together
from bandersnatch.json_documents import parse_display_name
from bandersnatch.model import ListedProject
from bandersnatch.names import NormalizedName, parse_project_name
from bandersnatch.upstream.documents import Documents
from bandersnatch.upstream.index import Upstream

logger = logging.getLogger(__name__)

MOST_NAMES = 100
"""For more, the list is the smaller answer: the JSON of one project may be some megabytes."""


def named_projects(filters: Filters) -> frozenset[NormalizedName] | None:
    """Return the only projects that allowlists allow; None if there is no allowlist, or a long one."""
    allowlists = [each.names for each in filters.projects if isinstance(each, OnlyListed)]
    names = frozenset.intersection(*allowlists) if allowlists else None
    return names if names is not None and len(names) <= MOST_NAMES else None


def look_up(names: frozenset[NormalizedName], upstream: Upstream) -> dict[NormalizedName, ListedProject] | None:
    """Return those of the projects that upstream has, as its list would; None if the list itself must be fetched.

    Only the list spells the name of a project that has a page but no legacy JSON. And if upstream seems to have none of
    the projects, that may be an outage.

    Raises:
        InterruptedRunError: the run was asked to stop.
    """
    try:
        found = upstream.finish(_look_up_all(names, upstream.documents))
    except InterruptedRunError:
        raise
    except UpstreamError as error:
        logger.debug("%s; the list of all projects is fetched", error)
        return None
    if not any(found.values()) or not all(_is_absent(upstream, name) for name, each in found.items() if each is None):
        return None
    return {name: project for name, project in found.items() if project is not None}


def _look_up_all(
    names: frozenset[NormalizedName], documents: Documents
) -> Steps[dict[NormalizedName, ListedProject | None]]:
    found = yield Together(tuple(_look_up(documents, name) for name in names))
    for each in found:
        if isinstance(each, Exception):
            raise each
    return dict(zip(names, found, strict=True))


def _look_up(documents: Documents, name: NormalizedName) -> Steps[ListedProject | None]:
    """Return what upstream's list would say of a project; None if the project has no legacy JSON."""
    try:
        body, serial = yield from documents.legacy_json(name)
    except NotFoundError:
        return None
    display_name = parse_display_name(body)
    is_believed = serial > 0 and (yield from documents.reaches(serial))
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
