"""The routes: which answer a request gets, before compression and faults."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from . import json_api, pages, rpc
from .answers import (
    CORS,
    REFERRER,
    SERIAL_HEADER,
    VARY_ACCEPT,
    VARY_ENCODING,
    Answer,
    Editor,
    Headers,
    not_found,
    parse_qualities,
    redirect,
    text_answer,
    unchanged,
)
from .downloads import answer_download
from .model import Project
from .world import World

HTML = "text/html"
V1_HTML = "application/vnd.pypi.simple.v1+html"
V1_JSON = "application/vnd.pypi.simple.v1+json"
SANDBOX: Headers = (("Content-Security-Policy", "default-src 'none'; sandbox allow-top-navigation"),)
RPC_PATHS = ("/pypi", "/pypi/", "/RPC2")


@dataclass(frozen=True, slots=True)
class Request:
    """What the routes look at."""

    method: str
    target: str
    headers: Message
    body: bytes

    @property
    def path(self) -> str:
        """The path as sent, still percent-encoded, without the query."""
        return self.target if self.target.startswith("//") else urlsplit(self.target).path

    @property
    def is_rpc(self) -> bool:
        return self.path in RPC_PATHS and (self.headers["Content-Type"] or "").startswith("text/xml")

    @property
    def rpc_method(self) -> str | None:
        return rpc.method_name(self.body) if self.is_rpc else None


class Site:
    """Answers requests from a world, whose base URL is `base_url`."""

    def __init__(self, world: World, base_url: str, changelog_limit: int) -> None:
        self._world = world
        self._base_url = base_url
        self._changelog_limit = changelog_limit
        self.dialect = pages.Dialect()
        self._rpc_calls = itertools.count(1)

    def answer(self, request: Request, edit: Editor = unchanged) -> Answer:
        """Return the honest answer, but for what `edit` does to its JSON value."""
        if request.is_rpc:
            calls_left = rpc.RATE_LIMIT - next(self._rpc_calls)
            return rpc.answer_call(self._world, request.body, self._changelog_limit, calls_left)
        if request.path == "/pypi":
            return redirect(self._base_url, "/pypi/")
        if request.method not in ("GET", "HEAD"):
            text = f"405 Method Not Allowed\n\nThe method {request.method} is not allowed for this resource. \n\n\n"
            return text_answer(405, text, (("Allow", "GET, HEAD, OPTIONS"), *VARY_ENCODING))
        match request.path.split("/")[1:]:
            case ["packages", *_]:
                return answer_download(self._world, request.path, request.headers)
            case ["simple", ""]:
                return self._root_index(request, edit)
            case ["simple"] | ["simple", _]:
                return redirect(self._base_url, f"{request.path}/")
            case ["simple", name, ""]:
                return self._project_page(request, unquote(name), edit)
            case ["pypi", name, *version, "json"] | ["pypi", name, *version, "json", ""] if len(version) < 2:
                return self._json_api(request, unquote(name), [unquote(each) for each in version], edit)
            case _:
                return _page_not_found()

    def _root_index(self, request: Request, edit: Editor) -> Answer:
        listing = self._world.served_listing()
        index = edit(pages.root_index(listing))
        format_ = _negotiated(request.headers["Accept"])
        max_age = 1800 if format_ == V1_JSON else 86400
        headers = _page_headers(format_, listing.serial, max_age, "all-html warehouse:templates/api/simple/index.html")
        return _page_answer(format_, headers, index, pages.render_root_html)

    def _project_page(self, request: Request, name: str, edit: Editor) -> Answer:
        project = self._world.served_project(name)
        if project is None:
            return not_found()
        key = f"all-html project/{project.normalized_name} warehouse:templates/api/simple/detail.html"
        if name != canonicalize_name(name):
            return redirect(self._base_url, f"/simple/{project.normalized_name}/", _page_cache_headers(86400, key))
        format_ = HTML if self.dialect.is_html_only else _negotiated(request.headers["Accept"])
        whole = pages.project_page(project, self._base_url, self.dialect.hashes)
        page = edit(self.dialect.told(whole) if format_ == V1_JSON else whole)
        headers = _page_headers(format_, project.last_serial, 86400, key)
        return _page_answer(format_, headers, page, pages.render_project_html)

    def _json_api(self, request: Request, name: str, version: list[str], edit: Editor) -> Answer:
        project = self._world.served_project(name)
        value = self._json_value(project, version)
        if project is None or value is None:
            headers = (("Content-Type", "application/json"), *CORS, *REFERRER, *VARY_ENCODING)
            return Answer(404, headers, b'{"message": "Not Found"}')
        cache_headers = _json_cache_headers(project, "release" if version else "project")
        if name != canonicalize_name(name):
            path = request.path.replace(f"/pypi/{request.path.split('/')[2]}/", f"/pypi/{project.normalized_name}/", 1)
            return redirect(self._base_url, path, cache_headers)
        headers = (
            (SERIAL_HEADER, str(project.last_serial)),
            ("Content-Type", "application/json"),
            *REFERRER,
            *cache_headers,
        )
        return Answer(200, headers, pages.render_json(edit(value)), has_etag=True)

    def _json_value(self, project: Project | None, version: list[str]) -> dict[str, Any] | None:
        if project is None:
            return None
        if version:
            return json_api.release_value(project, version[0], self._base_url)
        return json_api.project_value(project, self._base_url)


def _negotiated(accept: str | None) -> str:
    """Return the format for an Accept header: never a 406, text/html when in doubt."""
    qualities = parse_qualities(accept or "*/*")

    def quality(offer: str) -> float:
        ranges = (offer, f"{offer.partition('/')[0]}/*", "*/*")
        return next((qualities[each] for each in ranges if each in qualities), 0.0)

    # max() takes the first of equals, which is the server's own order of preference.
    best = max((HTML, V1_HTML, V1_JSON), key=quality)
    return best if quality(best) > 0 else HTML


def _page_headers(format_: str, serial: int, surrogate_seconds: int, surrogate_key: str) -> Headers:
    return (
        ("Content-Type", "text/html; charset=UTF-8" if format_ == HTML else format_),
        (SERIAL_HEADER, str(serial)),
        *SANDBOX,
        *REFERRER,
        *_page_cache_headers(surrogate_seconds, surrogate_key),
    )


def _page_cache_headers(surrogate_seconds: int, surrogate_key: str) -> Headers:
    """Return the headers that pages share with redirects to them."""
    return (
        *CORS,
        ("Cache-Control", "max-age=600, public"),
        _surrogate_control(surrogate_seconds),
        ("Surrogate-Key", surrogate_key),
        *VARY_ACCEPT,
    )


def _json_cache_headers(project: Project, kind: str) -> Headers:
    keys = sorted(["all-legacy-json", f"{kind}-legacy-json", f"project/{project.normalized_name}"])
    return (
        *CORS,
        ("Cache-Control", "max-age=900, public"),
        _surrogate_control(86400),
        ("Surrogate-Key", " ".join(keys)),
        *VARY_ENCODING,
    )


def _page_answer(
    format_: str, headers: Headers, value: object, render_html: Callable[[dict[str, Any]], bytes]
) -> Answer:
    if format_ != V1_JSON and isinstance(value, dict):
        return Answer(200, headers, render_html(value), has_etag=True)
    return Answer(200, headers, pages.render_json(value), has_etag=True)


def _surrogate_control(seconds: int) -> tuple[str, str]:
    return ("Surrogate-Control", f"max-age={seconds}, stale-while-revalidate=300, stale-if-error=86400")


def _page_not_found() -> Answer:
    html = b"<!DOCTYPE html>\n<html><head><title>Page Not Found</title></head></html>\n"
    return Answer(404, (("Content-Type", "text/html; charset=UTF-8"), *REFERRER, *VARY_ENCODING), html)
