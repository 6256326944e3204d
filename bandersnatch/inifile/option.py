"""What an option is, and the values that options can have besides text and numbers."""

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from msgspec import Struct

PUBLIC_PYPI = "https://pypi.org"

_PYPI_HOSTS = ("pypi.org", "www.pypi.org", "pypi.python.org")
"""PyPI's names; the last one is that of old guides, and leads to the first."""

OptionValue: TypeAlias = "str | bool | int | float | Enum | Path | RemovalLimit | None"


def is_public_pypi(url: str) -> bool:
    """Whether the base URL of an index is PyPI's, under whichever of its names."""
    return urlsplit(url).hostname in _PYPI_HOSTS


class SimpleFormat(Enum):
    """Which forms of the simple pages are written."""

    ALL = "ALL"
    HTML = "HTML"
    JSON = "JSON"


class CompareMethod(Enum):
    """How a full resync checks the files that are there: by size, or by size and digest."""

    STAT = "stat"
    HASH = "hash"


class ApiMethod(Enum):
    """How upstream is asked what has changed."""

    AUTO = "auto"
    """By XML-RPC, and by the root index where that is away."""
    XMLRPC = "xmlrpc"
    SIMPLE = "simple"


class DeletedPolicy(Enum):
    """What becomes of the files and projects that upstream deletes."""

    REMOVE = "remove"
    HIDE = "hide"
    KEEP = "keep"


class RemovalLimit(Struct, frozen=True):
    """How much one run may remove: a number, or a percentage of what is held."""

    number: int = 0
    percent: float = 0.0

    def allows(self, removals: int, held: int) -> bool:
        """Whether so many may be removed out of so many held, where the larger of number and percentage counts."""
        return removals <= max(self.number, held * self.percent / 100)

    def allows_share(self, removals: int, held: int, at_least: int) -> bool:
        """Whether so many may be removed of however few, where the percentage counts, or ``at_least`` that many.

        A number alone counts as it is, up to half of what is held.
        """
        if removals <= min(self.number, at_least):
            return True
        if not self.percent:
            return removals <= min(self.number, held / 2)
        return removals <= held * self.percent / 100


class OptionError(Exception):
    """A value is not allowed; the message says what is."""


class Option(Struct, frozen=True):
    """One option of a section: its default as it would stand in a file (None: it must be given), and its reader."""

    name: str
    default: str | None
    read: Callable[[str], OptionValue]
    since: str
    """The version of the older bandersnatch that had it first, or "new"."""
    help: str
