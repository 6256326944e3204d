"""Cleans up after a worker that has ended unexpectedly, so that others can do its work.

``pool`` notices the end, ``link`` gives up a worker that is stopped or silent, and ``dispatch`` tries its projects again.
"""

from bandersnatch.state.inventory import Inventory
from bandersnatch.state.reservations import recover_reservations, reserved_paths
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import ALL_PAGES, PACKAGES, SIMPLE, is_metadata, page_path


def recover_lost_worker(storage: FilesystemStorage, inventory: Inventory, token: str) -> None:
    """Note what a lost worker may have left, delete its half-written files, and report its changes.

    The worker must not run any more. It may have changed any path that it had reserved.
    """
    records = [name for name in storage.unfinished.records() if name.startswith(f"{token}-")]
    touched = reserved_paths(storage, records)
    recover_reservations(storage, inventory, records)
    folders = [path for path in touched if path.startswith(f"{SIMPLE}/")]
    files = [path for path in touched if not path.startswith(f"{SIMPLE}/")]
    resumed = [path for path in files if path.startswith(f"{PACKAGES}/") and not is_metadata(path)]
    pages = [page_path(folder, name) for folder in folders for name in ALL_PAGES]
    storage.give_up(token, [*files, *pages], resumed)
    # The worker can no longer say which files it has published, so each one that is there counts as changed.
    there = [page for folder in folders for page in storage.files_below(folder, lambda _: True)]
    storage.tell(path for path in (*files, *there) if storage.stat(path) is not None)
