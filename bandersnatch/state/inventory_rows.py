"""What a row of the inventory may hold. Others may have written there, and disks rot: each row is checked as it is read.

A row that can be none of ours shows that the inventory is not sound; it is then made anew.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct
from packaging.utils import NormalizedName

from bandersnatch.model import MAX_SERIAL, parse_project_name
from bandersnatch.storage.layout import StoredPath, is_noted_path

_ROWS_AT_A_TIME = 10_000
_LATEST_SECONDS = 1e11
_T = TypeVar("_T")

Text = Annotated[str, Meta(min_length=1, max_length=300)]
Serial = Annotated[int, Meta(ge=0, le=MAX_SERIAL)]
Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=-1, le=_LATEST_SECONDS)]
"""Since 1970; -1 is before all else (``plan/refresh.py``)."""


class NamedRow(NamedTuple):
    """Of the table of projects, as much as the root index needs."""

    name: Text
    display_name: Text
    serial: Serial


class ProjectRow(NamedTuple):
    """Of the table of projects, what ``HeldProject`` has."""

    name: Text
    display_name: Text
    serial: Serial
    etag: str | None
    files: Count
    size_bytes: Count
    pages_digest: bytes | None


class HeldProject(Struct, frozen=True):
    """A project whose pages are in place. ``etag`` is upstream's, and None where the next request must not be
    conditional; ``pages_digest`` is what all that was published of the project shall hash to, and None where nobody knows.
    ``strangers`` are its files whose names do not begin with its own, or None, which leaves those as they are noted, as it
    does with ``is_quarantined``.
    """

    name: NormalizedName
    display_name: str
    serial: int
    etag: str | None
    files: int
    size_bytes: int
    pages_digest: bytes | None = None
    strangers: tuple[StoredPath, ...] | None = None
    is_quarantined: bool | None = None


_TABLES: dict[str, tuple[str, Any]] = {
    "project": (
        "name, display_name, serial, etag, files, bytes, pages_digest, looked_at",
        tuple[Text, Text, Serial, str | None, Count, Count, bytes | None, Seconds],
    ),
    "unsettled": ("project, path", tuple[Text, str]),
    "partial": ("path, etag", tuple[str, str]),
    "stranger": ("project, path", tuple[Text, str]),
    "awaited": ("project, serial, is_incomplete, since, asked", tuple[Text, Serial, bool | int, Seconds, Seconds]),
    "refreshed": ("up_to", tuple[Seconds]),
    "indexed": ("path, stamp, lines", tuple[str, str, Count]),
    "unindexed": ("project", tuple[Text]),
    "quarantined": ("project", tuple[Text]),
    "verified": ("project, at", tuple[Text, Seconds]),
}
"""Columns, and what is in them."""
SALVAGED = ("unsettled", "partial", "awaited")
"""What no page tells: the work that earlier runs have left undone."""


class UnsoundError(Exception):
    """A row, or the whole inventory, can be none of ours."""


def checked(kind: type[_T], rows: Iterable[tuple[Any, ...]]) -> list[_T]:
    """Return rows of the database as what they must be.

    Raises:
        UnsoundError: one of them is something else.
    """
    try:
        return msgspec.convert(rows, list[kind])  # type: ignore[valid-type]  # made at run time
    except msgspec.ValidationError as error:
        raise UnsoundError(f"a row is none of ours: {error}") from error


def shown_name(project: str, display_name: str) -> str:
    """Return the display name, or the project's own where that is another's: it becomes a path."""
    is_its_own = display_name.lower() == project or parse_project_name(display_name) == project
    return display_name if is_its_own else project


def check_rows(connection: sqlite3.Connection, tables: Iterable[str]) -> None:
    """Check every row of these tables.

    Raises:
        UnsoundError: one can be none of ours.
    """
    for table in tables:
        for row in _rows_of(connection, table, _TABLES[table][1]):
            if "path" not in _TABLES[table][0] and table != "refreshed" and parse_project_name(row[0]) != row[0]:
                raise UnsoundError(f"{row[0]!r} is no project's name")


def salvage(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Return what can still be read of the tables that no page can replace, without rows that can be none of ours."""
    found: dict[str, list[tuple[Any, ...]]] = {table: [] for table in SALVAGED}
    for table, rows in found.items():
        columns, kind = _TABLES[table]
        try:
            for row in connection.execute(f"SELECT {columns} FROM {table}"):  # noqa: S608 - ours
                if _is_ours(table, row, kind):
                    rows.append(row)
        except sqlite3.Error:
            continue
    return found


def restore(connection: sqlite3.Connection, salvaged: dict[str, list[tuple[Any, ...]]]) -> None:
    """Put into new tables what was salvaged."""
    for table, rows in salvaged.items():
        places = ", ".join("?" * len(_TABLES[table][0].split(",")))
        connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({places})", rows)  # noqa: S608 - ours


def _is_ours(table: str, row: tuple[Any, ...], kind: Any) -> bool:
    try:
        msgspec.convert(row, kind)
    except msgspec.ValidationError:
        return False
    if table == "partial":
        return is_noted_path(row[0])
    return parse_project_name(row[0]) == row[0] and (table != "unsettled" or is_noted_path(row[1]))


def _rows_of(connection: sqlite3.Connection, table: str, kind: Any) -> Iterator[tuple[Any, ...]]:
    cursor = connection.execute(f"SELECT {_TABLES[table][0]} FROM {table}")  # noqa: S608 - ours
    while rows := cursor.fetchmany(_ROWS_AT_A_TIME):
        yield from checked(kind, rows)


def name_of(name: str) -> NormalizedName:
    """Return the name of a project as it stands in a row.

    Raises:
        UnsoundError: there is no project of that name.
    """
    if parse_project_name(name) != name:
        raise UnsoundError(f"{name!r} is no project's name")
    return NormalizedName(name)


def held_project(row: ProjectRow) -> HeldProject:
    """Return what is held, as a row tells it.

    Raises:
        UnsoundError: there is no project of that name.
    """
    return HeldProject(name_of(row.name), shown_name(row.name, row.display_name), *row[2:])
