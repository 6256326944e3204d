"""A small index of static answers, in any of the forms that indexes have; its files are at a host of their own."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urljoin

from tests.support.processes import process_at

JSON, HTML = "application/vnd.pypi.simple.v1+json", "text/html"


@dataclass(frozen=True, slots=True)
class Form:
    """What an index has, and how it says it."""

    folder: str = "/simple"
    """Where the root index and the pages are."""
    root: str | None = JSON
    """The type of the root index; None is 404."""
    pages: str = JSON
    has_serials: bool = False
    """Whether the root index and the pages tell serials."""
    has_index_serial: bool = True
    """Whether the index, if it has serials, tells its own."""
    has_whole_serial: bool = False
    """Whether the index tells its own serial, though its projects have none."""
    serials_are_text: bool = False
    has_etags: bool = True
    promises_metadata: bool = False
    """Whether pages tell of core metadata, without a digest; there is none to be fetched."""
    is_shadowmire: bool = False
    """Whether it has shadowmire's two files, and pages with serials."""


@dataclass(slots=True)
class File:
    """A file of a project."""

    content: bytes
    is_yanked: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What one path gives."""

    status: int
    body: bytes = b""
    type: str = HTML
    location: str = ""


class StaticIndex:
    """The index, its story, and what it was asked for."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.projects: dict[str, dict[str, File]] = {}
        self.serials: dict[str, int] = {}
        self.serial = 0
        self.requests: list[str] = []
        """Method, path and status of each request."""
        self.headers: list[dict[str, str]] = []
        """The header fields of each request."""
        self.askers: set[int | None] = set()
        """The processes that have asked for something."""
        self.in_place_of: dict[str, Answer] = {}
        """What is sent in place of the honest answer, by path."""
        self.is_down = False
        self.confuses_etags = False
        """Whether a conditional request is answered as if it were for another page."""
        self.url = self.files_url = ""

    def add(self, name: str, *filenames: str, content: bytes | None = None) -> None:
        """Add files to a project, which may be new."""
        files = self.projects.setdefault(name, {})
        files |= {each: File(content if content is not None else f"content of {each}".encode()) for each in filenames}
        self._touch(name)

    def yank(self, name: str, filename: str) -> None:
        """Mark a file as yanked."""
        self.projects[name][filename].is_yanked = True
        self._touch(name)

    def remove(self, name: str, filename: str | None = None) -> None:
        """Remove a file, or a whole project."""
        if filename is None:
            del self.projects[name], self.serials[name]
            self.serial += 1
        else:
            del self.projects[name][filename]
            self._touch(name)

    def asked(self) -> list[str]:
        """Return what was asked since the last call."""
        asked, self.requests = self.requests, []
        return asked

    def answer(self, path: str) -> Answer:
        """Return the answer to a request."""
        if self.is_down:
            return Answer(503)
        if path in self.in_place_of:
            return self.in_place_of[path]
        if (inside := unquote(path).removeprefix(self.form.folder)) != unquote(path) or not self.form.folder:
            answer = self._simple(inside.split("/")[1:])
            if answer is not None:
                return answer
        match unquote(path).split("/")[1:]:
            case ["whl", name, filename] if filename in self.projects.get(name, {}):
                return Answer(200, self.projects[name][filename].content, "application/octet-stream")
            case ["local.json"] if self.form.is_shadowmire:
                return Answer(200, json.dumps(self.serials).encode(), "application/json")
            case ["local.db.serial"] if self.form.is_shadowmire:
                return Answer(200, f"{self.serial}".encode(), "application/octet-stream")
            case _:
                return Answer(404)

    def _simple(self, segments: list[str]) -> Answer | None:
        match segments:
            case [""] if self.form.root is not None:
                return self._root()
            case [name, ""] if name in self.projects:
                return self._page(name)
            case _:
                return None

    def assert_held(self, directory: Path, *names: str) -> None:
        """Assert that the mirror has what the index has, and nothing else: of all projects, or of these."""
        wanted = set(names or self.projects)
        simple = directory / "web" / "simple"
        assert {path.name for path in simple.iterdir() if path.is_dir()} == wanted
        root = json.loads((simple / "index.v1_json").read_bytes())
        assert {project["name"] for project in root["projects"]} == wanted
        listed = set()
        for name in wanted:
            page = json.loads((simple / name / "index.v1_json").read_bytes())
            told = {file["filename"]: file for file in page["files"]}
            assert told.keys() == self.projects[name].keys()
            for filename, file in self.projects[name].items():
                assert told[filename]["yanked"] is file.is_yanked
                path = directory / "web" / unquote(urljoin(f"simple/{name}/", told[filename]["url"]))
                assert path.read_bytes() == file.content
                listed.add(path)
        packages = directory / "web" / "packages"
        assert {path for path in packages.rglob("*") if path.is_file()} == listed

    def _touch(self, name: str) -> None:
        self.serial += 1
        self.serials[name] = self.serial

    def _told(self, serial: int, *, is_told: bool) -> dict[str, Any]:
        return {"_last-serial": str(serial) if self.form.serials_are_text else serial} if is_told else {}

    def _root(self) -> Answer:
        if self.form.root == HTML:
            links = "".join(f'<a href="{name}/">{name}</a>\n' for name in self.projects)
            return Answer(200, f"<!DOCTYPE html><html><body>\n{links}</body></html>".encode(), HTML)
        projects = [
            {"name": name} | self._told(self.serials[name], is_told=self.form.has_serials) for name in self.projects
        ]
        is_told = (self.form.has_serials and self.form.has_index_serial) or self.form.has_whole_serial
        meta = {"api-version": "1.0"} | self._told(self.serial, is_told=is_told)
        return Answer(200, json.dumps({"meta": meta, "projects": projects}).encode(), JSON)

    def _page(self, name: str) -> Answer:
        files: list[dict[str, Any]] = [
            {
                "filename": filename,
                "url": f"{self.files_url}/whl/{name}/{quote(filename)}",
                "hashes": {"sha256": sha256(file.content).hexdigest()},
                "yanked": file.is_yanked,
            }
            | ({"core-metadata": True} if self.form.promises_metadata else {})
            for filename, file in self.projects[name].items()
        ]
        if self.form.pages == JSON:
            meta = {"api-version": "1.0"} | self._told(
                self.serials[name], is_told=self.form.has_serials or self.form.is_shadowmire
            )
            value = {"meta": meta, "name": name, "files": files}
            return Answer(200, json.dumps(value).encode(), JSON)
        metadata = ' data-dist-info-metadata="true"' if self.form.promises_metadata else ""
        links = "".join(
            f'<a href="{file["url"]}#sha256={file["hashes"]["sha256"]}"{" data-yanked" if file["yanked"] else ""}{metadata}>'
            f"{file['filename']}</a>\n"
            for file in files
        )
        title = f"<title>Links for {name}</title>"
        return Answer(200, f"<!DOCTYPE html><html><head>{title}</head><body>\n{links}</body></html>".encode(), HTML)


_Index = TypeVar("_Index", bound=StaticIndex)


@contextmanager
def static_index(form: Form) -> Iterator[StaticIndex]:
    """Serve an index of this form on loopback."""
    with served(StaticIndex(form)) as index:
        yield index


@contextmanager
def served(index: _Index) -> Iterator[_Index]:
    """Serve an index on loopback, at two ports: one is for its files."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            answer = index.answer(self.path)
            etag = f'"{sha256(answer.body).hexdigest()[:16]}"'
            is_same = answer.status == 200 and self.headers["If-None-Match"] == etag and index.form.has_etags
            if index.confuses_etags and answer.status == 200 and self.headers["If-None-Match"]:
                etag, is_same = '"of-another-page"', True
            status = 304 if is_same else answer.status
            index.requests.append(f"{self.command} {self.path} {status}")
            index.headers.append(dict(self.headers.items()))
            index.askers.add(process_at(self.client_address[1], self.connection.getsockname()[1]))
            self.send_response(status)
            if index.form.has_etags and answer.status == 200:
                self.send_header("ETag", etag)
            self.send_header("Content-Type", answer.type)
            if answer.location:
                self.send_header("Location", answer.location)
            self.send_header("Content-Length", "0" if is_same else str(len(answer.body)))
            self.end_headers()
            self.wfile.write(b"" if is_same else answer.body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            index.requests.append(f"POST {self.path} 405")
            self.send_response(405)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object, **__: object) -> None:
            """Say nothing."""

    with ExitStack() as stack:
        index.url, index.files_url = (stack.enter_context(_served(Handler)) for _ in range(2))
        yield index


@contextmanager
def serve_tree(web: Path) -> Iterator[str]:
    """Serve the folder ``web`` of a mirror as a web server of plain files does; yield its URL."""

    class Handler(SimpleHTTPRequestHandler):
        extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".v1_json": JSON}  # noqa: RUF012 - as there

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(web))

        def send_head(self) -> Any:
            if self.path.endswith("/"):
                self.path += "index.v1_json"
            return super().send_head()

        def do_POST(self) -> None:
            self.send_error(405)

        def log_message(self, *_: object, **__: object) -> None:
            """Say nothing."""

    with _served(Handler) as url:
        yield url


@contextmanager
def _served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
