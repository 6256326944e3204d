"""The tables of the inventory: created, or upgraded from an older version without losing a row."""

import sqlite3
from contextlib import closing

from bandersnatch.state import awaited, change_record, closing_mark, index_record, quarantines, strangers
from bandersnatch.state.inventory_rows import UnsoundError, check_rows

VERSION = 4
PROJECT_COLUMNS = "name, display_name, serial, etag, files, bytes, pages_digest"
"""The fields of ``HeldProject``, in order."""
SELECT = f"SELECT {PROJECT_COLUMNS} FROM project"  # noqa: S608 - ours
INSERT = f"INSERT OR REPLACE INTO project ({PROJECT_COLUMNS}, looked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - ours
VERIFIED = (
    "CREATE TABLE IF NOT EXISTS verified (project TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS verified_at ON verified (at, project)",
)
"""Added by the first verification, also to existing inventories, without a new schema version that would rebuild them."""

_VERSION_2 = (
    "CREATE TABLE project (name TEXT PRIMARY KEY, display_name TEXT NOT NULL, serial INTEGER NOT NULL, etag TEXT,"
    " files INTEGER NOT NULL, bytes INTEGER NOT NULL, pages_digest BLOB) WITHOUT ROWID",
    "CREATE TABLE unsettled (project TEXT NOT NULL, path TEXT NOT NULL, PRIMARY KEY (project, path)) WITHOUT ROWID",
    "CREATE TABLE partial (path TEXT PRIMARY KEY, etag TEXT NOT NULL) WITHOUT ROWID",
)
_SINCE_3 = (
    "ALTER TABLE project ADD COLUMN looked_at REAL NOT NULL DEFAULT 0",
    "CREATE INDEX project_looked_at ON project (looked_at)",
    "CREATE TABLE refreshed (up_to REAL NOT NULL)",
)
"""When upstream was last asked for each project, and up to when projects were refreshed, in seconds since 1970.

The index finds and sorts the oldest of hundreds of thousands of projects in milliseconds.
"""


_SINCE_4 = (closing_mark.SCHEMA, "CREATE TABLE tally (projects INTEGER NOT NULL)")
"""The number of held projects, by which lost rows are noticed."""
_LOOK_AT_ALL = "UPDATE project SET etag = NULL, looked_at = -1"
"""Ask again for everything held, unconditionally; see ``plan/refresh.py``."""
_ADDED = (*strangers.SCHEMA, awaited.SCHEMA)
"""Optional in version 3; if they are missing, nothing is known about what they record."""
_OPTIONAL_TABLES = {"quarantined", "verified", "indexed", "unindexed", *change_record.TABLES}
_TRIGGERED = (frozenset({"indexed", "unindexed"}), frozenset(change_record.TABLES))
_COUNTS = {"tally", "closed"}
_Columns = tuple[tuple[object, ...], ...]


def make_tables(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty database, which becomes a valid inventory once ``user_version`` is set."""
    for statement in (*_VERSION_2, *_SINCE_3, *_ADDED, quarantines.SCHEMA, *_SINCE_4):
        connection.execute(statement)
    connection.execute("INSERT INTO tally VALUES (0)")


def is_finished(connection: sqlite3.Connection) -> bool:
    """Whether the inventory was ever filled; a run may have been killed before."""
    return bool(connection.execute("PRAGMA user_version").fetchone() != (0,))


def check(connection: sqlite3.Connection, changed: int | None) -> bool:
    """Upgrade the inventory to this version and validate it; return whether it is as we closed it.

    All rows are validated only if others have written to it, or a run was killed: for PyPI that takes seconds.
    ``changed`` is the modification time of its file.

    Raises:
        UnsoundError: it is unsound, or of an unknown version.
    """
    _bring_up(connection)
    # Compared with tables that this code makes, so that no second list of columns can go stale.
    with closing(sqlite3.connect(":memory:")) as sample:
        make_tables(sample)
        for statement in VERIFIED:
            sample.execute(statement)
        index_record.forget(sample.cursor())
        change_record.record(sample.cursor(), None)
        expected, found = _schema_of(sample), _schema_of(connection)
    # If the tables of a record exist, so must their triggers, or changes would go unnoticed.
    has_triggers = {tables: any(name in tables for _, _, name in found) for tables in _TRIGGERED}
    for name in sorted(expected.keys() | found.keys()):
        triggered = _TRIGGERED[name[2].startswith(change_record.PREFIX)]
        is_optional = name not in found and (
            not has_triggers[triggered] if name[0] == "trigger" else name[1] in _OPTIONAL_TABLES
        )
        if found.get(name) != expected.get(name) and not is_optional:
            raise UnsoundError(f"the {name[0]} {name[2]} is missing, or not as it was made")
    if (
        connection.execute("SELECT count(*) FROM project").fetchall()
        != connection.execute("SELECT projects FROM tally").fetchall()
    ):
        raise UnsoundError("projects are missing, or were added")
    is_as_closed = closing_mark.is_as_closed(connection, changed)
    if not is_as_closed:
        tables = (name for kind, _, name in found if kind == "table" and name not in _COUNTS)
        check_rows(connection, tables)
        told = connection.execute("PRAGMA quick_check(1)").fetchone()
        if told != ("ok",):
            raise UnsoundError(str(told[0]))
    return is_as_closed


def _bring_up(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == VERSION:
        index_record.mend(connection)
        change_record.mend(connection)
        return
    if version not in (2, 3):
        raise UnsoundError(f"it is of version {version}")
    # Older code left files with foreign names out, and with its ETags upstream would answer 304 for ever.
    look_at_all = () if strangers.are_known(connection) else (_LOOK_AT_ALL,)
    connection.execute("BEGIN")
    try:
        tally = "INSERT INTO tally SELECT count(*) FROM project"
        since_3 = _SINCE_3 if version == 2 else ()
        for statement in (*since_3, *look_at_all, *_ADDED, *_SINCE_4, tally, f"PRAGMA user_version = {VERSION}"):
            connection.execute(statement)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _schema_of(connection: sqlite3.Connection) -> dict[tuple[str, str, str], _Columns]:
    """Return everything in a database by kind, table and name: the columns of tables, and the SQL of all else."""
    query = "SELECT type, tbl_name, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    columns = 'SELECT name, type, "notnull", pk FROM pragma_table_info(?)'
    return {
        (kind, table, name): tuple(connection.execute(columns, (name,))) if kind == "table" else ((sql,),)
        for kind, table, name, sql in connection.execute(query).fetchall()
    }
