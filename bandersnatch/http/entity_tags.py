"""Entity tags (RFC 9110, section 8.8.3): which of them are worth keeping, and which are of one document."""

import re
from collections.abc import Mapping

MOST_CHARACTERS = 256
_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]+"', re.ASCII)


def entity_tag(value: str | None) -> str | None:
    """Return a value of the header ``ETag`` if it is a short entity tag, and nothing else: it is sent back.

    A ``*`` would match any document, and servers refuse headers that are long.
    """
    tag = "" if value is None else value.strip()
    return tag if len(tag) <= MOST_CHARACTERS and _ENTITY_TAG.fullmatch(tag) else None


def are_of_one_page(one: str, other: str) -> bool:
    """Return whether two entity tags are the same, weak or not, which is how conditional requests compare them."""
    return one.removeprefix("W/") == other.removeprefix("W/")


def is_told_again(answered: Mapping[str, str], asked: Mapping[str, str]) -> bool:
    """Whether an answer of 304 has the tag that was asked with, and so is no answer to another question."""
    told, known = answered.get("ETag"), asked.get("If-None-Match")
    return told is not None and known is not None and are_of_one_page(told, known)
