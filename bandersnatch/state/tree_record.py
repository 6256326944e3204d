"""The record ``shared-tree``: the serial of a root index that has projects of several indexes, and whose each project was.

Followers compare that serial alone, so it never falls: not when an index is taken out, either. So the record stays, once
it is there. It lies in the mirror's directory; a mirror that has always had one index has none.
"""

import msgspec
from msgspec import Struct

from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import SHARED_TREE

_MAX_BYTES = 1024 * 1024


class TreeRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """The ``serial`` of the root index, and the ``claims`` (index, pattern) by which the inventories are divided."""

    serial: int = 0
    claims: tuple[tuple[str, str], ...] = ()
    is_divided: bool = True
    """False while projects are being moved: a killed command leaves it so, and the next one goes on."""

    def next_serial(self, total: int, *, has_changed: bool) -> int:
        """Return the serial of the next root index; ``total`` is the sum of the serials that all indexes have reached.

        So it is no lower than that of any project, and each change has a higher one.
        """
        return total if total > self.serial else self.serial + has_changed


_decoder = msgspec.json.Decoder(TreeRecord)


def load_tree(storage: FilesystemStorage) -> TreeRecord | None:
    """Return the record; None if there is none that can be read."""
    try:
        return _decoder.decode(storage.read_record(SHARED_TREE, _MAX_BYTES) or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def save_tree(storage: FilesystemStorage, record: TreeRecord) -> None:
    """Write the record, unless it is there already."""
    if load_tree(storage) != record:
        storage.save(SHARED_TREE, [msgspec.json.encode(record) + b"\n"])
