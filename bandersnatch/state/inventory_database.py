"""The inventory's database: opened if it is sound, remade if it is not, and marked when it is closed."""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from bandersnatch.errors import StorageError
from bandersnatch.state import closing_mark
from bandersnatch.state.database_connection import connect_in_wal
from bandersnatch.state.database_errors import cause_of, is_damage, remove_database
from bandersnatch.state.inventory_rows import UnsoundError, checked, restore, salvage
from bandersnatch.state.inventory_schema import check, is_finished, make_tables

_T = TypeVar("_T")
_Salvaged = dict[str, list[tuple[Any, ...]]]

logger = logging.getLogger(__name__)


class InventoryDatabase:
    """The database of one inventory. Thread-safe. Times are in seconds since 1970, from ``now``."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._path, self._now = path, now
        self._guard = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._is_sound = self._is_marked = False

    def open(self) -> bool:
        """Open the inventory, or make a new one if it is missing, unfinished or unsound; return whether it was there.

        A new one must be filled with ``put_all`` before it is valid. It inherits what was readable in the old one about
        unfinished work, because the pages do not tell.

        Raises:
            StorageError: it can't be made, or the disk refused.
        """
        try:
            if os.path.lexists(self._path) and self._connect_to_existing():
                self._is_sound = True
                return True
            self._make_anew()
        except (sqlite3.Error, OSError) as error:
            self._close()
            raise StorageError(str(self._path), "make the inventory", cause_of(error, self._path)) from error
        return False

    @property
    def is_as_closed(self) -> bool:
        """Whether nobody else has written to the opened inventory, and no run that wrote to it was killed."""
        return self._is_marked

    def begin_anew(self, reason: str) -> None:
        """Start a new inventory, as ``open`` does, in place of one that turned out to be unsound.

        Raises:
            StorageError: it can't be made, or the disk refused.
        """
        self._tell(reason)
        try:
            self._make_anew()
        except (sqlite3.Error, OSError) as error:
            self._close()
            raise StorageError(str(self._path), "make the inventory", cause_of(error, self._path)) from error

    def close(self) -> None:
        """Close the database; everything is committed, and a late thread gets an error."""
        with self._guard, suppress(sqlite3.Error, OSError):  # without the mark, the next run validates all rows
            if self._connection is not None and self._must_be_marked(self._connection):
                closing_mark.close(self._connection, self._path)
        self._close()

    def _must_be_marked(self, connection: sqlite3.Connection) -> bool:
        return self._is_sound and bool(connection.total_changes or not self._is_marked)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _rows(self, kind: type[_T], query: str, parameters: tuple[object, ...] = ()) -> list[_T]:
        """Return the rows that a query finds, validated as ``kind``."""
        with self._cursor() as cursor:
            return checked(kind, cursor.execute(query, parameters).fetchall())

    def _connect(self) -> sqlite3.Connection:
        # Autocommit: a killed run loses nothing that was recorded. WAL with synchronous = NORMAL writes without an
        # fsync per transaction; the run's own flush of the filesystem makes the rows durable together with the data.
        if self._connection is None:
            self._connection = connect_in_wal(self._path)
        return self._connection

    def _connect_to_existing(self) -> bool:
        """Return whether the existing inventory is usable; log the reason if it is not."""
        return self._is_usable(self._connect, closing_mark.time_of(self._path))

    def _is_usable(self, connect: Callable[[], sqlite3.Connection], changed: int | None) -> bool:
        try:
            connection = connect()
            if not is_finished(connection):
                return False
            self._is_marked = check(connection, changed)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            reason = str(error)
        except UnsoundError as error:
            reason = str(error)
        else:
            return True
        self._tell(reason)
        return False

    def _tell(self, reason: str) -> None:
        logger.warning("%s is damaged (%s): it is rebuilt from the pages", self._path, reason)

    def _make_anew(self) -> None:
        salvaged = self._salvage() if os.path.lexists(self._path) or self._connection is not None else {}
        self._remove()
        make_tables(self._connect())
        restore(self._connect(), salvaged)
        self._is_sound, self._is_marked = True, False

    def _remove(self) -> None:
        remove_database(self._path)

    def _salvage(self) -> _Salvaged:
        salvaged: _Salvaged = {}
        with suppress(sqlite3.Error):
            salvaged = salvage(self._connect())
        with suppress(sqlite3.Error):
            self._close()
        return salvaged

    def _give_up(self, connection: sqlite3.Connection) -> None:
        """Make the next run rebuild the inventory."""
        self._is_sound = False
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            # Marks the database as unfinished, so that the next run rebuilds it.
            connection.execute("PRAGMA user_version = 0")
        except sqlite3.Error:
            with suppress(OSError):  # the error that led here is reported anyway
                self._path.unlink(missing_ok=True)

    @contextmanager
    def _cursor(self) -> Iterator[sqlite3.Cursor]:
        with self._guard:
            if self._connection is None:
                raise StorageError(str(self._path), "use the inventory", "the run has ended")
            cursor = self._connection.cursor()
            try:
                yield cursor
            except (sqlite3.Error, UnsoundError) as error:
                if isinstance(error, sqlite3.Error) and not is_damage(error):
                    raise StorageError(str(self._path), "use the inventory", cause_of(error, self._path)) from error
                self._give_up(self._connection)
                reason = f"{error}; the next run rebuilds it from the pages"
                raise StorageError(str(self._path), "use the inventory", reason) from error
            finally:
                cursor.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                if cursor.connection.in_transaction:  # after some errors SQLite has already rolled back
                    cursor.execute("ROLLBACK")
                raise
