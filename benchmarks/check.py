"""Says whether a run did its work: all pages, all files by size and digest, and nothing else on disk."""

import hashlib
import json
import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from benchmarks.dataset import File, Project, listed_name

PAGES = ("index.html", "index.v1_html", "index.v1_json")


class WrongMirrorError(Exception):
    """A folder is not what it must be after a run; the message names the first thing that differs."""


@dataclass(frozen=True)
class Expected:
    """What a mirror must hold: these projects, and by its own records so many that are only listed."""

    projects: Sequence[Project]
    listed: int = 0
    has_serials: bool = True
    """Whether the mirror has upstream's serials, and does not count its own changes."""

    @property
    def files(self) -> list[File]:
        """All files of the projects."""
        return [file for project in self.projects for file in project.files]


def check_mirror(tree: Path, expected: Expected, record: str) -> None:
    """Check a mirror's pages, files and state; ``record`` is the file that has the serial.

    Raises:
        WrongMirrorError: something differs.
    """
    serial = max(project.serial for project in expected.projects)
    if expected.has_serials:
        _same(record, _text(tree / record).strip(), str(serial))
    if (tree / "todo").exists():
        raise WrongMirrorError("todo: there is work left")
    simple = tree / "web" / "simple"
    names = {project.name for project in expected.projects}
    _same_set("web/simple", set(os.listdir(simple)), names | set(PAGES))
    for project in expected.projects:
        _check_pages(simple / project.name, project, has_serial=expected.has_serials)
    _check_root(simple, names | {listed_name(number) for number in range(expected.listed)})
    check_files(tree / "web", expected.files, has_metadata=True)


def check_files(top: Path, files: Sequence[File], *, has_metadata: bool) -> None:
    """Check that exactly these files are below ``packages/``, whole, and where wanted with their core metadata.

    Raises:
        WrongMirrorError: something differs.
    """
    wanted = {file.path: file.sha256 for file in files}
    if has_metadata:
        wanted |= {f"{file.path}.metadata": file.metadata_sha256 for file in files if file.metadata_sha256}
    _same_set("packages", set(files_below(top, "packages")), set(wanted))
    for file in files:
        _same(f"{file.path}: size", (top / file.path).stat().st_size, file.size)
    for path, sha256 in wanted.items():
        _same(f"{path}: sha256", digest(top / path), sha256)


def files_below(top: Path, folder: str) -> list[str]:
    """Return the paths, relative to ``top``, of all files below one of its folders."""
    found = []
    for at, _, names in os.walk(top / folder):
        inside = os.path.relpath(at, top)
        found += [f"{inside}/{name}" for name in names]
    return found


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _check_pages(folder: Path, project: Project, *, has_serial: bool) -> None:
    _same_set(f"web/simple/{project.name}", set(os.listdir(folder)), set(PAGES))
    page = json.loads(_text(folder / "index.v1_json"))
    if has_serial:
        _same(f"{project.name}: serial", int(page["meta"]["_last-serial"]), project.serial)
    told = {
        entry["filename"]: (
            _resolved(project, entry["url"]),
            entry["size"],
            entry["hashes"]["sha256"],
            _metadata(entry),
        )
        for entry in page["files"]
    }
    wanted = {file.filename: (file.path, file.size, file.sha256, file.metadata_sha256) for file in project.files}
    _same_set(f"{project.name}: JSON page", set(told), set(wanted))
    for filename, facts in wanted.items():
        _same(f"{project.name}: {filename}", told[filename], facts)
    links = {f"{file.path}#sha256={file.sha256}" for file in project.files}
    for name in ("index.html", "index.v1_html"):
        found = re.findall(r'<a href="([^"]+)"', _text(folder / name))
        _same_set(f"{project.name}: {name}", {_resolved(project, link) for link in found}, links)


def _metadata(entry: dict[str, object]) -> str | None:
    told = entry["core-metadata"]
    return str(told["sha256"]) if isinstance(told, dict) else None


def _check_root(simple: Path, names: set[str]) -> None:
    listed = json.loads(_text(simple / "index.v1_json"))["projects"]
    told = [project["name"].lower().replace("_", "-") for project in listed]
    _same("root index: projects", len(told), len(names))
    _same_set("root index", set(told), names)
    for page in ("index.html", "index.v1_html"):
        links = re.findall(r'<a href="([^"]+)/"', _text(simple / page))
        _same_set(f"root index: {page}", {link.rpartition("/")[2] for link in links}, names)


def _resolved(project: Project, link: str) -> str:
    return posixpath.normpath(posixpath.join(f"simple/{project.name}", unquote(link)))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as error:
        raise WrongMirrorError(f"{path.name}: no such file") from error


def _same(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise WrongMirrorError(f"{what}: {got} and not {wanted}")


def _same_set(what: str, got: set[str], wanted: set[str]) -> None:
    missing, extra = sorted(wanted - got), sorted(got - wanted)
    if missing:
        raise WrongMirrorError(f"{what}: {missing[0]} is missing ({len(missing)} in all)")
    if extra:
        raise WrongMirrorError(f"{what}: {extra[0]} should not be there ({len(extra)} in all)")
