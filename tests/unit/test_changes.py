"""What a static journal says is believed as a whole, or not at all."""

import json
import resource
from typing import Any

import pytest

from bandersnatch.changes import (
    Change,
    ChangesFile,
    ChangesIndex,
    Kind,
    digest_after,
    parse_changes,
    parse_index,
    render_change,
    render_index,
)
from bandersnatch.errors import MalformedResponseError
from bandersnatch.model import MAX_SERIAL

FILES = [
    {"first": 4, "last": 5, "size": 10, "digest": "aaaaaaaa"},
    {"first": 6, "last": 6, "size": 10, "digest": "bbbbbbbb"},
]
INDEX = {
    "version": 1,
    "id": "0123456789abcdef",
    "serial": 9,
    "newest": 9,
    "begin": 3,
    "digest": "01234567",
    "end": 6,
    "files": FILES,
}
LINE = {"number": 4, "time": 1, "name": "Sample", "change": "page", "serial": 9}


def test_index_is_read_as_it_is_written() -> None:
    files = (ChangesFile(4, 5, 10, "aaaaaaaa"), ChangesFile(6, 6, 10, "bbbbbbbb"))
    index = ChangesIndex(1, "0123456789abcdef", 9, 9, 3, "01234567", 6, files)
    assert json.loads(render_index(index)) == INDEX
    assert parse_index(render_index(index), "url") == index
    assert files[0].filename == "4-5.jsonl"


def test_newer_fields_are_ignored() -> None:
    assert parse_index(json.dumps({**INDEX, "new": [1]}).encode(), "url").end == 6


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"id": "../../etc"},
        {"id": ""},
        {"digest": ""},
        {"digest": 1},
        {"serial": -1},
        {"serial": "9"},
        {"end": 7},
        {"begin": 2},
        {"begin": 4},
        {"files": []},
        {"files": FILES[::-1]},
        {"files": [{"first": 4, "last": 3, "size": 10, "digest": "aaaaaaaa"}]},
        {"files": [{"first": 4, "last": 6, "size": 1_000_001, "digest": "aaaaaaaa"}]},
        {"files": [{"first": 4, "last": 6, "size": 0, "digest": "aaaaaaaa"}]},
    ],
)
def test_index_with_gaps_or_lies_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedResponseError):
        parse_index(json.dumps({**INDEX, **change}).encode(), "url")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_index_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        parse_index(body, "url")


def index_of(body: bytes, first: int = 4, last: int = 4) -> ChangesIndex:
    """Return the index of a journal that has these lines, and nothing else."""
    digest = "01234567"
    for line in body.splitlines(keepends=True):
        digest = digest_after(digest, line)
    return ChangesIndex(
        1, "0123456789abcdef", 9, 9, first - 1, "01234567", last, (ChangesFile(first, last, len(body), digest),)
    )


def test_changes_are_read_as_they_are_written() -> None:
    changes = [Change(4, 1, "Sample", Kind.PAGE, 9), Change(5, 1, "other", Kind.REMOVED)]
    body = b"".join(map(render_change, changes))
    assert json.loads(body.splitlines()[0]) == LINE
    index = index_of(body, 4, 5)
    told = parse_changes(body, index.files[0], index, "url")
    assert [change for change, _ in told] == changes
    assert told[-1][1] == index.position.digest != told[0][1]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [LINE, LINE],
        [{**LINE, "number": 5}],
        [{**LINE, "name": "../x"}],
        [{**LINE, "name": ""}],
        [{**LINE, "change": "other"}],
        [{**LINE, "serial": -1}],
        [{**LINE, "serial": 10}],
    ],
)
def test_changes_that_are_not_those_of_the_index_are_refused(lines: list[dict[str, Any]]) -> None:
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    index = index_of(body)
    with pytest.raises(MalformedResponseError):
        parse_changes(body, index.files[0], index, "url")


def test_file_that_claims_more_changes_than_memory_has_room_for_is_refused() -> None:
    # All numbers from 4 to this one would be a list of 16 GB.
    index = index_of(body := render_change(Change(4, 1, "Sample", Kind.PAGE, 9)), last=MAX_SERIAL)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (8 * 1024**3, limits[1]))
    try:
        with pytest.raises(MalformedResponseError, match="its changes are not 4 to "):
            parse_changes(body, index.files[0], index, "url")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_torn_or_other_file_is_refused() -> None:
    body = render_change(Change(4, 1, "Sample", Kind.PAGE, 9))
    index = index_of(body)
    for other, reason in (
        (body[:-5], "no changes"),
        (body.replace(b"9", b"8"), "it has the digest "),
        (body + body, f"it has {2 * len(body)} bytes; the index of changes says {len(body)}"),
    ):
        with pytest.raises(MalformedResponseError, match=reason):
            parse_changes(other, index.files[0], index, "url")
