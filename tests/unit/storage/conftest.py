"""What tests of the storage share."""

import pytest

from bandersnatch.storage.filesystem import FilesystemStorage


@pytest.fixture
def split(storage: FilesystemStorage) -> FilesystemStorage:
    """A mirror whose ``web/packages`` gives new files a group of its own, so that a rename from elsewhere would lose it."""
    packages = storage.root / "web/packages"
    packages.mkdir(parents=True)
    packages.chmod(0o2755)
    return storage
