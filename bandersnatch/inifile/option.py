"""Options, and the types of their values beyond text and numbers."""

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from msgspec import Struct

PUBLIC_PYPI = "https://pypi.org"

_PYPI_HOSTS = ("pypi.org", "www.pypi.org", "pypi.python.org")
"""PyPI's names; the last is in old guides, and redirects to the first."""

OptionValue: TypeAlias = "str | bool | int | float | Enum | Path | RemovalLimit | tuple[str, ...] | None"


def is_public_pypi(url: str) -> bool:
    """Whether the base URL of an index is PyPI's, under any of its names."""
    return urlsplit(url).hostname in _PYPI_HOSTS


class SimpleFormat(Enum):
    """Which forms of the simple pages are written."""

    ALL = "ALL"
    HTML = "HTML"
    JSON = "JSON"


class CompareMethod(Enum):
    """How a full resync checks stored files: by size, or by size and digest."""

    STAT = "stat"
    HASH = "hash"


class ApiMethod(Enum):
    """How we ask upstream what has changed."""

    AUTO = "auto"
    """By XML-RPC, or by the root index if XML-RPC is unavailable."""
    XMLRPC = "xmlrpc"
    SIMPLE = "simple"


class UpstreamKind(Enum):
    """What kind of index is mirrored."""

    AUTO = "auto"
    """What the first run finds out."""
    WAREHOUSE = "warehouse"
    """PyPI's own software, or a mirror with serials."""
    SIMPLE = "simple"
    """A root index and pages, JSON or HTML; it may tell serials, and need not."""
    SHADOWMIRE = "shadowmire"
    """A mirror that tells the serials of its projects in ``local.json``."""


class DeletedPolicy(Enum):
    """What happens to files and projects that upstream deletes."""

    REMOVE = "remove"
    HIDE = "hide"
    KEEP = "keep"


class RemovalLimit(Struct, frozen=True):
    """How much one run may remove: a number, or a percentage of what we hold."""

    number: int = 0
    percent: float = 0.0

    def allows(self, removals: int, held: int) -> bool:
        """Whether a run may remove so many of so many held; the larger of number and percentage counts."""
        return removals <= max(self.number, held * self.percent / 100)

    def allows_share(self, removals: int, held: int, at_least: int) -> bool:
        """Whether a run may remove so many, even of few: the percentage counts, or ``at_least`` if that is more.

        A limit that is only a number counts as it is, up to half of what we hold.
        """
        if removals <= min(self.number, at_least):
            return True
        if not self.percent:
            return removals <= min(self.number, held / 2)
        return removals <= held * self.percent / 100


class OptionError(Exception):
    """A value is not allowed; the message says what is."""


class Option(Struct, frozen=True):
    """One option of a section: its default as a file would have it (None: it is required), and its reader."""

    name: str
    default: str | None
    read: Callable[[str], OptionValue]
    since: str
    """The first version of the older bandersnatch that had it, or "new"."""
    help: str
