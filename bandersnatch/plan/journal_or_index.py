"""Who tells a run what has changed: upstream's journal or, where there is none or it is away, the root index."""

import logging

from msgspec.structs import replace

from bandersnatch.changes import ChangesIndex, Position
from bandersnatch.errors import (
    InterruptedRunError,
    LostProjectsError,
    MalformedResponseError,
    NoIndexError,
    NothingToldError,
    SerialMovedBackError,
    UpstreamError,
    UpstreamUnavailableError,
)
from bandersnatch.inifile.option import ApiMethod
from bandersnatch.plan.basis import Basis, Scope
from bandersnatch.plan.changelog_plan import plan_from_changelog
from bandersnatch.plan.index_plan import plan_from_index
from bandersnatch.plan.reached import Reached
from bandersnatch.state.todo import TodoList
from bandersnatch.upstream.changelog import is_without_xmlrpc
from bandersnatch.upstream.index import Upstream

_REFUSED = frozenset({*range(400, 500), 501}) - {401, 407, 408, 425, 429}

logger = logging.getLogger(__name__)


def ask_what_changed(todo: TodoList, basis: Basis, scope: Scope) -> Reached:
    """Plan from the changelog or from the root index.

    Raises:
        UpstreamError: neither can be had.
    """
    upstream = basis.upstream
    try:
        if not upstream.asks_journal:
            return _plan_from_index_alone(todo, basis, scope)
        return plan_from_changelog(todo, basis, scope)
    # Not failures of XML-RPC: the root index could not help.
    except (SerialMovedBackError, InterruptedRunError):
        raise
    except UpstreamError as error:
        if upstream.asks_journal and upstream.api_method is ApiMethod.AUTO:
            return _plan_after_error(todo, basis, scope, error)
        if _is_of_web_site(error):
            raise NoIndexError(upstream.url, error) from error
        raise


def _plan_from_index_alone(todo: TodoList, basis: Basis, scope: Scope) -> Reached:
    journal = None if _has_no_journal(basis.upstream) else basis.upstream.changes.index()
    reached = plan_from_index(todo, basis, replace(scope, was_told_by_index=True))
    return replace(reached, followed=_position(journal, basis.upstream))


def _plan_after_error(todo: TodoList, basis: Basis, scope: Scope, why: UpstreamError) -> Reached:
    """Plan from the root index after XML-RPC has failed.

    Raises:
        SerialMovedBackError: upstream is older than the serial we reached.
        NothingToldError: the root index can't be read either.
        NoIndexError: upstream is not an index.
    """
    upstream, has_none = basis.upstream, is_without_xmlrpc(why)
    journal = upstream.changes.index() if has_none else None
    of_index = replace(scope, was_told_by_index=scope.was_told_by_index or has_none)
    may_lack_serials = _is_refused(why) or _is_of_web_site(why)
    try:
        reached = plan_from_index(todo, basis, of_index, may_lack_serials=may_lack_serials)
    except (SerialMovedBackError, LostProjectsError, NoIndexError, InterruptedRunError):
        raise
    except UpstreamError as error:
        both = NothingToldError(why, error)
        if _is_of_web_site(why) and _is_of_web_site(error):
            raise NoIndexError(upstream.url, both) from error
        raise both from error
    # An index of static files never has XML-RPC, and the log need not say so in every run.
    level = logging.WARNING if not has_none else logging.DEBUG if scope.was_told_by_index else logging.INFO
    logger.log(level, "%s; this run uses the root index %s/ instead", why, upstream.documents.simple_url)
    return replace(reached, followed=_position(journal, upstream))


def _has_no_journal(upstream: Upstream) -> bool:
    """Whether it is known that the index has no static journal, as ours has."""
    return upstream.has_local_json or upstream.journal_end.own_serial is not None


def _position(journal: ChangesIndex | None, upstream: Upstream) -> Position | None:
    """Return where the static journal ended before the root index was read.

    None if the root index is from a cache, and older than the journal: it may lack what the journal has told before.
    """
    serial = upstream.journal_end.index_serial
    return journal.position if journal is not None and serial is not None and journal.serial <= serial else None


def _is_refused(error: UpstreamError) -> bool:
    """Whether a server has answered that it does not take such a request, as those of static files do; not "not now"."""
    return isinstance(error, UpstreamUnavailableError) and error.status in _REFUSED


def _is_of_web_site(error: UpstreamError) -> bool:
    """Whether a server answered as one that is not an index: the address is unknown to it, or has a page for people."""
    is_other_kind = isinstance(error, MalformedResponseError) and ", but text/html" in error.reason
    return is_other_kind or is_without_xmlrpc(error)
