"""Suggests the known name that a misspelt one was probably meant to be."""

import re
from collections.abc import Iterable

SIMILAR_ENOUGH = 0.75


def suggestion(name: str, known: Iterable[str], similar_enough: float = SIMILAR_ENOUGH) -> str:
    """Return a question such as ``(did you mean "x"?)``: the most similar known name, or the only longer one; or nothing."""
    import difflib  # noqa: PLC0415 - it takes 2 ms, which only a misspelt name needs

    candidates = list(known)
    # An abbreviation is too short to resemble the name that it stands for.
    longer = [each for each in candidates if re.match(rf"{re.escape(name)}[-_]", each, re.IGNORECASE)]
    if len(longer) == 1:
        return f' (did you mean "{longer[0]}"?)'
    in_small = {each.lower(): each for each in candidates}
    for spelling in (name.lower(), name.lower().replace("_", "-")):
        if close := difflib.get_close_matches(spelling, in_small, n=1, cutoff=similar_enough):
            return f' (did you mean "{in_small[close[0]]}"?)'
    return ""
