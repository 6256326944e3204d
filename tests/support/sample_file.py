"""The one file that the tests of the storage write, and what becomes of it."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bandersnatch.model import Checksum
from bandersnatch.storage.file_writer import FileWriter, Partial
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath
from bandersnatch.storage.unfinished_folder import UNFINISHED_FOLDER

PATH = StoredPath("web/packages/aa/bb/sample-1.0.tar.gz")
CONTENT = b"content"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KEPT = Partial(0, (ConnectionResetError,))


def files(storage: FilesystemStorage) -> dict[str, bytes]:
    """Return all files below the root, hidden ones too, by path."""
    found = (path for path in storage.root.rglob("*") if path.is_file())
    return {str(path.relative_to(storage.root)): path.read_bytes() for path in found}


def folders(storage: FilesystemStorage) -> set[str]:
    found = {str(path.relative_to(storage.root)) for path in storage.root.rglob("*") if path.is_dir()}
    return found - {UNFINISHED_FOLDER}


def half_written(directory: Path) -> list[Path]:
    """Return what is half-written in a mirror's directory."""
    return list(directory.rglob("*.part"))


def write_and(
    storage: FilesystemStorage, data: bytes, then: Callable[[FileWriter], object], partial: Partial | None = None
) -> None:
    """Write data, and do something more before the block ends."""
    with storage.write(PATH, partial=partial) as writer:
        writer.write(data)
        then(writer)


def failing(error: BaseException) -> Callable[[FileWriter], object]:
    def fail(_: FileWriter) -> None:
        raise error

    return fail


def expecting(size: int, sha256: str) -> Callable[[FileWriter], object]:
    return lambda writer: writer.expect("https://x", size, Checksum("sha256", sha256))


def break_off(storage: FilesystemStorage, path: StoredPath = PATH) -> None:
    with suppress(ConnectionResetError), storage.write(path, partial=KEPT) as writer:
        writer.write(b"cont")
        raise ConnectionResetError
