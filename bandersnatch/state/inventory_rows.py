"""What a row of the inventory may hold. Others may have written to it, and disks rot, so each row is validated when
read.

A row that we can't have written shows that the inventory is unsound; it is then rebuilt.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from bandersnatch.model import MAX_SERIAL
from bandersnatch.names import NormalizedName, parse_project_name
from bandersnatch.storage.layout import StoredPath, is_noted_path

_ROWS_AT_A_TIME = 10_000
_LATEST_SECONDS = 1e11
_T = TypeVar("_T")

Text = Annotated[str, Meta(min_length=1, max_length=300)]
Serial = Annotated[int, Meta(ge=0, le=MAX_SERIAL)]
Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=-1, le=_LATEST_SECONDS)]
"""Since 1970; -1 sorts before everything else (``plan/refresh.py``)."""


class NamedRow(NamedTuple):
    """A row of the table of projects, with the columns that the root index needs."""

    name: Text
    display_name: Text
    serial: Serial


class ProjectRow(NamedTuple):
    """A row of the table of projects, with the columns of ``HeldProject``."""

    name: Text
    display_name: Text
    serial: Serial
    etag: str | None
    files: Count
    size_bytes: Count
    pages_digest: bytes | None


class HeldProject(Struct, frozen=True):
    """A project whose pages are in place. ``etag`` is upstream's, or None if the next request must be unconditional;
    ``pages_digest`` is the digest of everything published for the project, or None if unknown. ``strangers`` are its
    files whose names do not begin with its own; None leaves them as recorded, as it does for ``is_quarantined``.
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
    "unjournaled": ("project", tuple[Text]),
    "journal": ("id, number, digest", tuple[Text, Count, Text]),
    "verified": ("project, at", tuple[Text, Seconds]),
}
"""The columns of each table, and their types."""
SALVAGED = ("unsettled", "partial", "awaited")
"""Tables that can't be rebuilt from the pages: the work that earlier runs left unfinished."""


class UnsoundError(Exception):
    """A row, or the whole inventory, is not one that we can have written."""


def checked(kind: type[_T], rows: Iterable[tuple[Any, ...]]) -> list[_T]:
    """Return rows of the database, validated as ``kind``.

    Raises:
        UnsoundError: one of them is invalid.
    """
    try:
        return msgspec.convert(rows, list[kind])  # type: ignore[valid-type]  # the type is made at run time
    except msgspec.ValidationError as error:
        raise UnsoundError(f"a row is invalid: {error}") from error


def shown_name(project: str, display_name: str) -> str:
    """Return the display name, or the project's name if they do not match: it is used in a path."""
    is_its_own = display_name.lower() == project or parse_project_name(display_name) == project
    return display_name if is_its_own else project


def check_rows(connection: sqlite3.Connection, tables: Iterable[str]) -> None:
    """Validate every row of these tables.

    Raises:
        UnsoundError: one of them is invalid.
    """
    for table in tables:
        for row in _rows_of(connection, table, _TABLES[table][1]):
            if (
                "path" not in _TABLES[table][0]
                and table not in ("refreshed", "journal")
                and parse_project_name(row[0]) != row[0]
            ):
                raise UnsoundError(f"{row[0]!r} is not a project's name")


def salvage(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Return the valid rows of the tables that can't be rebuilt from the pages, as far as they can be read."""
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
    """Insert salvaged rows into new tables."""
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
    """Return the project's name in a row.

    Raises:
        UnsoundError: it is not a valid name.
    """
    if parse_project_name(name) != name:
        raise UnsoundError(f"{name!r} is not a project's name")
    return NormalizedName(name)


def held_project(row: ProjectRow) -> HeldProject:
    """Return the held project in a row.

    Raises:
        UnsoundError: its name is not valid.
    """
    return HeldProject(name_of(row.name), shown_name(row.name, row.display_name), *row[2:])
