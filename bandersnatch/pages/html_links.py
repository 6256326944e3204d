"""Finds the links of an HTML page."""

from collections.abc import Mapping
from contextlib import suppress
from html.parser import HTMLParser


def links_of(page: str) -> list[tuple[str, Mapping[str, str | None]]]:
    """Return the target of each link, and its attributes; a broken page is read as far as possible."""
    reader = _LinkReader()
    with suppress(AssertionError):  # html.parser raises it for some broken declarations
        reader.feed(page)
        reader.close()
    return reader.links


class _LinkReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, Mapping[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        href = attributes.get("href")
        if tag == "a" and href is not None:
            self.links.append((href, attributes))
