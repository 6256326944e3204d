"""The folder of an index that is served at a prefix, whose ``web`` leads to ``web/<prefix>``, or with all others in ``web``.

``upstreams/<name>/`` in the mirror's directory has the records of that index: state, todo list, inventory. What is served is
in plain folders below the mirror's own ``web/``, so that web servers, and programs that copy the tree, meet no link.
"""

import logging
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from bandersnatch.errors import StorageError
from bandersnatch.storage.folders import make_folder
from bandersnatch.storage.layout import WEB

logger = logging.getLogger(__name__)


def require_place(mirror: Path, folder: Path, prefix: str) -> None:
    """Check that an index with a prefix did not share the mirror's tree before, nor one that shares it have a prefix.

    Its records and what is served would not belong together: a command about either index might remove what is the other's.

    Raises:
        StorageError: it is so, or the disk refused.
    """
    tree = _tree_of(folder.parent)
    wanted = Path(os.path.normpath(mirror / WEB / prefix))
    try:
        before = _served_by(folder)
    except OSError as error:
        raise StorageError(str(folder), "read", error) from error
    if before is not None and before != wanted and tree in (before, wanted):
        raise StorageError(
            str(folder), "use", f"it was served at {before}, and shall be at {wanted}: give its section another name"
        )


def prepare_upstream_folder(mirror: Path, folder: Path, prefix: str) -> None:
    """Make the folders of an index; if it was served at another prefix before, move what is served.

    Raises:
        StorageError: the disk refused, or something else is in their place.
    """
    served, link = mirror / WEB / prefix, folder / WEB
    target = os.path.relpath(served, folder)
    try:
        make_folder(str(folder))
        before = os.readlink(link) if link.is_symlink() else None
        if before is None and os.path.lexists(link):
            raise StorageError(
                str(link), "use", f"it should be a link to {target}, which nothing but this program makes"
            )
        if before is not None and before != target and (folder / before).is_dir():
            _move(folder / before, served)
        elif before is not None and not served.is_dir():
            # An inventory that lists what is gone would make a run write pages of it into the place of a missing disk.
            reason = f"what was mirrored there is gone; mount its disk, or, to mirror it anew, delete {folder}"
            raise StorageError(os.path.normpath(folder / before), "use", reason)
        make_folder(str(served))
        if before != target:
            new = link.with_name(f"{WEB}.new")
            with suppress(FileNotFoundError):
                new.unlink()
            new.symlink_to(target)
            new.replace(link)
    except OSError as error:
        raise StorageError(str(folder), "make the folders of an index in", error) from error


def rename_upstream_folder(old: Path, new: Path) -> None:
    """Let an index whose section has another name now go on with its records; without them, everything would be checked.

    Raises:
        StorageError: the disk refused.
    """
    if os.path.lexists(new):
        return
    try:
        old.rename(new)
    except OSError as error:
        raise StorageError(str(old), "rename", error) from error
    logger.warning("%s is now %s, as the configuration says", old, new)


def _move(old: Path, new: Path) -> None:
    """Move what is served, by one rename.

    Raises:
        StorageError: something is in the new place.
    """
    make_folder(str(new.parent))
    with suppress(OSError):
        new.rmdir()
    if os.path.lexists(new):
        raise StorageError(str(new), "move", f"{os.path.normpath(old)} should be moved there, and it is not empty")
    old.rename(new)
    logger.warning("%s is now %s, as the configuration says", os.path.normpath(old), new)


def abandoned(upstreams: Path, names: Collection[str]) -> list[tuple[Path, Path]]:
    """Return the folders of indexes at a prefix that are in no section any more, and what is served of each."""
    led = [(folder, _served_by(folder)) for folder in _without_section(upstreams, names)]
    return [(folder, served) for folder, served in led if served is not None and served != _tree_of(upstreams)]


def taken_out(upstreams: Path, names: Collection[str]) -> list[Path]:
    """Return the folders of indexes that shared the mirror's tree, and are in no section any more."""
    return [folder for folder in _without_section(upstreams, names) if _served_by(folder) == _tree_of(upstreams)]


def _without_section(upstreams: Path, names: Collection[str]) -> list[Path]:
    try:
        return sorted(folder for folder in upstreams.iterdir() if folder.name not in names)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StorageError(str(upstreams), "list", error) from error


def _served_by(folder: Path) -> Path | None:
    """Return what the link of an index leads to; without one, the folder is the operator's own."""
    link = folder / WEB
    return Path(os.path.normpath(folder / os.readlink(link))) if link.is_symlink() else None


def _tree_of(upstreams: Path) -> Path:
    return Path(os.path.normpath(upstreams.parent / WEB))
