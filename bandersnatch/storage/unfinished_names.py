"""Names of half-written files.

A name comes from the path, and from the token of its writer, as long as there is one (``unfinished_folder.py``). What is
kept to be resumed has the *plain* name, without a token: nobody writes it, and who resumes it renames it first. So exactly
one process does.
"""

import hashlib
from functools import lru_cache

from bandersnatch.storage.layout import StoredPath

PART_SUFFIX = ".part"
PLAIN = ""
"""Stands for the token in a plain name."""
_KNOWN_STEMS = 256
"""A path's stem is wanted several times while its file is written, and never after that."""


def name_inside(path: StoredPath, token: str = PLAIN) -> str:
    """Return the name that a half-written file of that writer has in our folder; without one, what is kept has it."""
    return named(stem_of(path), token)


@lru_cache(_KNOWN_STEMS)
def stem_of(path: StoredPath, key: bytes = b"") -> str:
    """Return what the names of a path's half-written files begin with; with a key, nobody else can tell it."""
    return hashlib.blake2b(path.encode("utf-8", "surrogateescape"), key=key, digest_size=16).hexdigest()


def named(stem: str, token: str) -> str:
    """Return the name of the file that the writer with that token writes."""
    return f"{stem}.{token}{PART_SUFFIX}" if token else f"{stem}{PART_SUFFIX}"


def area_of(path: StoredPath) -> str:
    """Return the folder whose inherited attributes stand for a path's: one of the few that an operator may have set up."""
    end = path.find("/", path.find("/") + 1)
    return path[:end] if end > 0 else path.rpartition("/")[0]
