"""Which known name a misspelt one may stand for."""

from collections.abc import Iterable

SIMILAR_ENOUGH = 0.75


def suggestion(name: str, known: Iterable[str], similar_enough: float = SIMILAR_ENOUGH) -> str:
    """Return a question after the known name that is most like a misspelt one, or nothing."""
    import difflib  # noqa: PLC0415 - it takes 2 ms, which a run without a misspelt name need not wait for

    candidates = list(known)
    for spelling in (name, name.lower(), name.lower().replace("_", "-")):
        if close := difflib.get_close_matches(spelling, candidates, n=1, cutoff=similar_enough):
            return f' (did you mean "{close[0]}"?)'
    return ""
