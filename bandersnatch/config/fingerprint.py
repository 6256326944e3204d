"""The fingerprint of a configuration: one line, kept beside the pages, of what they were made with.

Its first word is the index, without credentials. Each other word is a named part with a version and a digest of its
values: ``form=1:...`` for the form of the pages, ``pages=1:...`` for the filters of their content, and ``names=1:...``
for the filters of project names. If a word differs, the next run redoes what that part affects, and nothing else. So:

- Values go by the names of options, never by those of fields or classes.
- An option added later is part of it only when it is not at its default.
- A version is raised when the same values lead to other pages than before.

Before 9.0 the words were digests of Python's repr of the values. Such a word counts as equal to today's if it is what
the old code would write for today's configuration; it is then replaced.
"""

import hashlib
from collections.abc import Callable, Mapping
from itertools import zip_longest

INDEX, FORM, NAMES = "the index", "options about what is published", "filters of project names"
_WORDS = (INDEX, FORM, "filters of metadata, releases and files", NAMES)
_VERSIONS = {"form": 1, "pages": 1, "names": 1}


def part(name: str, text: str) -> str:
    """Return the word for a part; an empty text means that nothing in it can differ."""
    return f"{name}={_VERSIONS[name]}:{hashlib.sha256(text.encode()).hexdigest() if text else '-'}"


def form_text(values: Mapping[str, str | int | bool]) -> str:
    """Describe options by their names, one on each line."""
    return "\n".join(f"{name} = {str(values[name]).lower()}" for name in sorted(values))


def renewed(fingerprint: str, today: str, before: Callable[[], str]) -> str:
    """Return a fingerprint with old words replaced by today's words of the same meaning.

    ``before`` returns what the older code would have written for today's configuration.
    """
    words = fingerprint.split(" ")
    # Words with names are in today's form.
    if all("=" in word for word in words[1:]):
        return fingerprint
    both = zip_longest(before().split(" ")[: len(words)], today.split(" ")[: len(words)])
    pairs = zip(words, both, strict=False)
    return " ".join([new if word == old and new is not None else word for word, (old, new) in pairs] + words[4:])


def changed_between(fingerprint: str, other: str) -> tuple[str, ...]:
    """Return descriptions of what differs between two configurations; ``INDEX``, ``FORM``, ``NAMES`` are three of them."""
    both = zip_longest(fingerprint.split(" "), other.split(" "), fillvalue="")
    return tuple(words for words, (one, another) in zip(_WORDS, both, strict=False) if one != another)


def filters_of(fingerprint: str) -> tuple[str, ...]:
    """Return the words for filters, of content and of names; they follow those for the index and the form of pages."""
    return tuple(fingerprint.split(" ")[2:])
