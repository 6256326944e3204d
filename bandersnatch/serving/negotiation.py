"""Which form of a page a client gets (PEP 691): decided by its header ``Accept``, as PyPI decides."""

import re
from collections.abc import Iterator, Sequence

HTML = "text/html"
V1_HTML = "application/vnd.pypi.simple.v1+html"
V1_JSON = "application/vnd.pypi.simple.v1+json"

_LATEST = {
    "application/vnd.pypi.simple.latest+html": V1_HTML,
    "application/vnd.pypi.simple.latest+json": V1_JSON,
}
"""PEP 691: an alias for the newest version. PyPI does not know it."""
_ELEMENT = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*")+')
_WEIGHT = re.compile(r"q\s*=\s*(\d?(?:\.\d*)?)", re.ASCII | re.IGNORECASE)


def choose_form(accept: str | None, offers: Sequence[str]) -> str:
    """Return the offered content type that a client likes best; of several equal ones, the first.

    Like PyPI, a client that accepts none of them gets the first one, and never status 406.
    """
    ranges = list(_ranges(accept or ""))
    weights = {offer: _weight(offer, ranges) for offer in offers}
    best = max(offers, key=lambda offer: weights[offer])
    return best if weights[best] > 0 else offers[0]


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    """Yield the media ranges of a header with their weights; parts that are no media range are left out."""
    for element in _ELEMENT.findall(accept):
        name, *parameters = (part.strip() for part in element.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter[:1] in ("q", "Q") and parameter[1:].lstrip().startswith("="):
                found = _WEIGHT.fullmatch(parameter)
                weight = float(found[1]) if found and found[1] not in ("", ".") else 0.0
        if "/" in name and weight <= 1:
            media_type = name.lower()
            yield _LATEST.get(media_type, media_type), weight


def _weight(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Return the weight of an offer; the most specific range that matches it decides (RFC 9110, section 12.5.1)."""
    for matching in (offer, f"{offer.partition('/')[0]}/*", "*/*"):
        weights = [weight for name, weight in ranges if name == matching]
        if weights:
            return max(weights)
    return 0.0
