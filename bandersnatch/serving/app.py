"""The WSGI application of the site: from a request to its status, headers and file."""

import logging
import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from io import BytesIO
from typing import IO, TYPE_CHECKING

from msgspec import Struct

from bandersnatch.errors import StorageError
from bandersnatch.serving.conditions import UnsatisfiableRangeError, requested_span, status_of_conditions, validators
from bandersnatch.serving.site import Document, Redirect, Site
from bandersnatch.shown_text import shown

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

logger = logging.getLogger(__name__)

SERIAL_HEADER = "X-PyPI-Last-Serial"
NO_XMLRPC = """\
This mirror has no XML-RPC.
To mirror it, follow its static journal, /changes/index.json, or its root index, /simple/.
(bandersnatch: api-method = simple)
"""
_WELCOME = """\
<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>bandersnatch</title>
  </head>
  <body>
    <p>A mirror of a Python package index, for installers: <a href="simple/">simple/</a></p>
  </body>
</html>
"""
_XMLRPC_PATHS = ("/pypi", "/pypi/", "/RPC2")
_HTML, _TEXT = "text/html; charset=utf-8", "text/plain; charset=utf-8"
_ALLOWED = ("GET", "HEAD")


class Answer(Struct):
    """A status, headers, and a body that is closed by whoever sends it."""

    status: int
    headers: dict[str, str]
    body: IO[bytes]
    size_bytes: int


class MirrorApp:
    """The site as a WSGI application. Thread-safe."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request, as PEP 3333 says."""
        method, path = environ["REQUEST_METHOD"], _path_of(environ)
        answer = self._answer(method, path, _headers_of(environ))
        if logger.isEnabledFor(logging.DEBUG):
            agent = shown(environ.get("HTTP_USER_AGENT", ""))
            logger.debug(
                "%s %s %s: %d, %d bytes (%s)",
                environ.get("REMOTE_ADDR", ""), shown(method), shown(path or "?"), answer.status, answer.size_bytes, agent,
            )  # fmt: skip
        has_body = answer.status != HTTPStatus.NOT_MODIFIED
        headers = answer.headers | ({"Content-Length": str(answer.size_bytes)} if has_body else {})
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", list(headers.items()))
        if method == "HEAD" or not has_body:
            answer.body.close()
            return []
        # The server's own wrapper sends a file without a thread that waits for the client.
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](answer.body, 65536)
        return wrapped

    def _answer(self, method: str, path: str | None, asked: Mapping[str, str]) -> Answer:
        if path is None:
            return _text(400, "The path is not UTF-8.\n")
        if method not in _ALLOWED:
            reason = NO_XMLRPC if method == "POST" and path in _XMLRPC_PATHS else "Only GET and HEAD are answered.\n"
            return _text(405, reason, {"Allow": ", ".join(_ALLOWED)})
        try:
            found = self._site.find(path, asked.get("accept"))
        except StorageError as error:
            logger.warning("%s", error)
            return _text(500, "The mirror's disk can't be read.\n")
        if found is None and path == "/":
            return _text(200, _WELCOME, {"Content-Type": _HTML})
        if found is None and path.startswith(("/json/", "/pypi/")):
            return _text(404, '{"message": "Not Found"}', {"Content-Type": "application/json"})
        if found is None:
            return _text(404, "404 Not Found\n")
        if isinstance(found, Redirect):
            return _text(301, f"The document is at {found.location}\n", {"Location": found.location})
        return _document(method, found, asked)


def _document(method: str, found: Document, asked: Mapping[str, str]) -> Answer:
    """Return a document, or the part of it that the headers ask for."""
    size = found.status.st_size
    current = validators(found.status.st_ino, size, found.status.st_mtime_ns)
    headers = {"ETag": current.etag, "Last-Modified": current.last_modified}
    if found.cache is not None:
        headers["Cache-Control"] = found.cache
    if found.is_negotiated:
        headers["Vary"] = "Accept"
    if found.serial is not None:
        headers[SERIAL_HEADER] = str(found.serial)
    status = status_of_conditions(asked, current)
    if status != 200:
        found.file.close()
        return Answer(304, headers, BytesIO(), 0) if status == 304 else _text(412, "The document is another one.\n")
    headers |= {
        "Content-Type": found.content_type,
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
    }
    try:
        span = requested_span(asked, current, size, time.time()) if method == "GET" else None
    except UnsatisfiableRangeError:
        found.file.close()
        return _text(416, "The document is shorter.\n", {"Content-Range": f"bytes */{size}"})
    if span is None:
        return Answer(200, headers, found.file, size)
    found.file.seek(span.begin)
    headers["Content-Range"] = f"bytes {span.begin}-{span.end - 1}/{size}"
    return Answer(206, headers, found.file, span.end - span.begin)


def _text(status: int, text: str, headers: Mapping[str, str] | None = None) -> Answer:
    body = text.encode()
    return Answer(status, {"Content-Type": _TEXT, **(headers or {})}, BytesIO(body), len(body))


def _path_of(environ: "WSGIEnvironment") -> str | None:
    """Return the path of a request, or None if it is not UTF-8."""
    try:
        return str(environ.get("PATH_INFO", "")).encode("latin-1").decode("utf-8") or "/"
    except UnicodeDecodeError:
        return None


def _headers_of(environ: "WSGIEnvironment") -> dict[str, str]:
    """Return the headers of a request by their names in lower case."""
    names = {name: name.removeprefix("HTTP_").lower().replace("_", "-") for name in environ if name.startswith("HTTP_")}
    return {names[name]: str(environ[name]) for name in names}
