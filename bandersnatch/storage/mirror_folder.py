"""Whether the mirror's directory is there, and the mirror in it; it is made only where an operator says that it is meant.

A disk that is not mounted leaves an empty folder in its place, or none. A run that took that for a new mirror would fill
the disk below it. So a run leaves a record outside of the directory, which says that there was a mirror in it, and which of
its folders were on disks of their own. Where the record can't be written, runs do without.
"""

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from bandersnatch.errors import MissingDirectoryError, StorageError
from bandersnatch.storage.layout import (
    FINGERPRINT,
    INVENTORY,
    LEGACY_STATUS,
    PACKAGES,
    SIMPLE,
    STATE,
    TODO,
    WEB,
    StoredPath,
)
from bandersnatch.storage.tree import StoredTree

logger = logging.getLogger(__name__)

_TRACES = (STATE, TODO, FINGERPRINT, INVENTORY, LEGACY_STATUS, SIMPLE, PACKAGES)
_MOUNTABLE = (WEB, SIMPLE, PACKAGES)
_SYSTEM = Path("/var/lib/bandersnatch")
_HEADER = "mirror 1"
_MOST_BYTES = 100_000
_OF_A_FILESYSTEM = "lost+found"


def require_directory(directory: Path) -> None:
    """Check that the directory is there, and also the mirror, where there was one in it.

    Raises:
        MissingDirectoryError: one of them is not.
        StorageError: nobody can say, or it is no directory.
    """
    if not _is_directory(directory):
        raise MissingDirectoryError(directory, "there is no such directory")
    record = _recorded(directory)
    if record is None:
        return
    if not _holds_mirror(directory):
        raise MissingDirectoryError(directory, "the mirror that was here in the last run is gone")
    for name in record:
        if _is_empty(directory / name):
            raise MissingDirectoryError(
                directory / name, "this was a disk of its own in the last run, and is empty now"
            )


def begin_directory(directory: Path) -> None:
    """Let a new mirror begin in the directory, and make it where it is missing; a mirror that is there stays as it is.

    Raises:
        StorageError: it can't be made, or the record of an earlier mirror can't be deleted.
    """
    try:
        require_directory(directory)
    except MissingDirectoryError:
        pass
    else:
        return
    try:
        directory.mkdir()
    except FileNotFoundError as error:
        reason = f"{directory.parent} does not exist, and only the last folder is made; make it, or mount its disk"
        raise StorageError(str(directory), "make the directory", reason) from error
    except FileExistsError:
        pass
    except OSError as error:
        raise StorageError(str(directory), "make the directory", error) from error
    for path in _records(directory):
        try:
            path.unlink(missing_ok=True)
        except NotADirectoryError:
            pass
        except OSError as error:
            raise StorageError(str(path), "delete", error) from error


def record_mirror(directory: Path) -> None:
    """Record, outside of the directory, that there is a mirror in it."""
    if not _holds_mirror(directory):
        return
    mounted = [name for name in _MOUNTABLE if os.path.ismount(directory / name) and not _is_empty(directory / name)]
    if _recorded(directory) == mounted:
        return
    text = "".join(f"{line}\n" for line in (_HEADER, directory.absolute(), *mounted))
    for path in _records(directory):
        with suppress(OSError):
            _write(path, os.fsencode(text))
            return
    logger.debug("%s: no record can be kept of the mirror outside of it", directory)


def _is_directory(directory: Path) -> bool:
    try:
        with os.scandir(directory):
            return True
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.path.lexists(directory):
            target = f"a link to {os.readlink(directory)}, which is not there" if directory.is_symlink() else "a file"
            raise StorageError(str(directory), "use", f"it is no directory, but {target}") from error
        return False
    except OSError as error:
        raise StorageError(str(directory), "read the directory", error) from error


def _is_empty(folder: Path) -> bool:
    """Whether a folder has nothing, or nothing but what a new filesystem has; one that is missing counts as empty."""
    try:
        with os.scandir(folder) as entries:
            return all(entry.name == _OF_A_FILESYSTEM for entry in entries)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR)


def _holds_mirror(directory: Path) -> bool:
    return any(os.path.lexists(directory / name) for name in _TRACES)


def _recorded(directory: Path) -> list[str] | None:
    """Return which folders of the mirror were on disks of their own; None where there is no record of a mirror."""
    for path in _records(directory):
        data = None
        with suppress(StorageError):  # another user's; then it says nothing to us
            data = StoredTree(path.parent).read_record(StoredPath(path.name), _MOST_BYTES)
        if data is None:
            continue
        text, begin = os.fsdecode(data), f"{_HEADER}\n{directory.absolute()}\n"
        names = text.removeprefix(begin).splitlines()
        if text.startswith(begin) and {*names} <= {*_MOUNTABLE}:
            return names
        logger.warning("%s: this is no record of a mirror; it is not used", path)
    return None


def _records(directory: Path) -> Iterator[Path]:
    """Yield where the record of a mirror may be; what lies in the mirror itself would be gone with it."""
    name = f"{sha256(os.fsencode(directory.absolute())).hexdigest()[:32]}.mirror"
    for place in _places():
        if not place.is_relative_to(directory.absolute()):
            yield place / name


def _places() -> Iterator[Path]:
    """Yield where records of this program may be: what systemd or the user names; else the system's place and the user's."""
    if named := os.environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        yield Path(named)
    elif os.path.isabs(named := os.environ.get("XDG_STATE_HOME", "")):
        yield Path(named, "bandersnatch")
    else:
        yield _SYSTEM
        with suppress(RuntimeError):  # a user without an entry has no home
            if (home := Path.home()).is_dir():
                yield home / ".local" / "state" / "bandersnatch"


def _write(path: Path, data: bytes) -> None:
    """Write a small file, whole or not at all."""
    import tempfile  # noqa: PLC0415 - most runs have nothing to write, and shall import little

    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            os.fchmod(descriptor, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
