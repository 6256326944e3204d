"""Conditional requests and ranges (RFC 9110, sections 13 and 14): what a client's headers ask for, as pure functions."""

import re
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime

from msgspec import Struct

from bandersnatch.http.entity_tags import are_equivalent

_LATEST_SECONDS = 253_402_300_799  # the last second of the year 9999
_RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)", re.ASCII | re.IGNORECASE)
_TAGS = re.compile(r'(?:W/)?"[^"]*"')
_MOST_DIGITS = 25


class Validators(Struct, frozen=True):
    """What tells one state of a document from another: its entity tag, and when it was written, in seconds."""

    etag: str
    modified: int

    @property
    def last_modified(self) -> str:
        """The value of the header ``Last-Modified``."""
        return formatdate(self.modified, usegmt=True)


class Span(Struct, frozen=True):
    """A part of a document, from the byte ``begin`` to the one before ``end``."""

    begin: int
    end: int


class UnsatisfiableRangeError(Exception):
    """The document has no byte of the range that was asked for."""


def validators(inode: int, size_bytes: int, modified_ns: int) -> Validators:
    """Return the validators of a file that is only ever replaced as a whole, by a rename."""
    seconds = min(max(modified_ns // 1_000_000_000, 0), _LATEST_SECONDS)
    # The inode tells the two HTML forms of a page apart, which have the same bytes and different types.
    return Validators(f'"{inode:x}-{modified_ns & (2**64 - 1):x}-{size_bytes:x}"', seconds)


def status_of_conditions(asked: Mapping[str, str], current: Validators) -> int:
    """Return 200 if the document is to be sent, 304 if the client has it, or 412 if a condition is not met.

    ``asked`` has the headers of a GET or HEAD request by their names in lower case.
    """
    if (wanted := asked.get("if-match")) is not None:
        if not _names(wanted, current.etag, is_strong=True):
            return 412
    elif (moment := _seconds(asked.get("if-unmodified-since"))) is not None and current.modified > moment:
        return 412
    if (known := asked.get("if-none-match")) is not None:
        return 304 if _names(known, current.etag, is_strong=False) else 200
    moment = _seconds(asked.get("if-modified-since"))
    return 304 if moment is not None and current.modified <= moment else 200


def requested_span(asked: Mapping[str, str], current: Validators, size_bytes: int, now: float) -> Span | None:
    """Return the part of a document that is asked for; None if it is the whole.

    Several ranges at once, other units than bytes, and headers that are wrong get the whole document.

    Raises:
        UnsatisfiableRangeError: the document is too short.
    """
    found = _RANGE.fullmatch(asked.get("range", "").strip())
    if found is None or not _is_current(asked.get("if-range"), current, now):
        return None
    first, last = found[1], found[2]
    if not first and not last:
        return None
    if not first:
        length = min(_number(last), size_bytes)
        span = Span(size_bytes - length, size_bytes)
    else:
        if last and _number(last) < _number(first):
            return None
        span = Span(_number(first), min(_number(last) + 1, size_bytes) if last else size_bytes)
    if span.begin >= span.end:
        raise UnsatisfiableRangeError
    return span


def _is_current(if_range: str | None, current: Validators, now: float) -> bool:
    """Whether the document is still the one that the client has a part of."""
    if if_range is None:
        return True
    if '"' in if_range:
        return if_range.strip() == current.etag
    # A date alone can't tell two states within one second (RFC 9110, section 8.8.2.2).
    return _seconds(if_range) == current.modified and current.modified + 1 < now


def _names(header: str, etag: str, *, is_strong: bool) -> bool:
    """Whether a list of entity tags names this one."""
    if header.strip() == "*":
        return True
    tags = _TAGS.findall(header)
    return etag in tags if is_strong else any(are_equivalent(tag, etag) for tag in tags)


def _seconds(date: str | None) -> int | None:
    """Return a date of a header in seconds since 1970, or None if it is no date."""
    try:
        return None if date is None else int(parsedate_to_datetime(date).timestamp())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _number(digits: str) -> int:
    """Return a number; one of very many digits, which Python refuses to read, as one that is larger than any file."""
    return int(digits.lstrip("0")[:_MOST_DIGITS] or "0")
