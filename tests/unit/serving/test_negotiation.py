"""The form of a page that a client gets: what PEP 691 says, and what PyPI does where it leaves a choice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.serving.negotiation import HTML, V1_HTML, V1_JSON, choose_form

ALL = (HTML, V1_HTML, V1_JSON)
NAMES = (*ALL, "text/*", "application/*", "*/*", "image/png", "application/json")
RANGES = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 1000)), unique_by=lambda each: each[0])


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        pytest.param(None, HTML, id="none"),
        pytest.param("", HTML, id="empty"),
        pytest.param("*/*", HTML, id="curl"),
        pytest.param("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML, id="browser"),
        pytest.param(f"{V1_JSON}, {V1_HTML}; q=0.1, text/html; q=0.01", V1_JSON, id="pip"),
        pytest.param(f"{V1_JSON}, {V1_HTML};q=0.2, text/html;q=0.01", V1_JSON, id="uv"),
        pytest.param(f"text/html;q=0.01, {V1_HTML};q=0.2, {V1_JSON}", V1_JSON, id="uv, turned round"),
        pytest.param(V1_JSON.upper(), V1_JSON, id="upper case"),
        pytest.param(f"{V1_JSON};q=0.5", V1_JSON, id="JSON with a weight"),
        pytest.param("application/vnd.pypi.simple.latest+json", V1_JSON, id="latest JSON"),
        pytest.param("application/vnd.pypi.simple.latest+html, text/html;q=0.5", V1_HTML, id="latest HTML"),
        pytest.param(f"{V1_HTML}, {V1_JSON};q=0.5", V1_HTML, id="HTML v1 before JSON"),
        pytest.param(f"text/html, {V1_JSON}", HTML, id="equal weights: the server's first"),
        pytest.param(f"{V1_JSON}, text/html", HTML, id="equal weights, turned round"),
        pytest.param("application/*", V1_HTML, id="a family"),
        pytest.param(f"*/*, text/*;q=0.1, {V1_HTML};q=0.2", V1_JSON, id="the most specific range decides"),
        pytest.param(f"{V1_JSON};q=0, */*", HTML, id="no JSON"),
        pytest.param("text/html;q=0, */*", V1_HTML, id="no plain HTML"),
        pytest.param("image/png", HTML, id="something else"),
        pytest.param("application/json", HTML, id="JSON of no index"),
        pytest.param(f"{V1_JSON};charset=utf-8", V1_JSON, id="other parameters do not matter"),
        pytest.param(f'text/plain;a="b, {V1_JSON}"', HTML, id="quoted"),
        pytest.param(f"{V1_JSON};q=2, {V1_HTML};q=0.1", V1_HTML, id="a weight that is none"),
        pytest.param(f"{V1_JSON};q=x, {V1_HTML};q=0.1", V1_HTML, id="a weight that is no number"),
        pytest.param(f",,;q=1, {V1_JSON}", V1_JSON, id="nothing between commas"),
    ],
)
def test_accept_header_decides(accept: str | None, form: str) -> None:
    assert choose_form(accept, ALL) == form


@pytest.mark.parametrize("offers", [(HTML, V1_HTML), (V1_JSON,)])
def test_client_that_accepts_no_form_that_there_is_gets_the_first(offers: tuple[str, ...]) -> None:
    for accept in ("image/png", "*/*;q=0", *(name for name in ALL if name not in offers)):
        assert choose_form(accept, offers) == offers[0]


def weight_of(offer: str, ranges: dict[str, int]) -> int:
    return ranges.get(offer, ranges.get(offer.split("/", maxsplit=1)[0] + "/*", ranges.get("*/*", 0)))


@given(RANGES)
def test_the_heaviest_offer_wins_and_of_equal_ones_the_first(ranges: list[tuple[str, int]]) -> None:
    accept = ", ".join(f"{name};q={weight / 1000:.3f}" for name, weight in ranges)
    by_weight = sorted(ALL, key=lambda offer: -weight_of(offer, dict(ranges)))
    expected = by_weight[0] if weight_of(by_weight[0], dict(ranges)) else HTML
    assert choose_form(accept, ALL) == expected


@given(RANGES.flatmap(lambda ranges: st.tuples(st.just(ranges), st.permutations(ranges))))
def test_order_of_the_ranges_does_not_matter(
    both: tuple[list[tuple[str, int]], list[tuple[str, int]]],
) -> None:
    one, other = (", ".join(f"{name};q={weight / 1000:.3f}" for name, weight in ranges) for ranges in both)
    assert choose_form(one, ALL) == choose_form(other, ALL)


PIECES = st.lists(st.sampled_from([*'aq=;,"\\/*+. 01', "text/html", V1_JSON])).map("".join)


@given(PIECES | st.text(), st.sampled_from([ALL, (V1_JSON,)]))
def test_any_header_gets_one_of_the_offers(accept: str, offers: tuple[str, ...]) -> None:
    assert choose_form(accept, offers) in offers
