"""The paths of the site, and the files below ``web/`` that answer them; nothing outside of that folder is ever opened.

It has what README's configuration of nginx has, and redirects as PyPI does: from other spellings of a project's name,
and to the slash at the end. Folders are not listed, and hidden files are not served.
"""

import errno
import logging
import os
import re
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.errors import StorageError
from bandersnatch.logs import warn_once
from bandersnatch.names import NormalizedName, has_unsafe_characters, parse_project_name
from bandersnatch.serving.negotiation import HTML, V1_HTML, V1_JSON, choose_form
from bandersnatch.storage.layout import WEB, Layout

logger = logging.getLogger(__name__)

FORMS = {HTML: "index.html", V1_HTML: "index.v1_html", V1_JSON: "index.v1_json"}
"""The form of a page by content type; the first one is for clients that name none of them."""
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".v1_html": V1_HTML,
    ".v1_json": V1_JSON,
    ".json": "application/json",
    ".jsonl": "application/jsonl",
}
_TYPE_OF_FORM = {HTML: "text/html; charset=utf-8"}
_PAGE_CACHE = "max-age=600, public"
_FILE_CACHE = "max-age=31536000, immutable, public"
_LONGEST_NAME = 255
_SERIAL = re.compile(rb'"meta": ?\{[^{}]*?"_last-serial": ?(\d{1,12})[,}]')
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO}
"""ENXIO: a socket, or a pipe, which is no file."""


class Redirect(Struct, frozen=True):
    """The document has another path."""

    location: str


class Document(Struct, frozen=True):
    """An open file, and how it is sent. Whoever gets it closes the file."""

    file: BinaryIO
    status: os.stat_result
    content_type: str
    cache: str | None = None
    is_negotiated: bool = False
    serial: int | None = None
    """The serial of the project that it is about; mirrors refuse legacy JSON without one."""


class Site:
    """The site of one mirror, with the folder ``web`` at its top. Thread-safe.

    At each of the ``prefixes`` is the site of another index, as this one is at the top.
    """

    def __init__(self, web: Path, layout: Layout, prefixes: Sequence[str] = ()) -> None:
        self._web, self._layout = web, layout
        self._others = {f"/{prefix}": Site(web / prefix, layout) for prefix in prefixes}

    def find(self, path: str, accept: str | None) -> Document | Redirect | None:
        """Return what answers a path, or None if there is nothing.

        Raises:
            StorageError: the file is there, and can't be read.
        """
        for prefix, other in self._others.items():
            if path.startswith(f"{prefix}/"):
                found = other.find(path.removeprefix(prefix), accept)
                return Redirect(f"{prefix}{found.location}") if isinstance(found, Redirect) else found
        first, *names = path.split("/")
        if first or not names or not all(map(_is_plain, names[:-1])) or not (_is_plain(names[-1]) or not names[-1]):
            return None
        match names:
            case ["simple"]:
                return Redirect("/simple/") if self._has_pages("simple") else None
            case ["simple", ""]:
                return self._page("simple", accept)
            case ["simple", page] if page in FORMS.values():
                return self._file(names)
            case ["simple", name] | ["simple", name, ""]:
                return self._project(name, accept, has_slash=len(names) == 3)
            case ["simple", name, page] if page in FORMS.values():
                folder = self._folder(name)
                return self._file([*folder.split("/"), page]) if folder is not None else None
            case ["simple", *_]:
                return None
            case ["json", name] | ["pypi", name, "json"] | ["pypi", name, "json", ""]:
                return self._legacy_json(names, name)
            case _:
                return self._file(names) if names[-1] else None

    def _project(self, name: str, accept: str | None, *, has_slash: bool) -> Document | Redirect | None:
        project = parse_project_name(name)
        if project is None or (folder := self._folder(project)) is None:
            return None
        if name == project and has_slash:
            return self._page(folder, accept)
        return Redirect(f"/simple/{project}/") if self._has_pages(folder) else None

    def _legacy_json(self, names: Sequence[str], name: str) -> Document | Redirect | None:
        project = parse_project_name(name)
        if project is None:
            return None
        path = f"/json/{project}" if names[0] == "json" else f"/pypi/{project}/json"
        if name == project:
            # Read before the document: a run writes the page after it, and so no document is said to be newer than it is.
            serial = self._serial(project)
            document = self._file(path[1:].split("/"))
            return replace(document, serial=serial) if document is not None else None
        found = self._opened(path[1:])
        if found is None:
            return None
        found[0].close()
        return Redirect(path)

    def _serial(self, project: NormalizedName) -> int | None:
        """Return the serial in the project's page as JSON, if there is one."""
        found = self._opened(f"{self._folder(project)}/{FORMS[V1_JSON]}")
        if found is None:
            return None
        with found[0] as page:
            body = page.read()
        # It comes after the files of a page of ours, and before them in other programs'.
        told = _SERIAL.search(body, max(body.rfind(b'"meta":'), 0))
        return int(told[1]) if told else None

    def _folder(self, name: str) -> str | None:
        """Return the folder below ``web`` of a project's pages, if this is its normalized name."""
        project = parse_project_name(name)
        return self._layout.page_folder(project).removeprefix(f"{WEB}/") if project == name else None

    def _forms(self, folder: str) -> list[str]:
        """Return the content types of the forms that a folder has."""
        return [form for form, page in FORMS.items() if os.path.isfile(self._web / folder / page)]

    def _has_pages(self, folder: str) -> bool:
        return bool(self._forms(folder))

    def _page(self, folder: str, accept: str | None) -> Document | None:
        forms = self._forms(folder)
        while forms:
            form = choose_form(accept, forms)
            if (found := self._opened(f"{folder}/{FORMS[form]}")) is not None:
                return Document(*found, _TYPE_OF_FORM.get(form, form), _PAGE_CACHE, is_negotiated=True)
            forms.remove(form)  # a run has deleted it, or it leads out of the folder
        return None

    def _file(self, names: Sequence[str]) -> Document | None:
        found = self._opened("/".join(names))
        if found is None:
            return None
        match names[0]:
            case "packages":
                return Document(*found, "application/octet-stream", _FILE_CACHE)
            case "json" | "pypi":
                return Document(*found, "application/json")
            case "simple":
                return Document(*found, _TYPES[os.path.splitext(names[-1])[1]], _PAGE_CACHE)
            case _:
                return Document(*found, _TYPES.get(os.path.splitext(names[-1])[1], "text/plain; charset=utf-8"))

    def _opened(self, path: str) -> tuple[BinaryIO, os.stat_result] | None:
        """Open a plain file below ``web``; links are followed as long as they stay there."""
        root = os.path.realpath(self._web)
        real = os.path.realpath(os.path.join(root, path))
        if not real.startswith(f"{root}/"):
            warn_once(logger, f"out of web: {path}", "%s: it is not served: a link leads out of %s", path, self._web)
            return None
        try:
            descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise StorageError(real, "read", error) from error
        with ExitStack() as closing:
            closing.callback(os.close, descriptor)
            try:
                status = os.fstat(descriptor)
            except OSError as error:
                raise StorageError(real, "read", error) from error
            if not stat.S_ISREG(status.st_mode):  # a folder, or something that would never end
                return None
            closing.pop_all()
            return open(descriptor, "rb", buffering=0), status


def _is_plain(name: str) -> bool:
    """Whether a part of a path is the name of a file or folder that may be served."""
    return (
        name != ""
        and not name.startswith(".")
        and "\\" not in name
        and "\0" not in name
        and not has_unsafe_characters(name)
        and len(name.encode("utf-8", "replace")) <= _LONGEST_NAME
    )
