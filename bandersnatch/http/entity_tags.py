"""Entity tags (RFC 9110, section 8.8.3): which of them may be kept, and which are equivalent."""

import re
from collections.abc import Mapping

MAX_CHARACTERS = 256
_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]+"', re.ASCII)


def entity_tag(value: str | None) -> str | None:
    """Return a value of the header ``ETag`` if it is a short and valid entity tag, so that it may be sent back; else None.

    A ``*`` would match any document, and servers refuse long headers.
    """
    tag = "" if value is None else value.strip()
    return tag if len(tag) <= MAX_CHARACTERS and _ENTITY_TAG.fullmatch(tag) else None


def are_equivalent(one: str, other: str) -> bool:
    """Whether two entity tags are equal by weak comparison, as ``If-None-Match`` compares (RFC 9110, section 8.8.3.2)."""
    return one.removeprefix("W/") == other.removeprefix("W/")


def confirms_tag(answered: Mapping[str, str], asked: Mapping[str, str]) -> bool:
    """Whether a 304 has the tag of its conditional request, and so is not the answer to another request."""
    told, known = answered.get("ETag"), asked.get("If-None-Match")
    return told is not None and known is not None and are_equivalent(told, known)
