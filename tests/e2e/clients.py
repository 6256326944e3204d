"""Two small clients of a mirror: what an installer would read from its JSON pages, and from its HTML pages."""

from collections import defaultdict
from dataclasses import dataclass
from email.message import Message
from html.parser import HTMLParser
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
from packaging.utils import parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

HTML = "text/html"
V1_HTML = "application/vnd.pypi.simple.v1+html"
V1_JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer; redirects are not followed."""

    status: int
    headers: Message
    body: bytes

    @property
    def content_type(self) -> str:
        return self.headers["Content-Type"] or ""


def get(url: str, accept: str | None = None, method: str = "GET") -> Response:
    """Ask for a URL on the loopback interface."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.request(method, parts.path, headers={} if accept is None else {"Accept": accept})
        response = connection.getresponse()
        return Response(response.status, response.headers, response.read())
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Link:
    """A file as both forms of a page describe it."""

    filename: str
    url: str
    sha256: str
    requires_python: str | None
    metadata_sha256: str | None

    @property
    def version(self) -> str:
        parsed = parse_wheel_filename if self.filename.endswith(".whl") else parse_sdist_filename
        return str(parsed(self.filename)[1])


def read_json_page(url: str) -> list[Link]:
    """Return the files that a project's JSON page lists."""
    page: dict[str, Any] = msgspec.json.decode(get(url, V1_JSON).body)
    return [
        Link(
            filename=file["filename"],
            url=urljoin(url, file["url"]),
            sha256=file["hashes"]["sha256"],
            requires_python=file["requires-python"],
            metadata_sha256=file["core-metadata"]["sha256"] if file["core-metadata"] else None,
        )
        for file in page["files"]
    ]


def read_html_page(url: str, accept: str = HTML) -> list[Link]:
    """Return the files that a project's HTML page lists."""
    reader = _LinkReader(url)
    reader.feed(get(url, accept).body.decode("utf-8"))
    reader.close()
    return reader.links


def hash_lines(index_url: str, pins: dict[str, str]) -> str:
    """Return a requirements file for pinned versions, with the hashes that the mirror's own pages give."""
    lines = []
    for name, version in pins.items():
        digests: dict[str, list[str]] = defaultdict(list)
        for link in read_json_page(f"{index_url}{name}/"):
            digests[link.version].append(link.sha256)
        lines.append(" ".join([f"{name}=={version}", *(f"--hash=sha256:{each}" for each in digests[version])]))
    return "\n".join(lines) + "\n"


def newest(index_url: str, *names: str) -> dict[str, str]:
    """Return the newest version of each project."""
    return {name: max((link.version for link in read_json_page(f"{index_url}{name}/")), key=Version) for name in names}


class _LinkReader(HTMLParser):
    def __init__(self, base_url: str) -> None:
        super().__init__()
        self.links: list[Link] = []
        self._base_url = base_url
        self._attributes: dict[str, str | None] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._attributes = dict(attrs) if tag == "a" else None

    def handle_endtag(self, tag: str) -> None:
        self._attributes = None

    def handle_data(self, data: str) -> None:
        if self._attributes is None:
            return
        url, _, sha256 = urljoin(self._base_url, self._attributes["href"] or "").partition("#sha256=")
        metadata = (self._attributes.get("data-core-metadata") or "").removeprefix("sha256=")
        requires_python = self._attributes.get("data-requires-python")
        self.links.append(Link(data, url, sha256, requires_python, metadata or None))
