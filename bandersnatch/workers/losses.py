"""What a worker leaves that has ended before its time: noted, swept and told, so that others can do its work."""

from bandersnatch.state.inventory import Inventory
from bandersnatch.state.reservations import reserved_paths, take_up
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import ALL_PAGES, PACKAGES, SIMPLE, is_metadata, page_path


def take_up_lost(storage: FilesystemStorage, inventory: Inventory, token: str) -> None:
    """See to what a worker has left; it must not run any more. It may have changed any path that it had reserved."""
    records = [name for name in storage.unfinished.records() if name.startswith(f"{token}-")]
    touched = reserved_paths(storage, records)
    take_up(storage, inventory, records)
    folders = [path for path in touched if path.startswith(f"{SIMPLE}/")]
    files = [path for path in touched if not path.startswith(f"{SIMPLE}/")]
    resumed = [path for path in files if path.startswith(f"{PACKAGES}/") and not is_metadata(path)]
    pages = [page_path(folder, name) for folder in folders for name in ALL_PAGES]
    storage.give_up(token, [*files, *pages], resumed)
    there = [page for folder in folders for page in storage.files_below(folder, lambda _: True)]
    storage.tell(path for path in (*files, *there) if storage.stat(path) is not None)
