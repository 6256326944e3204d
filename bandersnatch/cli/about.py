"""What is running: the versions of this program, of Python, and of the libraries it uses."""

import platform
from importlib.metadata import PackageNotFoundError, version

from bandersnatch import __version__

LIBRARIES = ("filelock", "msgspec", "packaging", "pycurl", "requests", "rich", "six", "urllib3")


def about() -> str:
    """Return the versions, one per line, as a bug report should begin."""
    python = f"{platform.python_implementation()} {platform.python_version()} on {platform.platform()}"
    return "\n".join([f"bandersnatch {__version__}", python, *(f"{name} {_version(name)}" for name in LIBRARIES)])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # some distributions install modules without metadata
        return "of an unknown version"
