"""The fingerprint of a configuration: what pages are made with, in one line that is kept beside them.

Its first word is the index, without credentials. Each of the others is a named part, with its version and a digest of its
values: ``form=1:...`` is about the form of the pages, ``pages=1:...`` about what filters leave of them, and ``names=1:...``
about the projects that there are. Where a word differs, the next run does what that part asks for, and nothing else. So:

- The names of values are those of options, never those of fields or classes.
- An option that is added later stands in its part only where it is not at its default.
- A version is raised where the same values make other pages than before.

Before 9.0 the words were digests of how Python shows the values. Such a word counts as today's where it is right for the
configuration of today, and is replaced then.
"""

import hashlib
from collections.abc import Callable, Mapping
from itertools import zip_longest

INDEX, FORM = "the index", "options about what is published"
_WORDS = (INDEX, FORM, "filters of metadata, releases and files", "filters of project names")
_VERSIONS = {"form": 1, "pages": 1, "names": 1}


def part(name: str, text: str) -> str:
    """Return the word of a part; no text stands for nothing that could differ."""
    return f"{name}={_VERSIONS[name]}:{hashlib.sha256(text.encode()).hexdigest() if text else '-'}"


def form_text(values: Mapping[str, str | int | bool]) -> str:
    """Describe options by their names."""
    return "\n".join(f"{name} = {str(values[name]).lower()}" for name in sorted(values))


def renewed(fingerprint: str, today: str, before: Callable[[], str]) -> str:
    """Return a fingerprint with today's words in place of the old ones that mean the same.

    ``before`` gives what the older code would have written for today's configuration.
    """
    words = fingerprint.split(" ")
    if all("=" in word for word in words[1:]):
        return fingerprint
    both = zip_longest(before().split(" ")[: len(words)], today.split(" ")[: len(words)])
    pairs = zip(words, both, strict=False)
    return " ".join([new if word == old and new is not None else word for word, (old, new) in pairs] + words[4:])


def changed_between(fingerprint: str, other: str) -> tuple[str, ...]:
    """Return what differs between two configurations, in words, of which ``INDEX`` and ``FORM`` are two."""
    both = zip_longest(fingerprint.split(" "), other.split(" "), fillvalue="")
    return tuple(words for words, (one, another) in zip(_WORDS, both, strict=False) if one != another)
