"""The links of an HTML page, as far as the page can be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.pages.html_links import links_of


def test_links_come_in_their_order_and_with_their_attributes() -> None:
    page = '<html><a href="b#sha256=1" data-yanked="">b</a><p>x</p><A HREF="a?x&amp;y" rel=z>a</A>'
    assert links_of(page) == [
        ("b#sha256=1", {"href": "b#sha256=1", "data-yanked": ""}),
        ("a?x&y", {"href": "a?x&y", "rel": "z"}),
    ]


@pytest.mark.parametrize(
    "page", ["", "text", '<a name="x">x</a>', '<link href="x">', "<!-- <a href='x'> -->", "<a href>x</a>"]
)
def test_what_is_no_link_is_none(page: str) -> None:
    assert links_of(page) == []


@pytest.mark.parametrize("rest", ["<![x", "<!DOCTYPE [", "<a href='", "</", "<!--"])
def test_a_broken_page_is_read_as_far_as_possible(rest: str) -> None:
    assert links_of(f"<a href='x'>x</a>{rest}")[0] == ("x", {"href": "x"})


@given(st.text(st.sampled_from("<>!-[]/a ='\"href&;#x"), max_size=60))
def test_no_text_is_an_error(page: str) -> None:
    links_of(page)
