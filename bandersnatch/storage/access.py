"""Whether other users, such as that of a web server, can read the mirror, and whether paths are case-sensitive."""

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

from bandersnatch.storage.layout import PACKAGES, SIMPLE, WEB

logger = logging.getLogger(__name__)

_FOR_OTHERS = stat.S_IXGRP | stat.S_IXOTH
"""If neither the group nor others may enter a folder, it is closed to everybody else; a web server may be in the group."""


def tell_closed_folders(directory: Path) -> None:
    """Warn about a folder that keeps all other users out, as a folder made under umask 077 does; those to come count too."""
    for folder in (directory, directory / WEB, directory / SIMPLE, directory / PACKAGES):
        try:
            mode = stat.S_IMODE(os.stat(folder).st_mode)
        except FileNotFoundError:
            continue
        if not mode & _FOR_OTHERS:
            logger.warning(
                "%s has mode %04o: no web server of another user can read the mirror. Run bandersnatch with umask 022, and "
                "once: chmod -R go+rX %s",
                folder, mode, directory / WEB if folder != directory else directory,
            )  # fmt: skip
            return  # one warning is enough: its advice opens all of them
    umask = umask_of_process()
    if umask & _FOR_OTHERS == _FOR_OTHERS and not _has_default_acl(directory / PACKAGES):
        logger.warning(
            "new folders are made under umask %04o: no web server of another user can read the mirror as far as it is new. "
            "Run bandersnatch with umask 022, and once: chmod -R go+rX %s",
            umask, directory / WEB,
        )  # fmt: skip


def _has_default_acl(folder: Path) -> bool:
    """Whether a folder says itself who may enter those that are made in it; then the umask does not count."""
    try:
        return bool(os.getxattr(folder, "system.posix_acl_default"))
    except (OSError, AttributeError):  # no such attribute, or a system without them
        return False


def tell_ignored_case(directory: Path) -> None:
    """Report a case-insensitive filesystem; few operators know that theirs is one."""
    simple = directory / SIMPLE
    with suppress(OSError):
        if os.path.samefile(simple, simple.with_name(simple.name.upper())):
            logger.info(
                "%s: this filesystem ignores case; files whose paths differ only in case would "
                "overwrite each other, as PyPI has none. After a move to another filesystem make a full resync (README.md)",
                directory,
            )


def umask_of_process() -> int:
    """Return which permissions new files lose. The only way to ask is to change the umask for a moment."""
    umask = os.umask(0o022)
    os.umask(umask)
    return umask
