"""Names of projects and of files: which there can be, and which file is of which project.

They come from others, and go into paths, links and log lines.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import NewType

NormalizedName = NewType("NormalizedName", str)
"""The name of a project as PEP 503 normalizes it; the same whichever way it is written."""

MAX_FILENAME_BYTES = 240
"""Leaves room for ``.metadata`` and a temporary name within the 255 bytes that filesystems allow."""

_MAX_NAME = 240
_PROJECT_NAME = re.compile(rf"[A-Za-z0-9]([A-Za-z0-9._-]{{0,{_MAX_NAME - 2}}}[A-Za-z0-9])?")
_NORMALIZED_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_UNSAFE_CHARACTER = "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
"""Characters that end a line, move the cursor or change the direction of text, and surrogates (not UTF-8)."""


def canonicalize_name(name: str) -> NormalizedName:
    """Return the normalized name, by the rules of packaging."""
    return NormalizedName(_rule()(name))


@cache
def _rule() -> Callable[[str], str]:
    # Imported only for a name to normalize: packaging.utils takes a thirtieth of the CPU time of a run with nothing new.
    from packaging.utils import canonicalize_name as rule  # noqa: PLC0415 - as told above

    return rule


def parse_project_name(name: str) -> NormalizedName | None:
    """Return the normalized name (PEP 503), or None if it is not a valid project name."""
    # Most names are already normalized: that is seen in a fraction of the time, and sharing one string between hundreds of
    # thousands of pairs saves memory.
    if len(name) <= _MAX_NAME and _NORMALIZED_NAME.fullmatch(name) is not None:
        return NormalizedName(name)
    return canonicalize_name(name) if _PROJECT_NAME.fullmatch(name) is not None else None


def belongs_to(filename: str, project: NormalizedName) -> bool:
    """Whether a file's name begins with its project's, as nearly all do; installers ignore any other file on a page.

    In a wheel's name the project is all before the first dash (binary distribution format); in an sdist's name the
    project may contain dashes.
    """
    if filename.endswith(".whl"):
        return canonicalize_name(filename.partition("-")[0]) == project
    return canonicalize_name(filename).startswith(f"{project}-")


def possible_projects(filename: str) -> list[NormalizedName]:
    """Return the projects with whose names a file's name may begin; only their pages say which of them list it."""
    words = canonicalize_name(filename).split("-")
    names = ("-".join(words[:count]) for count in range(1, len(words)))
    return [project for name in names if (project := parse_project_name(name)) is not None]


def filename_problem(filename: str) -> str | None:
    """Return why a file of this name can't be stored, or None; the name goes into a path, a link and log lines."""
    if not filename or filename.startswith(".") or any(char in filename for char in "/\\"):
        return "is not a plain file name"
    if has_unsafe_characters(filename):
        return "has control characters"
    if filename.endswith(".metadata"):
        return "looks like the core metadata of another file"
    if len(filename.encode("utf-8", "replace")) > MAX_FILENAME_BYTES:
        return f"is longer than {MAX_FILENAME_BYTES} bytes"
    return None


def has_unsafe_characters(text: str) -> bool:
    """Whether a text contains characters that must not appear in a path, link or log line."""
    return not text.isprintable() and re.search(_UNSAFE_CHARACTER, text) is not None
