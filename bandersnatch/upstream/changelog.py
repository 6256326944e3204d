"""The three XML-RPC calls that PyPI offers to mirrors, sent through ``fetch``; the only importer of six.

XML-RPC faults come with status 200, even that of the rate limit. Serials have gaps, several rows may share one, and any
field of a row can be nil.
"""

import logging
import re
import reprlib
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, TypeGuard
from xml.parsers.expat import ExpatError

from bandersnatch.amounts import count_of
from bandersnatch.errors import (
    EndlessJournalError,
    MalformedResponseError,
    NotFoundError,
    TransientFaultError,
    UpstreamError,
    UpstreamUnavailableError,
)
from bandersnatch.http.conversation import Conversation
from bandersnatch.http.document import Answer, Document
from bandersnatch.model import MAX_SERIAL, ChangelogEntry, ListedProject, parse_serial
from bandersnatch.names import NormalizedName, parse_project_name
from bandersnatch.shown_text import shown, without_credentials
from bandersnatch.upstream.changelog_actions import Expectation, expectation_after

if TYPE_CHECKING:
    import xmlrpc.client as xmlrpc_client
else:
    from six.moves import xmlrpc_client

logger = logging.getLogger(__name__)

SMALLEST_LIMIT = 1_000
"""A shorter answer is the last one. PyPI cuts off at 50,000 rows; no known index returns fewer than this."""
MAX_LIST_BYTES = 160 * 1024 * 1024
"""The list of all projects was about 90 MB in 2026; parsed, it stays below the promised 400 MB."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""50,000 changes are about 25 MB; their parsed form is several times as large."""
MAX_CHANGES = 700_000
"""About two weeks of PyPI's journal, in 260 MB. Beyond that, the list of all projects gives the same result in less
memory than promised."""
MAX_ANSWERS = 1_000
"""Stops an index that sends few rows at a time, with rising serials, for ever."""
_MOST_ANSWERS = 20
RATE_LIMIT_SECONDS = 60.0
RATE_LIMIT_MARGIN_SECONDS = 2.0
"""The server sends whole seconds, rounded down, and its clock differs from ours."""
LONGEST_WAIT_SECONDS = 60.0
LONGEST_RATE_LIMIT_SECONDS = 3600.0
"""The longest wait when nothing can replace the changelog."""

ProjectRule = Callable[[NormalizedName, str], bool]
"""Whether a project is wanted, given its normalized and its displayed name."""

_RATE_LIMIT = "HTTPTooManyRequests"
_RESET_TIME = re.compile(r"reset in (\d+) seconds")
_TRANSIENT_FAULT = -32500
_METHOD_REFUSED = (405, 501)


class Changelog:
    """Upstream's journal. A rate limit that lasts longer than ``longest_wait_seconds`` is an error at once."""

    def __init__(
        self, conversation: Conversation, upstream_url: str, longest_wait_seconds: float = LONGEST_WAIT_SECONDS
    ) -> None:
        self._conversation, self._longest_wait_seconds = conversation, longest_wait_seconds
        self._url = f"{without_credentials(upstream_url)}/pypi"

    def last_serial(self) -> int:
        """Return the newest serial, or 0 if the journal is empty."""
        serial = self._call("changelog_last_serial")
        if serial is None:
            return 0
        if not _is_serial(serial):
            raise self._malformed(f"changelog_last_serial is {reprlib.repr(serial)}")
        return serial

    def since(
        self, serial: int, at_least: int = 0, known: int = 0
    ) -> tuple[int, list[tuple[ChangelogEntry, Expectation]]]:
        """Return the newest serial in the answers, and all changes after ``serial``, oldest first.

        An answer may be cut off without notice. It counts as the last one if it is short and reaches ``at_least``; the
        returned serial is always one up to which everything was received.

        Rows without a valid project only count for the serial; rows with a serial beyond the end of the journal do not
        count at all. If there is nothing new, the serial that was asked for is returned. Changes up to ``known`` are of
        interest only if newer ones follow; otherwise they are left out.
        """
        changes: list[tuple[ChangelogEntry, Expectation]] = []
        newest, end = serial, at_least
        for answers in count(1):
            asked = newest
            rows = self._call("changelog_since_serial", asked)
            if not isinstance(rows, list):
                raise self._malformed(f"changelog_since_serial is {type(rows).__name__}, not a list")
            serials = [self._check_row(row, asked) for row in rows]
            if max(serials, default=0) > end:
                # Even by one: no other answer would confirm it, and the next run would conclude that upstream had moved
                # back.
                end = max(end, self.last_serial())
            if refused := [serial for serial in serials if serial > end]:
                logger.warning(
                    "%s: serials of %s of the changelog, up to %d, are beyond its newest serial %d: they are left out",
                    self._url, count_of(len(refused), "row"), max(refused), end,
                )  # fmt: skip
            newest = max((serial for serial in serials if serial <= end), default=newest)
            is_last = newest == asked or (len(rows) < SMALLEST_LIMIT and newest >= at_least)
            if not is_last or newest > known:
                changes += [change for row in rows if row[-1] <= end and (change := _change_of(row)) is not None]
            if is_last:
                return newest, changes
            if len(changes) > MAX_CHANGES or answers == MAX_ANSWERS:
                raise EndlessJournalError(self._url, serial, newest)
            logger.debug("read %d changes, up to serial %d; there may be more", len(changes), newest)
        raise AssertionError("unreachable: the last answer returns or raises")

    def projects_at(self, serials: Sequence[int]) -> dict[int, NormalizedName | None]:
        """Return the projects that the journal names at these sorted serials; None for a serial without a row.

        One answer has many rows, so it may cover several serials; the number of requests is limited, and serials that
        they do not cover are left out.
        """
        found: dict[int, NormalizedName | None] = {}
        for _ in range(_MOST_ANSWERS):
            wanted = [serial for serial in serials if serial not in found]
            if not wanted:
                break
            # The call returns the rows after a serial, not the one at it.
            begin = wanted[0] - 1
            if begin >= MAX_SERIAL:
                found |= dict.fromkeys(wanted)
                break
            rows = self._call("changelog_since_serial", begin)
            if not isinstance(rows, list):
                raise self._malformed(f"changelog_since_serial is {type(rows).__name__}, not a list")
            newest = max((self._check_row(row, begin) for row in rows), default=begin)
            is_last = len(rows) < SMALLEST_LIMIT
            projects = {row[-1]: change[0].project for row in rows if (change := _change_of(row)) is not None}
            found |= {serial: projects.get(serial) for serial in wanted if is_last or serial <= max(newest, wanted[0])}
        return found

    def all_projects(
        self, keeps: ProjectRule, journal_end: int = 0
    ) -> tuple[int, Iterator[tuple[NormalizedName, ListedProject]]]:
        """Return the newest serial in the list of all projects, and the projects that ``keeps`` accepts.

        Quarantined projects are included; upstream may answer from a cache up to an hour old. ``journal_end`` is the
        newest serial we know of; a project whose serial is beyond the end of the journal gets serial 0.
        """
        listed = self._call("list_packages_with_serial", read=_read_list, limit_bytes=MAX_LIST_BYTES)
        if not isinstance(listed, dict):
            raise self._malformed(f"list_packages_with_serial is {type(listed).__name__}, not a struct")
        if not all(isinstance(name, str) for name in listed):
            raise self._malformed("list_packages_with_serial has projects with an invalid name")
        if not all(map(_is_count, listed.values())):
            raise self._malformed("list_packages_with_serial has projects with an invalid serial")
        if max(listed.values(), default=0) > journal_end:  # the journal may have grown since we asked
            journal_end = self.last_serial()
        if wrong := [name for name, serial in listed.items() if serial > journal_end]:
            logger.warning(
                "%s: the list of all projects has %d, %s for one at serial %d, beyond the newest serial %d: "
                "these are not believed",
                self._url, len(wrong), shown(wrong[0]), listed[wrong[0]], journal_end,
            )  # fmt: skip
            listed |= dict.fromkeys(wrong, 0)
        names = ((parse_project_name(name), name) for name in listed)
        kept = ((each, name) for each, name in names if each is not None and keeps(each, name))
        return max(listed.values(), default=0), ((each, ListedProject(name, listed[name])) for each, name in kept)

    def _check_row(self, row: object, after: int) -> int:
        """Return a row's serial; the row is one that ``_change_of`` can read."""
        match row:
            case [name, version, _, action, int(serial)] if (
                _is_count(serial)
                and serial > after
                and isinstance(name, str | None)
                and isinstance(version, str | None)
                and isinstance(action, str | None)
            ):
                return serial
        raise self._malformed(f"changelog_since_serial({after}) has the row {reprlib.repr(row)}")

    def _call(
        self,
        method: str,
        *args: int,
        read: Callable[[bytes], object] | None = None,
        limit_bytes: int = MAX_ANSWER_BYTES,
    ) -> object:
        def read_or_raise(answer: Answer) -> object:
            try:
                return (read or _read_answer)(answer.body)
            except xmlrpc_client.Fault as fault:
                raise self._error_of(method, fault) from fault
            except (
                ExpatError,
                xmlrpc_client.Error,
                ArithmeticError,
                ValueError,
                TypeError,
                LookupError,
                AttributeError,
                RecursionError,
            ) as error:
                raise self._malformed(f"no XML-RPC, but {_what_came(answer, error)}") from error

        request = xmlrpc_client.dumps(args, method).encode()
        document = Document(read_or_raise, limit_bytes)
        return self._conversation.post(self._url, {"Content-Type": "text/xml"}, request, document)

    def _error_of(self, method: str, fault: "xmlrpc_client.Fault") -> UpstreamUnavailableError:
        """Return a fault as our error; it says whether the call may be repeated, and after how long."""
        code, text = _told(fault.faultCode), _told(fault.faultString)
        reason = f"{method}: fault {code}: {shown(text)}"
        if fault.faultCode != _TRANSIENT_FAULT:
            return UpstreamUnavailableError(self._url, reason)
        if not text.startswith(_RATE_LIMIT):
            return TransientFaultError(self._url, reason)
        reset = _RESET_TIME.search(text)
        seconds = float(reset[1]) if reset else RATE_LIMIT_SECONDS
        if seconds > self._longest_wait_seconds < LONGEST_RATE_LIMIT_SECONDS:
            return UpstreamUnavailableError(self._url, reason)
        seconds = min(seconds, LONGEST_RATE_LIMIT_SECONDS) + (RATE_LIMIT_MARGIN_SECONDS if reset else 0)
        return TransientFaultError(self._url, reason, seconds)

    def _malformed(self, reason: str) -> MalformedResponseError:
        return MalformedResponseError(self._url, reason)


def is_without_xmlrpc(error: UpstreamError) -> bool:
    """Whether a call failed because the index has no XML-RPC at all, like a server of static files."""
    has_refused = isinstance(error, UpstreamUnavailableError) and error.status in _METHOD_REFUSED
    return has_refused or isinstance(error, NotFoundError)


def _change_of(row: list[Any]) -> tuple[ChangelogEntry, Expectation] | None:
    """Return the change that a row tells of; None if it is not about a valid project."""
    name, version, _, action, serial = row
    project = parse_project_name(name) if name is not None else None
    if project is None:
        return None
    return ChangelogEntry(project, name, action or "", serial), expectation_after(action, version)


def _read_list(body: bytes) -> object:
    from bandersnatch.upstream.project_list import read_project_list  # noqa: PLC0415 - only a first run reads the list

    listed = read_project_list(body)
    if listed is None and len(body) > MAX_ANSWER_BYTES:
        raise ValueError(f"{len(body)} bytes, and not in PyPI's form")
    return listed or _read_answer(body)


def _read_answer(body: bytes) -> object:
    if b"<!DOCTYPE" in body or b"\0" in body:
        raise ValueError("it defines entities, with which a small document becomes a large one")
    # Built-in types, so that values are plain str, int and bytes instead of xmlrpc's wrappers.
    (result,), _ = xmlrpc_client.loads(body, use_builtin_types=True)
    return result


def _told(value: object) -> str:
    """Return a field of a fault as text; it may be of any type."""
    return value if isinstance(value, str) else reprlib.repr(value)


def _what_came(answer: Answer, error: Exception) -> str:
    """Return what came in place of XML-RPC; what a parser says of it tells something only if it is XML."""
    kind = shown(answer.headers.get("Content-Type", ""), 80) or "something of no type"
    if "xml" not in kind.lower():
        return kind
    return f"{kind}: {'it holds no answer' if isinstance(error, xmlrpc_client.Error) else error}"


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_serial(value: object) -> TypeGuard[int]:
    return _is_count(value) and parse_serial(value) is not None
