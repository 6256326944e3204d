"""What is running: the version of this program, of Python, and of the libraries that it stands on."""

import platform
from importlib.metadata import PackageNotFoundError, version

from bandersnatch import __version__

LIBRARIES = ("filelock", "msgspec", "packaging", "requests", "rich", "six", "urllib3")


def about() -> str:
    """Return the versions, a line for each: what a report of a fault should begin with."""
    python = f"{platform.python_implementation()} {platform.python_version()} on {platform.platform()}"
    return "\n".join([f"bandersnatch {__version__}", python, *(f"{name} {_version(name)}" for name in LIBRARIES)])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # as where a distribution put the module in without its metadata
        return "of an unknown version"
