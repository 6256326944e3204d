"""Says whether a mirror on disk is what upstream publishes.

Reads the tree with readers of its own, so that a mistake in the mirror's code cannot
hide itself. The message names the first thing that differs.
"""

import json
import posixpath
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from tests.support.fakepypi import FakePyPI, UploadedFile
from tests.support.journal import told

API_VERSION = "1.4"
PAGE_FILES = {"html": "index.html", "v1_html": "index.v1_html", "v1_json": "index.v1_json"}
KeepsFile = Callable[[UploadedFile], bool]
TEMPORARY_SUFFIXES = (".tmp", ".temp", ".part", ".partial", "~")


def assert_mirror_matches(
    pypi: FakePyPI,
    directory: Path,
    *,
    formats: Collection[str] = frozenset(PAGE_FILES),
    core_metadata: bool = True,
    projects: Collection[str] | None = None,
    keeps_file: KeepsFile = lambda file: True,
    times: bool = True,
) -> None:
    """Assert that the mirror in `directory` holds what `pypi` publishes, and nothing else.

    `projects` are the normalized names that a filter lets through; None is all of them. `keeps_file` says which of their
    files one lets through; a version of which it keeps none is on no page.
    """
    names = sorted(pypi.project_names() if projects is None else projects)
    page_files = [filename for format_, filename in PAGE_FILES.items() if format_ in formats]
    _check_state(pypi, directory)
    # A project that was quarantined before the mirror had it is nowhere: only the journal could tell of it.
    simple = directory / "web" / "simple"
    quarantined = {name for name in names if pypi.page(name)["project-status"]["status"] == "quarantined"}
    names = [name for name in names if name not in quarantined or (simple / name).exists()]
    _check_project_folders(directory / "web", names, page_files)
    stored: list[str] = []
    for name in names:
        files = [file for file in pypi.files(name) if keeps_file(file)]
        expected = _expected_page(pypi, name, files, core_metadata)
        folder = directory / "web" / "simple" / name
        for filename in page_files:
            check = _check_json_page if filename == "index.v1_json" else _check_html_page
            check(folder / filename, expected)
        for file in files:
            stored += _stored(file, core_metadata)
            _check_file(directory / "web", file, core_metadata, times and pypi.dialect.tells_details)
    _check_root_index(pypi, simple, [name for name in names if name not in quarantined], page_files)
    _check_journal(directory / "web", set(names), quarantined)
    _check_nothing_else(directory, set(stored))


def _same(where: object, got: object, wanted: object) -> None:
    if got != wanted:
        raise AssertionError(f"{where}: the mirror has {got!r}, upstream has {wanted!r}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


# State


def _check_state(pypi: FakePyPI, directory: Path) -> None:
    _require((directory / "state").is_file(), "state: no such file")
    _same("state", (directory / "state").read_text().strip(), str(pypi.serial))
    _require(not (directory / "todo").exists(), "todo: there is still work to do")
    stamp_file = directory / "web" / "last-modified"
    _require(stamp_file.is_file(), "web/last-modified: no such file")
    stamp = stamp_file.read_text().strip()
    try:
        moment = datetime.strptime(stamp, "%Y%m%dT%H:%M:%S").replace(tzinfo=UTC)
        is_exact = moment.strftime("%Y%m%dT%H:%M:%S") == stamp
    except ValueError:
        is_exact = False
    _require(is_exact, f"web/last-modified: {stamp!r} is not of the form %Y%m%dT%H:%M:%S")


def _check_project_folders(web: Path, names: list[str], page_files: list[str]) -> None:
    simple = web / "simple"
    _require(simple.is_dir(), "web/simple: no such folder")
    _same_set("web/simple", {path.name for path in simple.iterdir() if path.is_dir()}, set(names))
    _same_set("web/simple", {path.name for path in simple.iterdir() if not path.is_dir()}, set(page_files))
    for name in names:
        _same_set(f"web/simple/{name}", {path.name for path in (simple / name).iterdir()}, set(page_files))


def _same_set(where: str, got: set[str], wanted: set[str]) -> None:
    missing, extra = sorted(wanted - got), sorted(got - wanted)
    _require(not missing, f"{where}: {missing[:5]} missing ({len(missing)} in all)")
    _require(not extra, f"{where}: {extra[:5]} should not be there ({len(extra)} in all)")


# Project pages


def _expected_page(pypi: FakePyPI, name: str, files: list[UploadedFile], core_metadata: bool) -> dict[str, Any]:
    """Return upstream's page of these files, with each URL as the path that the mirror must lead to."""
    page = pypi.page(name)
    paths = {file.filename: unquote(file.url_path) for file in files}
    dropped = {file.version for file in pypi.files(name)} - {file.version for file in files}
    page["versions"] = [version for version in page["versions"] if version not in dropped]
    page["files"] = [entry for entry in page["files"] if entry["filename"] in paths]
    for entry in page["files"]:
        entry["url"] = paths[entry["filename"]]
        if not core_metadata:
            entry["core-metadata"] = entry["data-dist-info-metadata"] = False
    if "sha256" not in pypi.dialect.hashes:  # what is told stays beside our own digest
        for file, entry in zip(files, page["files"], strict=True):
            entry["hashes"] |= pypi.dialect.told_digests(file)
    if not pypi.dialect.tells_details:
        _drop_details(page)
    return page


def _drop_details(page: dict[str, Any]) -> None:
    """Take out of a page what the mirror can't know where upstream does not tell it; sizes it finds out."""
    if page["files"]:
        del page["versions"]
        page["meta"]["api-version"] = "1.0"
    for entry in page["files"]:
        del entry["upload-time"]


def _check_json_page(path: Path, expected: dict[str, Any]) -> None:
    where = _name_of(path)
    page = json.loads(path.read_text("utf-8"))
    _require(isinstance(page, dict), f"{where}: not a JSON object")
    for key in ("meta", "name", "project-status", "versions"):
        _same(f"{where}: {key}", page.get(key), expected.get(key))
    _same_set(f"{where}: keys", set(page), set(expected))
    _same(f"{where}: filenames", [file.get("filename") for file in page["files"]], _filenames(expected))
    for file, wanted in zip(page["files"], expected["files"], strict=True):
        file["url"] = _resolved(where, file["url"])
        for key in wanted:
            _same(f"{where}: {wanted['filename']}: {key}", file.get(key), wanted[key])
        _same_set(f"{where}: {wanted['filename']}: keys", set(file), set(wanted))


def _check_html_page(path: Path, expected: dict[str, Any]) -> None:
    where = _name_of(path)
    page = read_html(path)
    _same(f"{where}: repository-version", page.metas.get("pypi:repository-version"), API_VERSION)
    _same(f"{where}: project-status", page.metas.get("pypi:project-status"), expected["project-status"]["status"])
    _same(f"{where}: comments", page.comments, [f"SERIAL {expected['meta']['_last-serial']}"])
    _same(f"{where}: filenames", [link.text for link in page.links], _filenames(expected))
    for link, file in zip(page.links, expected["files"], strict=True):
        wanted = _expected_attributes(file)
        got = dict(link.attributes)
        url, _, fragment = (got.get("href") or "").partition("#")
        got["href"] = f"{_resolved(where, url)}#{fragment}"
        for key in sorted(wanted.keys() | got.keys()):
            _same(f"{where}: {link.text}: {key}", got.get(key, "(none)"), wanted.get(key, "(none)"))


def _expected_attributes(file: dict[str, Any]) -> dict[str, str]:
    attributes = {"href": f"{file['url']}#sha256={file['hashes']['sha256']}"}
    if file["requires-python"]:
        attributes["data-requires-python"] = file["requires-python"]
    if file["yanked"]:
        attributes["data-yanked"] = "" if file["yanked"] is True else file["yanked"]
    if file["core-metadata"]:
        digest = f"sha256={file['core-metadata']['sha256']}"
        attributes["data-core-metadata"] = attributes["data-dist-info-metadata"] = digest
    if file["provenance"]:
        attributes["data-provenance"] = file["provenance"]
    return attributes


def _filenames(page: dict[str, Any]) -> list[str]:
    return [file["filename"] for file in page["files"]]


def _name_of(path: Path) -> str:
    return posixpath.join("web/simple", path.parent.name, path.name)


def _resolved(where: str, url: str) -> str:
    """Return the path below `web/` that a relative link on a project page leads to."""
    _require(url.startswith("../../packages/"), f"{where}: link {url!r} is not relative to ../../packages/")
    return posixpath.normpath(posixpath.join("/simple/name", unquote(url)))


# Files


def _check_file(web: Path, file: UploadedFile, core_metadata: bool, times: bool) -> None:
    path = web / unquote(file.url_path).lstrip("/")
    where = f"web{unquote(file.url_path)}"
    _require(path.is_file(), f"{where}: no such file")
    _same(f"{where}: size", path.stat().st_size, file.size)
    _same(f"{where}: sha256", _sha256(path), file.sha256)
    if times:
        _same(f"{where}: time of upload", int(path.stat().st_mtime), int(file.upload_time.timestamp()))
    if core_metadata and file.metadata is not None:
        metadata = path.with_name(path.name + ".metadata")
        _require(metadata.is_file(), f"{where}.metadata: no such file")
        _same(f"{where}.metadata: sha256", _sha256(metadata), file.metadata_sha256)


def _sha256(path: Path) -> str:
    hasher = sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1024 * 1024):
            hasher.update(chunk)
    return hasher.hexdigest()


def _stored(file: UploadedFile, core_metadata: bool) -> list[str]:
    """Return the paths of the file and of its metadata, where the mirror has them."""
    path = f"web{unquote(file.url_path)}"
    return [path, f"{path}.metadata"] if core_metadata and file.metadata is not None else [path]


def _check_nothing_else(directory: Path, wanted: set[str]) -> None:
    packages = directory / "web" / "packages"
    for path in sorted(directory.rglob("*")):
        where = path.relative_to(directory).as_posix()
        _require(where == ".lock" or not path.name.startswith("."), f"{where}: a hidden file was left over")
        is_temporary = path.name.endswith(TEMPORARY_SUFFIXES) and where not in wanted
        _require(not is_temporary, f"{where}: a temporary file was left over")
        if packages not in path.parents:
            continue
        if path.is_dir():
            _require(any(path.iterdir()), f"{where}: an empty folder was left over")
        else:
            _require(where in wanted, f"{where}: no page of upstream lists this file")


# The root index


def _check_root_index(pypi: FakePyPI, simple: Path, names: list[str], page_files: list[str]) -> None:
    for filename in page_files:
        where = f"web/simple/{filename}"
        if filename == "index.v1_json":
            index = json.loads((simple / filename).read_text("utf-8"))
            _same(f"{where}: api-version", index["meta"].get("api-version"), API_VERSION)
            got = [(entry.get("name"), entry.get("_last-serial")) for entry in index["projects"]]
            _same_rows(where, got, [(pypi.display_name(name), pypi.project_serial(name)) for name in names])
            continue
        page = read_html(simple / filename)
        _same(f"{where}: repository-version", page.metas.get("pypi:repository-version"), API_VERSION)
        links = [(link.text, _project_of(link.attributes.get("href") or "")) for link in page.links]
        _same_rows(where, links, [(pypi.display_name(name), name) for name in names])


def _check_journal(web: Path, names: set[str], quarantined: set[str]) -> None:
    """Check that the last line about each project says how it is; a journal that was begun anew has no lines."""
    if not (web / "changes").exists():
        return
    last = {str(canonicalize_name(name)): (kind, serial) for name, kind, serial in told(web)}
    for name, (kind, serial) in last.items():
        where = f"web/changes: {name}"
        held = "quarantined" if name in quarantined else "page"
        _same(f"{where}: change", kind, held if name in names else "removed")
        if kind != "removed" and (page := web / "simple" / name / "index.v1_json").exists():
            _same(f"{where}: serial", serial, json.loads(page.read_text("utf-8"))["meta"]["_last-serial"])


def _same_rows(where: str, got: list[tuple[Any, Any]], wanted: list[tuple[Any, Any]]) -> None:
    _same(f"{where}: number of projects", len(got), len(wanted))
    _same_set(f"{where}: projects", {str(row[0]) for row in got}, {str(row[0]) for row in wanted})
    job = [str(row[0]) for row in got]
    _same(f"{where}: order", job, sorted(job, key=canonicalize_name))
    for row, wanted_row in zip(got, wanted, strict=True):
        _same(f"{where}: {wanted_row[0]}", row, wanted_row)


def _project_of(href: str) -> str:
    """Return the project that a link of the root index leads to."""
    _require(href.endswith("/"), f"root index: link {href!r} does not end with a slash")
    return href.rstrip("/").rpartition("/")[2]


# Reading HTML


@dataclass(slots=True)
class Link:
    """One `<a>` with its attributes, unescaped."""

    attributes: dict[str, str | None]
    text: str = ""


@dataclass(slots=True)
class HtmlPage:
    """What an installer would read out of a page."""

    metas: dict[str, str] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = HtmlPage()
        self._open_link: Link | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "meta":
            self.page.metas[attributes.get("name") or ""] = attributes.get("content") or ""
        elif tag == "a":
            self._open_link = Link(attributes)
            self.page.links.append(self._open_link)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._open_link = None

    def handle_data(self, data: str) -> None:
        if self._open_link is not None:
            self._open_link.text += data

    def handle_comment(self, data: str) -> None:
        self.page.comments.append(data)


def read_html(path: Path) -> HtmlPage:
    """Return the links, meta tags and comments of a page."""
    reader = _Reader()
    reader.feed(path.read_text("utf-8"))
    reader.close()
    return reader.page
