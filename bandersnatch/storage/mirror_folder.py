"""Checks that the mirror's directory is there, with the mirror in it; it is made only if an operator wants a new
mirror.

If a disk is not mounted, its mount point is empty, or missing. A run that took that for a new mirror would fill the
disk below. So each run leaves a record outside the directory, which says that there was a mirror in it, and which of
its folders were mount points. If the record can't be written, we do without.
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
    """Check that the directory is there, and the mirror in it, if it ever had one.

    Raises:
        MissingDirectoryError: one of them is missing.
        StorageError: we can't tell, or it is not a directory.
    """
    if not _is_directory(directory):
        raise MissingDirectoryError(directory, "there is no such directory")
    # Without a record it is the first run, or earlier ones could not write it.
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
    """Start a new mirror in the directory, and make the directory if needed; an existing mirror is left as it is.

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
        # Not its parents: a missing parent is more often a disk that is not mounted than a new path.
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
    """Record, outside the directory, that there is a mirror in it."""
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
    logger.debug("%s: no record of the mirror can be kept outside it", directory)


def _is_directory(directory: Path) -> bool:
    try:
        with os.scandir(directory):
            return True
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.path.lexists(directory):
            target = f"a link to {os.readlink(directory)}, which is not there" if directory.is_symlink() else "a file"
            raise StorageError(str(directory), "use", f"it is not a directory, but {target}") from error
        return False
    except OSError as error:
        raise StorageError(str(directory), "read the directory", error) from error


def _is_empty(folder: Path) -> bool:
    """Whether a folder is empty or missing, or has only what a new filesystem has."""
    try:
        with os.scandir(folder) as entries:
            return all(entry.name == _OF_A_FILESYSTEM for entry in entries)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR)


def _holds_mirror(directory: Path) -> bool:
    return any(os.path.lexists(directory / name) for name in _TRACES)


def _recorded(directory: Path) -> list[str] | None:
    """Return which folders of the mirror were mount points; None if there is no record of the mirror."""
    for path in _records(directory):
        data = None
        with suppress(StorageError):  # another user's record, which we ignore
            data = StoredTree(path.parent).read_record(StoredPath(path.name), _MOST_BYTES)
        if data is None:
            continue
        text, begin = os.fsdecode(data), f"{_HEADER}\n{directory.absolute()}\n"
        names = text.removeprefix(begin).splitlines()
        if text.startswith(begin) and {*names} <= {*_MOUNTABLE}:
            return names
        logger.warning("%s: this is not a record of a mirror; it is ignored", path)
    return None


def _records(directory: Path) -> Iterator[Path]:
    """Yield the paths where the record may be; none inside the mirror, where it would be lost along with it."""
    name = f"{sha256(os.fsencode(directory.absolute())).hexdigest()[:32]}.mirror"
    for place in _places():
        if not place.is_relative_to(directory.absolute()):
            yield place / name


def _places() -> Iterator[Path]:
    """Yield folders for records: what systemd or the user names; otherwise the system's folder and the user's."""
    if named := os.environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        yield Path(named)
    elif os.path.isabs(named := os.environ.get("XDG_STATE_HOME", "")):
        yield Path(named, "bandersnatch")
    else:
        yield _SYSTEM
        with suppress(RuntimeError):  # a user who is not in passwd has no home
            if (home := Path.home()).is_dir():
                yield home / ".local" / "state" / "bandersnatch"


def _write(path: Path, data: bytes) -> None:
    """Write a small file by an atomic rename."""
    import tempfile  # noqa: PLC0415 - most runs have nothing to write

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
