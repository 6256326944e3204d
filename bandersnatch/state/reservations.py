"""Reservations: before a worker touches any path, it writes the path to a record of its own.

There is a record for each job, in the folder of half-written files. The main process, which alone writes the inventory,
deletes it when the job's result is recorded there. After a worker was lost, and at the start of the next command, the
records that are left are *recovered*: their paths are noted in the inventory, as what an unfinished run may have left.

A line is in the kernel before ``reserve`` returns, so it survives any end of the process. It is not flushed to the disk: a
power cut may destroy a record, like the notes in the inventory, which are not flushed either. On a filesystem that keeps
the order of changes to names (all usual ones do, within one filesystem), no file appears then without its record.
"""

import logging
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import BinaryIO

import msgspec
from msgspec import Struct

from bandersnatch.errors import StorageError
from bandersnatch.http.entity_tags import entity_tag
from bandersnatch.names import NormalizedName, parse_project_name
from bandersnatch.state.inventory import Inventory
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath, is_noted_path
from bandersnatch.storage.unfinished_folder import UnfinishedFolder

logger = logging.getLogger(__name__)

_PATHS_PER_LINE = 1000
_MOST_LINE_BYTES = 8 * 1024 * 1024
"""More than the longest possible line: so many paths of the greatest length, with all characters escaped."""
_NAME = re.compile(r"[0-9A-Za-z_-]{1,100}")


class _Line(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    project: str
    paths: Sequence[str]
    etag: str | None = None


class Reservation:
    """The record of one job, as its worker writes it; the first line creates the file. For one thread."""

    def __init__(self, storage: FilesystemStorage, name: str) -> None:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no name of a record")
        self._folder, self.name = storage.unfinished, name
        self._descriptor: int | None = None
        self._size = 0

    def reserve(self, project: NormalizedName, paths: Iterable[StoredPath]) -> None:
        """Write down which files of a project will be written or deleted.

        Raises:
            StorageError: the disk refused; then they must not be touched.
        """
        left = iter(paths)
        while some := list(islice(left, _PATHS_PER_LINE)):
            self._append(_Line(project, some))

    def note_partial(self, project: NormalizedName, path: StoredPath, etag: str) -> None:
        """Write down the ETag of the document of which a half-written file will be a part.

        Raises:
            StorageError: the disk refused.
        """
        self._append(_Line(project, [path], etag))

    def close(self) -> None:
        """Close the file; it is not deleted.

        Raises:
            StorageError: the disk refused what was written.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            try:
                os.close(descriptor)
            except OSError as error:
                raise StorageError(self._folder.path_of(self.name), "write", error) from error

    def _append(self, line: _Line) -> None:
        data = msgspec.json.encode(line) + b"\n"
        path = self._folder.path_of(self.name)
        try:
            if self._descriptor is None:
                self._descriptor = self._folder.new_record(self.name)
            written = os.write(self._descriptor, data)
            if written < len(data):
                os.ftruncate(self._descriptor, self._size)  # the next line would follow half of this one
                raise StorageError(path, "write", f"the disk took {written} of {len(data)} bytes")
        except OSError as error:
            raise StorageError(path, "write", error) from error
        self._size += written


def forget(storage: FilesystemStorage, names: Iterable[str]) -> None:
    """Delete the records of jobs whose results are recorded in the inventory.

    One that can't be deleted is recovered by the next command, which does no harm.
    """
    for name in names:
        storage.unfinished.delete_record(name)


def reserved_paths(storage: FilesystemStorage, names: Iterable[str]) -> set[StoredPath]:
    """Return the paths in these records, as far as they can be read."""
    found: set[StoredPath] = set()
    for name in names:
        with suppress(OSError), open(storage.unfinished.open_record(name), "rb") as stream:
            found.update(path for _, path in _Reading().unsettled(stream))
    return found


class ReservedPaths:
    """The paths in all records; reads each line of them only once. Used by one thread."""

    def __init__(self, storage: FilesystemStorage) -> None:
        self._folder = storage.unfinished
        self._read: dict[str, _Reading] = {}

    def among(self, paths: Collection[StoredPath], own: Collection[str]) -> set[StoredPath]:
        """Return those of the paths that are in any record at this time, except the ``own`` ones."""
        names = self._folder.records()
        self._read = {name: self._read.get(name) or _Reading() for name in names}
        found: set[StoredPath] = set()
        for name in set(names).difference(own):
            reading = self._read[name]
            if self._folder.record_size(name) > reading.size:
                with suppress(OSError), open(self._folder.open_record(name), "rb") as stream:
                    stream.seek(reading.size)
                    reading.paths.update(path for _, path in reading.unsettled(stream))
            found.update(reading.paths.intersection(paths))
        return found


def recover_reservations(
    storage: FilesystemStorage, inventory: Inventory, names: Collection[str] | None = None
) -> bool:
    """Note in the inventory what is written in these records, or in all, and delete them.

    Returns whether all of it was valid. If not, there may be half-done work of which nothing is known.

    Raises:
        StorageError: the disk refused.
    """
    folder = storage.unfinished
    there = [name for name in folder.records() if names is None or name in names]
    if not there:
        return True
    # Not `all`: it would stop at the first record that is not valid, and the others would not be noted.
    is_whole = min([_note(folder, name, inventory) for name in there])
    storage.flush()  # the notes must be durable before the records are deleted
    forget(storage, there)
    return is_whole


def _note(folder: UnfinishedFolder, name: str, inventory: Inventory) -> bool:
    """Note what is written in one record; return whether all of it was valid."""
    reading = _Reading()
    try:
        with open(folder.open_record(name), "rb") as stream:
            inventory.note_unsettled(reading.unsettled(stream))
    except OSError as error:
        logger.warning("%s: what a worker was about to touch can't be read: %s", folder.path_of(name), error)
        return False
    for path, etag in reading.partial.items():
        inventory.note_partial(path, etag)
    if reading.refused:
        logger.warning("%s: %d lines are none of ours; they are not used", folder.path_of(name), reading.refused)
    return reading.refused == 0


class _Reading:
    """Reads and checks the lines of one record."""

    def __init__(self) -> None:
        self.partial: dict[StoredPath, str] = {}
        self.refused = self.size = 0
        self.paths: set[StoredPath] = set()
        """Used by ``ReservedPaths`` only."""

    def unsettled(self, stream: BinaryIO) -> Iterator[tuple[NormalizedName, StoredPath]]:
        """Yield the paths that were reserved."""
        while data := stream.readline(_MOST_LINE_BYTES):
            if not data.endswith(b"\n") and len(data) < _MOST_LINE_BYTES:
                return  # an incomplete line: the worker ended before it touched any of these paths
            self.size += len(data)
            line = _parsed(data)
            if line is None:
                self.refused += 1
                if len(data) == _MOST_LINE_BYTES:
                    return  # what follows is the rest of this line
                continue
            project = NormalizedName(line.project)
            paths = [StoredPath(path) for path in line.paths if is_noted_path(path)]
            if (etag := entity_tag(line.etag)) is not None:
                self.partial.update(dict.fromkeys(paths, etag))
            yield from ((project, path) for path in paths)


def _parsed(data: bytes) -> _Line | None:
    """Return a line if it is valid."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        line = msgspec.json.decode(data, type=_Line)
        return line if parse_project_name(line.project) == line.project else None
    return None
