"""Whether other users, such as the one of a web server, can read the mirror."""

import logging
import os
import stat
from pathlib import Path

from bandersnatch.layout import PACKAGES, SIMPLE, WEB

logger = logging.getLogger(__name__)

_FOR_OTHERS = stat.S_IXGRP | stat.S_IXOTH
"""A folder that neither its group nor all may enter is closed to everybody else. A web server may be of the group."""


def tell_closed_folders(directory: Path) -> None:
    """Warn of a folder that keeps every other user out, as those have that are made under umask 077."""
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
            return


def umask_of_process() -> int:
    """Return which permissions are taken from new files. There is no way to ask but to change it for a moment."""
    umask = os.umask(0o022)
    os.umask(umask)
    return umask
