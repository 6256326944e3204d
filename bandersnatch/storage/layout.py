"""Where things are: maps names and URLs to paths below the mirror's directory.

The layout is the one that bandersnatch mirrors have had for years, so that web servers and existing trees need no
change. Nothing from upstream is trusted: a URL that would lead outside ``web/packages`` is refused.
"""

import re
from functools import lru_cache
from typing import NewType
from urllib.parse import quote, unquote

from msgspec import Struct

from bandersnatch.errors import MalformedResponseError
from bandersnatch.model import DistributionFile
from bandersnatch.names import NormalizedName, has_unsafe_characters

StoredPath = NewType("StoredPath", str)
"""A path relative to the mirror's directory, with forward slashes; only this module makes them."""

STATE = StoredPath("state")
TODO = StoredPath("todo")
LEGACY_STATUS = StoredPath("status")
LOCK = StoredPath(".lock")
INVENTORY = StoredPath("inventory.sqlite")
UNLISTED = StoredPath("unlisted.sqlite")
LEFTOVERS = StoredPath("leftovers")
CHANGELOG = StoredPath("changelog")
FINGERPRINT = StoredPath("fingerprint")
REMOVALS = StoredPath("removals")
REMOVALS_OF_VERIFY = StoredPath("removals-of-verify")
UNCONFIRMED = StoredPath("unconfirmed")
OWN_PROJECTS = StoredPath("own-projects")
FOLLOWED = StoredPath("followed")
UPSTREAM = StoredPath("upstream")
SHARED_TREE = StoredPath("shared-tree")
RECORDS = (
    STATE,
    TODO,
    LEGACY_STATUS,
    CHANGELOG,
    FINGERPRINT,
    REMOVALS,
    REMOVALS_OF_VERIFY,
    UNCONFIRMED,
    OWN_PROJECTS,
    FOLLOWED,
    LEFTOVERS,
    UPSTREAM,
    SHARED_TREE,
)
"""All records that are not databases; each is replaced as a whole."""
WEB = StoredPath("web")
PACKAGES = StoredPath("web/packages")
SIMPLE = StoredPath("web/simple")
LAST_MODIFIED = StoredPath("web/last-modified")
LOCAL_JSON = StoredPath("web/local.json")
LOCAL_SERIAL = StoredPath("web/local.db.serial")
"""What shadowmire reads to follow a mirror: the serial of each project, and that of the mirror."""
CHANGES = StoredPath("web/changes")
CHANGES_INDEX = StoredPath("web/changes/index.json")
LEGACY_JSON = StoredPath("web/json")
LEGACY_PYPI = StoredPath("web/pypi")

HTML_PAGES = ("index.html", "index.v1_html")
JSON_PAGE = "index.v1_json"
ALL_PAGES = (*HTML_PAGES, JSON_PAGE)

_MAX_PATH_BYTES = 1024
_MAX_SEGMENT_BYTES = 255
_KNOWN_URLS = 4096
"""The path of each file of a page is wanted about five times, until the page is published."""
_PACKAGES_SEGMENT = "/packages/"
_USUAL_URL = re.compile(
    r"(?:https?://[\w.:-]+|\.\./\.\.)/packages/([0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/\w[\w.+!-]{0,239})(?:#\w+=\w+)?",
    re.ASCII,
)
"""The form of nearly all URLs, which needs no further checks; it is a fast path, used several times per file."""
_ANY_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[\w.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]*))?/(?P<path>.+)", re.IGNORECASE
)
_USUAL_PORTS = {"http": "80", "https": "443"}


class Layout(Struct, frozen=True):
    """The paths of one mirror; ``hash_index`` puts project pages below a folder of their first letter."""

    hash_index: bool = False

    def page_folder(self, project: NormalizedName) -> StoredPath:
        """Return the folder of a project's pages."""
        return self._folder(project, self.hash_index)

    def other_page_folder(self, project: NormalizedName) -> StoredPath:
        """Return the folder that the pages would have with the other setting of ``hash_index``."""
        return self._folder(project, not self.hash_index)

    def display_name_folder(self, display_name: str) -> StoredPath:
        """Return the folder where old bandersnatch versions put pages, by the name that is not normalized."""
        return self._folder(display_name, self.hash_index)

    @staticmethod
    def _folder(project: str, hashed: bool) -> StoredPath:
        return StoredPath(f"{SIMPLE}/{project[0]}/{project}" if hashed else f"{SIMPLE}/{project}")


def all_need(path: str) -> bool:
    """Whether a file or folder below the mirror's directory is one that no project can do without."""
    above, _, name = path.rpartition("/")
    is_below = path.startswith(tuple(f"{folder}/" for folder in (SIMPLE, PACKAGES, LEGACY_JSON, LEGACY_PYPI)))
    return not is_below or (above == SIMPLE and name in ALL_PAGES)


def page_path(folder: StoredPath, page: str) -> StoredPath:
    """Return the path of one page, such as ``index.html``, in its folder."""
    return StoredPath(f"{folder}/{page}")


def json_paths(project: str) -> tuple[StoredPath, StoredPath]:
    """Return the two places of a project's legacy JSON."""
    return StoredPath(f"{LEGACY_JSON}/{project}"), StoredPath(f"{LEGACY_PYPI}/{project}/json")


def changes_path(filename: str) -> StoredPath:
    """Return the path of a file of the static journal."""
    return StoredPath(f"{CHANGES}/{filename}")


def file_path(file: DistributionFile) -> StoredPath:
    """Return the path of a file: the same below ``packages/`` as on upstream, or that of its host and its path there.

    It comes from the URL and is not computed, because files uploaded before 2016 may have other paths than
    ``packages/<aa>/<bb>/<60 hex digits>/<filename>``.

    Raises:
        MalformedResponseError: the URL gives no safe path, or does not end in the file's name.
    """
    path = stored_path(file.url)
    if not path.endswith(f"/{file.filename}"):
        raise MalformedResponseError(file.url, f"the URL does not end in the file's name {file.filename!r}")
    return path


@lru_cache(_KNOWN_URLS)
def stored_path(url: str) -> StoredPath:
    """Return the path for a file URL of upstream; query and fragment are ignored.

    What is below ``packages/`` there is at the same place here, on whichever host: PyPI's files, and those of any mirror.
    Other files are at ``<host>/<path>``, so that none of another folder or host can have the same place.

    Raises:
        MalformedResponseError: the URL gives no safe path.
    """
    return _below_packages(url) or _below_host(url)


def path_on_own_page(url: str) -> StoredPath:
    """Return the path of a link on a page of ours, which always leads below ``packages/``, be it absolute or relative.

    Raises:
        MalformedResponseError: it leads elsewhere.
    """
    if path := _below_packages(url):
        return path
    raise MalformedResponseError(url, "the URL does not lead below packages/")


def _below_packages(url: str) -> StoredPath | None:
    if usual := _USUAL_URL.fullmatch(url):
        return StoredPath(f"{PACKAGES}/{usual[1]}")
    # Not urlsplit, which takes four times as long.
    whole = url.partition("#")[0].partition("?")[0]
    after_host = whole.find("/", whole.find("://") + 3) if "://" in whole else 0
    _, found, rest = whole[after_host:].partition(_PACKAGES_SEGMENT) if after_host >= 0 else ("", "", "")
    path = _decoded(rest, url)
    return StoredPath(f"{PACKAGES}/{path}") if found and len(rest) <= _MAX_PATH_BYTES and _is_plain(path) else None


def _below_host(url: str) -> StoredPath:
    """Return the path of a file that is not below ``packages/``: the host, and its path there, decoded once."""
    found = _ANY_URL.fullmatch(url.partition("#")[0].partition("?")[0])
    segments = [_decoded(segment, url) for segment in found["path"].split("/")] if found else []
    if not found or any("/" in segment for segment in segments):
        raise MalformedResponseError(url, "the URL gives no safe path for a file")
    host, port, usual = found["host"].lower(), found["port"], _USUAL_PORTS[found["scheme"].lower()]
    # A name without a dot could be a folder of PyPI's, such as "source"; with its port it can't.
    is_distinct = port in (None, "", usual) and "." in host
    path = "/".join([host if is_distinct else f"{host}+{port or usual}", *segments])
    if len(path) > _MAX_PATH_BYTES or not _is_plain(path):
        raise MalformedResponseError(url, "the URL gives no safe path for a file")
    return StoredPath(f"{PACKAGES}/{path}")


def _decoded(text: str, url: str) -> str:
    try:
        return unquote(text, errors="strict")
    except ValueError as error:
        raise MalformedResponseError(url, f"no URL: {error}") from error


def is_noted_path(path: object) -> bool:
    """Whether a path in one of our records is one that this module could have made; a record may have been edited."""
    if not isinstance(path, str) or not path.startswith(f"{WEB}/") or path.endswith("/"):
        return False
    return _is_plain(path) and len(path) <= _MAX_PATH_BYTES + len(PACKAGES)


def metadata_path(path: StoredPath) -> StoredPath:
    """Return the path of a file's core metadata (PEP 658)."""
    return StoredPath(f"{path}.metadata")


def is_metadata(path: StoredPath) -> bool:
    """Whether a path is that of core metadata, and not of a distribution file."""
    return path.endswith(".metadata")


def link_from_page(path: StoredPath) -> str:
    """Return the relative URL of a stored file on its project's page.

    It is the same with ``hash_index``: clients request ``/simple/<name>/`` there too, and the web server rewrites.
    """
    return "../../" + quote(path.removeprefix(f"{WEB}/"))


def link_below(root_uri: str, path: StoredPath) -> str:
    """Return the absolute URL of a stored file below ``root_uri``."""
    return f"{root_uri}/{quote(path.removeprefix(f'{WEB}/'))}"


def _is_plain(path: str) -> bool:
    """Whether a path has only plain names: none is empty or hidden, none has a backslash or a control character."""
    segments = path.split("/")
    return (
        len(segments) > 1
        and all(segments)
        and not has_unsafe_characters(path)
        and "\\" not in path
        and "/." not in path
        and not path.startswith(".")
        and max(len(segment.encode("utf-8", "replace")) for segment in segments) <= _MAX_SEGMENT_BYTES
    )
