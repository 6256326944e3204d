"""Entity tags (RFC 9110, section 8.8.3): which of them are worth keeping, and which are of one document."""

import re

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
