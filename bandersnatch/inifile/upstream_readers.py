"""Reads the options that only sections ``[upstream NAME]`` have: which projects are that index's, or where it is served."""

import re

from bandersnatch.inifile.option import OptionError

MOST_SEGMENTS = 8
_PATTERN = re.compile(r"[a-z0-9*](?:[a-z0-9*-]{0,238}[a-z0-9*])?")
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_OURS = ("packages", "simple", "json", "pypi", "changes", "local.json", "local.db.serial", "last-modified")
"""What the mirror itself has in ``web/``."""


def read_projects(text: str) -> tuple[str, ...]:
    """Read names of projects and patterns with ``*``, between which are commas or white space; they are normalized."""
    patterns: list[str] = []
    for word in re.split(r"[\s,]+", text):
        if not word:
            continue
        pattern = re.sub(r"[-_.]+", "-", word).lower()
        if _PATTERN.fullmatch(pattern) is None:
            raise OptionError("expected names of projects, or the beginning of names and a *, such as torch*, nvidia-*")
        if not pattern.strip("*-"):
            raise OptionError(
                "expected no pattern of all projects: for an index that has them, write master in [mirror]"
            )
        if pattern in patterns:
            raise OptionError(f"{pattern} is there twice")
        patterns.append(pattern)
    return tuple(patterns)


def read_prefix(text: str) -> str:
    """Read the path below ``web/`` where an index is served, or nothing; it must not meet a path of the mirror's own."""
    if not text:
        return ""
    segments = text.split("/")
    if not all(map(_SEGMENT.fullmatch, segments)) or len(segments) > MOST_SEGMENTS:
        raise OptionError("expected a path below web/, such as whl/cu126, of letters, digits and . _ + - alone")
    if "simple" in map(str.lower, segments):
        raise OptionError("expected the path without /simple, which is added to it")
    # Who follows this mirror finds the place of a file by the first "packages" in its URL.
    if segments[0].lower() in _OURS or "packages" in map(str.lower, segments):
        raise OptionError(f"expected another path: the mirror has {', '.join(_OURS)} in web/ already")
    return text
