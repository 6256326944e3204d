"""Reads a project's page in HTML (PEP 503, and what PEPs 592, 629, 658, 708, 714, 740 and 792 added).

What it says is put into the shape of the JSON page, so that all checks are made once, in ``model.py``. The reader is
``html.parser``, as in pip: a page that pip reads is read here. It is fed piece by piece, so that no more of a page is
in memory than its bytes, one unfinished tag, and what was read out of it. What HTML can't say stays unknown.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin

from bandersnatch import wire
from bandersnatch.checked_page import make_project_page
from bandersnatch.errors import MalformedResponseError
from bandersnatch.memory import require_memory_to_read
from bandersnatch.model import ProjectPage
from bandersnatch.names import NormalizedName, belongs_to, parse_project_name
from bandersnatch.shown_text import shown

MAX_FILES = 500_000
"""Ten times as many as the largest project of PyPI has."""
MAX_LOCATIONS = 1_000
"""Far above what any project has at other indexes."""
MAX_OPEN_CHARACTERS = 1024 * 1024
"""How long a tag, a comment or a script may be; until its end it is read again with every piece."""

_PIECE_BYTES = 64 * 1024
_MAX_TITLE_CHARACTERS = 512
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([\w.:-]+)", re.ASCII | re.IGNORECASE)
_CODECS = {
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
}
"""What is not UTF-8, as browsers read it."""
_HASH = re.compile(rf"(?:^|[&#])({'|'.join(wire.DIGEST_CHARACTERS)})=([^&#]*)", re.IGNORECASE)
_FILE = re.compile(r".\.(?:whl|egg|exe|msi|dmg|rpm|deb|zip|tgz|tbz|tar|tar\.(?:gz|bz2|xz|Z|lzma))$", re.IGNORECASE)
_FILE_ATTRIBUTES = frozenset(
    {"data-requires-python", "data-yanked", "data-core-metadata", "data-dist-info-metadata", "data-provenance"}
)
_VERSION, _STATUS, _REASON = "pypi:repository-version", "pypi:project-status", "pypi:project-status-reason"
_TRACKS, _LOCATIONS = "pypi:tracks", "pypi:alternate-locations"
"""Such a tag is there once for each URL."""
_TITLE = re.compile(r"\blinks for (\S+)$", re.IGNORECASE)
_SERIAL = re.compile(r"\s*SERIAL (\d{1,19})\s*", re.ASCII)


def parse_html_page(body: bytes, content_type: str, project: NormalizedName, url: str) -> ProjectPage | None:
    """Parse the HTML page of ``project``; return None for HTML that is no such page, such as a form to log in.

    Raises:
        UnsupportedVersionError: the page has another major version of the simple API.
        MalformedResponseError: it breaks off, is of another project, or says something wrong or hostile.
    """
    require_memory_to_read(body)
    reader = _Reader(url)
    try:
        for text in pieces(body, content_type):
            reader.feed(text)
            if len(reader.rawdata) > MAX_OPEN_CHARACTERS:
                raise MalformedResponseError(url, f"a tag or a comment has more than {MAX_OPEN_CHARACTERS} characters")
        reader.close()
    except AssertionError:  # html.parser raises it for some broken declarations
        return None
    title = _TITLE.search(" ".join(reader.title.split()))
    named = parse_project_name(title[1]) if title else None
    if not (named is not None or reader.has_files_of(project) or reader.is_empty_page):
        return None
    if named not in (None, project):
        raise MalformedResponseError(url, f"the page is of project {shown(named or '', 80)!r}")
    if not reader.is_whole:  # a connection that is closed at the end of a page may also be closed before it
        raise MalformedResponseError(url, "the HTML page breaks off")
    return make_project_page(reader.page(project), project, url, reader.base)


class _Reader(HTMLParser):
    """Collects what a page says, up to what a page may have."""

    def __init__(self, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self._url = url
        self._files: dict[str, wire.File] = {}
        self._metas: dict[str, str] = {}
        self._urls: dict[str, list[str]] = {_TRACKS: [], _LOCATIONS: []}
        self._links = 0
        self._serial: str | None = None
        self._base: str | None = None
        self._is_in_title = self._is_open = self._is_closed = False
        self.title = ""

    @property
    def base(self) -> str:
        """The URL to which the links are relative."""
        try:
            return urljoin(self._url, self._base or "")
        except ValueError as error:
            raise MalformedResponseError(self._url, f"its base is {shown(self._base or '')!r}") from error

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing at the end, as far as can be told."""
        return self._is_closed or not self._is_open

    @property
    def is_empty_page(self) -> bool:
        """Whether it is a page of the simple API that links to nothing."""
        return _VERSION in self._metas and not self._links

    def has_files_of(self, project: NormalizedName) -> bool:
        """Whether a link is one that only such a page has: with a digest, or to a file that is named like the project."""
        return any(file.hashes or belongs_to(file.filename, project) for file in self._files.values())

    def page(self, project: NormalizedName) -> wire.Page:
        """Return what was read, as the JSON page would say it."""
        metas = self._metas
        return wire.Page(
            name=project,
            files=list(self._files.values()),
            meta=wire.Meta(self._serial, metas.get(_VERSION), self._urls[_TRACKS]),
            project_status=wire.Status(metas.get(_STATUS, "active"), metas.get(_REASON)),
            alternate_locations=self._urls[_LOCATIONS],
        )

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a tag that begins something."""
        if tag == "a":
            self._take_link(dict(reversed(attrs)))  # the first of two attributes of one name counts
        elif tag == "meta":
            attributes = dict(reversed(attrs))
            name = (attributes.get("name") or "").lower()
            if name in (_VERSION, _STATUS, _REASON):
                self._metas.setdefault(name, attributes.get("content") or "")
            elif name in self._urls and len(self._urls[name]) < MAX_LOCATIONS:
                self._urls[name].append(attributes.get("content") or "")
        elif tag == "base" and self._base is None:
            self._base = dict(reversed(attrs)).get("href")
        elif tag == "title":
            self._is_in_title = not self.title
        elif tag in ("html", "body"):
            self._is_open = True

    def handle_endtag(self, tag: str) -> None:
        """Take a tag that ends something."""
        if tag == "title":
            self._is_in_title = False
        elif tag in ("html", "body"):
            self._is_closed = True

    def handle_data(self, data: str) -> None:
        """Take text, of which only that of the title counts."""
        if self._is_in_title:
            self.title = (self.title + data)[:_MAX_TITLE_CHARACTERS]

    def handle_comment(self, data: str) -> None:
        """Take a comment; the last that tells a serial counts."""
        if (serial := _SERIAL.fullmatch(data)) is not None:
            self._serial = serial[1]

    def _take_link(self, attributes: Mapping[str, str | None]) -> None:
        """Take a link; what leads to no file, such as to the project's home page, is counted only."""
        self._links += 1
        href = (attributes.get("href") or "").strip()
        address, _, fragment = href.partition("#")
        # The name is the end of the URL, as for pip; the text of a link may be cut short.
        filename = unquote(address.partition("?")[0].rpartition("/")[2])
        hashes: dict[str, str | None] = dict(reversed(_HASH.findall(fragment)))
        is_file = hashes or _FILE.search(filename[-12:]) or not _FILE_ATTRIBUTES.isdisjoint(attributes)
        if not filename or not is_file:
            return
        file = wire.File(
            filename=filename,
            url=href,
            hashes=hashes,
            requires_python=attributes.get("data-requires-python"),
            yanked=(attributes["data-yanked"] or "") if "data-yanked" in attributes else None,
            core_metadata=_core_metadata(attributes),
            provenance=attributes.get("data-provenance"),
        )
        # A page may name a file twice, if it says the same of it.
        if (first := self._files.setdefault(filename, file)) is not file and not wire.is_same_file(first, file):
            raise MalformedResponseError(self._url, f"the file '{shown(filename, 80)}' is there twice")
        if len(self._files) > MAX_FILES:
            raise MalformedResponseError(self._url, f"the page lists more than {MAX_FILES} files")


def _core_metadata(attributes: Mapping[str, str | None]) -> bool | dict[str, str | None] | None:
    """Return what the attributes say of core metadata: its digests, or only that there is some; None if they say nothing."""
    for name in ("data-core-metadata", "data-dist-info-metadata"):  # PEP 714: the second is the old name of the first
        if name in attributes:
            told = attributes[name] or ""
            return dict(reversed(_HASH.findall(told))) or told.strip().lower() != "false"
    return None


def pieces(body: bytes, content_type: str) -> Iterator[str]:
    """Yield the text of a page; what is no text in its character set is replaced."""
    charset = _CHARSET.search(content_type)
    name = _CODECS.get(charset[1].lower(), "utf-8-sig") if charset else "utf-8-sig"
    decoder = codecs.getincrementaldecoder(name)("replace")
    for begin in range(0, len(body), _PIECE_BYTES):
        yield decoder.decode(body[begin : begin + _PIECE_BYTES])
    yield decoder.decode(b"", final=True)
