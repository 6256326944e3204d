"""Who tells a run what has changed: upstream's journal or, where there is none or it is away, the root index."""

import logging
from collections.abc import Callable
from functools import partial

from msgspec import Struct

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
from bandersnatch.plan.own_serials import OwnCount
from bandersnatch.upstream.changelog import is_without_xmlrpc
from bandersnatch.upstream.index import Upstream

_REFUSED = frozenset({*range(400, 500), 501}) - {401, 407, 408, 425, 429}

logger = logging.getLogger(__name__)


class Told(Struct, frozen=True):
    """The newest serial, and who told it; ``own`` if upstream has no serials."""

    newest: int
    by_index: bool
    own: OwnCount | None = None
    followed: Position | None = None
    """Up to where this has what upstream's static journal tells, if the root index told it and there is one."""


def ask_what_changed(
    upstream: Upstream,
    from_changelog: Callable[[], int],
    from_index: Callable[..., tuple[int, OwnCount | None]],
    *,
    was_told_by_index: bool,
) -> Told:
    """Plan from the changelog or from the root index; return the newest serial, and how it was told.

    ``was_told_by_index`` says that the last run used the root index.

    Raises:
        UpstreamError: neither can be had.
    """
    try:
        if not upstream.asks_journal:
            journal = None if _has_no_journal(upstream) else upstream.changes.index()
            newest, own = from_index(was_told_by_index=True)
            return Told(newest, by_index=True, own=own, followed=_position(journal, upstream))
        return Told(from_changelog(), by_index=False)
    # Not failures of XML-RPC: the root index could not help.
    except (SerialMovedBackError, InterruptedRunError):
        raise
    except UpstreamError as error:
        if upstream.api_method is not ApiMethod.AUTO or not upstream.asks_journal:
            if _is_of_web_site(error):
                raise NoIndexError(upstream.url, error) from error
            raise
        has_none = is_without_xmlrpc(error)
        journal = upstream.changes.index() if has_none else None
        plan_from_index = partial(
            from_index,
            was_told_by_index=was_told_by_index or has_none,
            may_count=_is_refused(error) or _is_of_web_site(error),
        )
        newest, own = _plan_after_error(upstream, error, plan_from_index)
        # An index of static files never has XML-RPC, and the log need not say so in every run.
        level = logging.WARNING if not has_none else logging.DEBUG if was_told_by_index else logging.INFO
        logger.log(level, "%s; this run uses the root index %s/simple/ instead", error, upstream.url)
        return Told(newest, by_index=True, own=own, followed=_position(journal, upstream))


def _has_no_journal(upstream: Upstream) -> bool:
    """Whether it is known that the index has no static journal, as ours has."""
    return upstream.has_local_json or upstream.journal_end.own_serial is not None


def _position(journal: ChangesIndex | None, upstream: Upstream) -> Position | None:
    """Return where the static journal ended before the root index was read.

    None if the root index is from a cache, and older than the journal: it may lack what the journal has told before.
    """
    serial = upstream.journal_end.index_serial
    return journal.position if journal is not None and serial is not None and journal.serial <= serial else None


def _plan_after_error(
    upstream: Upstream, why: UpstreamError, plan_from_index: Callable[[], tuple[int, OwnCount | None]]
) -> tuple[int, OwnCount | None]:
    """Plan from the root index after XML-RPC has failed, and return what that returns.

    Raises:
        SerialMovedBackError: upstream is older than the serial we reached.
        NothingToldError: the root index can't be read either.
        NoIndexError: upstream is not an index.
    """
    try:
        return plan_from_index()
    except (SerialMovedBackError, LostProjectsError, NoIndexError, InterruptedRunError):
        raise
    except UpstreamError as error:
        told = NothingToldError(why, error)
        if _is_of_web_site(why) and _is_of_web_site(error):
            raise NoIndexError(upstream.url, told) from error
        raise told from error


def _is_refused(error: UpstreamError) -> bool:
    """Whether a server has answered that it does not take such a request, as those of static files do; not "not now"."""
    return isinstance(error, UpstreamUnavailableError) and error.status in _REFUSED


def _is_of_web_site(error: UpstreamError) -> bool:
    """Whether a server answered as one that is not an index: the address is unknown to it, or has a page for people."""
    is_other_kind = isinstance(error, MalformedResponseError) and ", but text/html" in error.reason
    return is_other_kind or is_without_xmlrpc(error)
