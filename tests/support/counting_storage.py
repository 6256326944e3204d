"""A storage that counts how often each small file is read."""

from collections import Counter
from pathlib import Path

from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath


class CountingStorage(FilesystemStorage):
    """The real one, with ``reads`` by path."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: Counter[StoredPath] = Counter()

    def read(self, path: StoredPath) -> bytes | None:
        self.reads[path] += 1
        return super().read(path)
