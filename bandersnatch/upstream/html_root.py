"""Reads a root index in HTML (PEP 503): a link to a folder below it for each project.

A page for people has links too. So a link counts only if it leads to a folder directly below the page and its text is the
name of that folder; a page without any such link is a root index only if it says by its title or mark what it is.
Artifactory and GitLab leave out the slash at the end of links: they count so on such a page. A page to log in may have a
link that counts (to "help/", as "Help"): with a field for a name or a password, the page must say so, too.
"""

from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

from bandersnatch.errors import MalformedResponseError
from bandersnatch.memory import require_memory_to_read
from bandersnatch.model import ListedProject
from bandersnatch.names import NormalizedName, parse_project_name
from bandersnatch.upstream.html_page import MAX_OPEN_CHARACTERS, pieces

_VERSION = "pypi:repository-version"
_INDEX = "index.html"
_TITLES = ("simple index", "links for")
"""With these begins the title of a root index of Artifactory, GitLab and most others; PyTorch's has none."""
_TYPED = ("text", "email", "tel", "password")
"""Fields for a name or a password; devpi's pages have a button."""


def parse_html_root(body: bytes, content_type: str, url: str) -> dict[NormalizedName, ListedProject] | None:
    """Return the projects that a root index in HTML lists; None for HTML that is no such index.

    Raises:
        MalformedResponseError: it breaks off.
    """
    require_memory_to_read(body)
    reader = _Reader(url)
    try:
        for text in pieces(body, content_type):
            reader.feed(text)
            if len(reader.rawdata) > MAX_OPEN_CHARACTERS:
                return None
        reader.close()
    except (
        AssertionError,
        ValueError,
    ):  # html.parser raises the first for some broken declarations, urljoin the second
        return None
    if (not reader.projects and not reader.is_marked) or reader.is_to_log_in:
        return None
    if reader.is_open:  # what a connection that broke off has left out would count as removed
        raise MalformedResponseError(url, "the HTML root index breaks off")
    return reader.projects


class _Reader(HTMLParser):
    """Collects the projects."""

    def __init__(self, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self._url = url
        self._folder = urlsplit(url).path.rpartition("/")[0] + "/"
        self._name: str | None = None
        self._text = ""
        self.projects: dict[NormalizedName, ListedProject] = {}
        self.is_marked = self.is_open = False
        self._title: str | None = None
        self._takes_any_link = self._has_field = False

    @property
    def is_to_log_in(self) -> bool:
        """Whether the page has a field to type in, and does not say that it is an index."""
        return self._has_field and not self._takes_any_link

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a tag that begins something."""
        attributes = dict(reversed(attrs))
        if tag == "a":
            self._end_link()
            self._name, self._text = self._folder_of(attributes.get("href") or ""), ""
        elif tag == "meta" and attributes.get("name") == _VERSION:
            self.is_marked = self._takes_any_link = True
        elif tag == "title":
            self._title = ""
        elif tag == "input" and (attributes.get("type") or "text").strip().lower() in _TYPED:
            self._has_field = True
        elif tag == "base" and attributes.get("href"):
            self._url = urljoin(self._url, attributes["href"] or "")
        elif tag in ("html", "body"):
            self.is_open = True

    def handle_endtag(self, tag: str) -> None:
        """Take a tag that ends something."""
        if tag == "a":
            self._end_link()
        elif tag == "title" and self._title is not None:
            if self._title.strip().lower().startswith(_TITLES):
                self.is_marked = self._takes_any_link = True
            self._title = None
        elif tag in ("html", "body"):
            self.is_open = False

    def handle_data(self, data: str) -> None:
        """Take text, of which only that of the title and of links counts."""
        if self._name is not None:
            self._text = (self._text + data)[:512]
        elif self._title is not None:
            self._title = (self._title + data)[:512]

    def _folder_of(self, href: str) -> str | None:
        """Return the name of the folder directly below the index to which a link leads, or None."""
        try:
            path = urlsplit(urljoin(self._url, href.strip())).path.removesuffix(_INDEX)
        except ValueError:  # one link that is no URL says nothing about the others
            return None
        if not path.startswith(self._folder) or not (path.endswith("/") or self._takes_any_link):
            return None
        name = unquote(path[len(self._folder) :].removesuffix("/"))
        return name if "/" not in name else None

    def _end_link(self) -> None:
        name, text = self._name, self._text.strip().removesuffix("/")
        self._name = None
        if name is not None and (project := parse_project_name(name)) and parse_project_name(text) == project:
            self.projects[project] = ListedProject(text, 0)
