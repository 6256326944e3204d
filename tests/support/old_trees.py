"""Makes, out of a fresh mirror, the trees that other programs write: bandersnatch 2.x and 5.x, and shadowmire.

Each tree has all that was found in the wild together: pages in the form of that program, its state, its folders, and what
its killed runs leave.
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from tests.support.fakepypi import FakePyPI

SHADOWMIRE_FILES = (
    "local.db", "local.db.serial", "local.json", "plan.json", "remote.json", "remote_excluded.json",
)  # fmt: skip
"""What shadowmire has beside the pages; what we do not write ourselves stays."""


@dataclass(slots=True)
class Left:
    """What a tree has that must be put right, as a run counts it."""

    renamed: int = 0
    leftovers: int = 0

    def add(self, path: Path, content: str | bytes = b"half of it") -> None:
        """Leave a file that nobody needs any more."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.leftovers += 1


def tell_story(pypi: FakePyPI) -> None:
    """Tell of names that are not normalized, of a yank, and of files at the paths of before 2016."""
    pypi.add_file("Foo.Bar", "1.0", requires_python=">=3.8")
    pypi.add_file("Foo.Bar", "2.0", kind="sdist", core_metadata=False)
    pypi.add_file("Zeta_Tools", "1.0")
    pypi.yank("Zeta_Tools", "1.0", "broken & <bad>")
    pypi.add_file("z", "1.0")
    old = "packages/source/o/old-timer/old-timer-0.9.tar.gz"
    pypi.add_file("old-timer", "0.9", kind="sdist", filename="old-timer-0.9.tar.gz", path=old)
    egg = "old_timer-0.9-py2.7.egg"
    pypi.add_file("old-timer", "0.9", filename=egg, path=f"packages/2.7/o/old-timer/{egg}", core_metadata=False)


def as_bandersnatch_2(directory: Path, pypi: FakePyPI) -> Left:
    """HTML pages only, in folders by first letter, under the names that upstream shows; JSON behind absolute links."""
    web, left = directory / "web", Left()
    pages = _take_pages_away(web)
    for name, page in pages.items():
        raw = pypi.display_name(name)
        left.renamed += raw != name
        folder = web / "simple" / raw[0] / raw
        folder.mkdir(parents=True)
        (folder / "index.html").write_text(_html(raw, page, says_version=False))
        (web / "json" / raw).parent.mkdir(exist_ok=True)
        (web / "json" / raw).write_text("{}")
        (web / "pypi" / raw).mkdir(parents=True)
        (web / "pypi" / raw / "json").symlink_to(web / "json" / raw)
        left.leftovers += 2 * (raw != name)
    (web / "simple" / "index.html").write_text("<html></html>")
    # A project that was written under another name before: one of its two folders goes.
    shutil.copytree(web / "simple/Z/Zeta_Tools", web / "simple/Z/ZETA-tools")
    left.leftovers += 1
    for path in (web / "packages").rglob("*.metadata"):
        path.unlink()
    (web / "local-stats" / "days").mkdir(parents=True)
    left.add(web / "serversig" / "Foo.Bar", "signature")
    left.add(web / "simple" / "F" / "Foo.Bar" / ".index.html.k2_x9abc")
    _leave_half_written(web, left)
    _leave_state(directory, left)
    return left


def as_bandersnatch_5(directory: Path, pypi: FakePyPI) -> Left:
    """Pages behind absolute links to versions, JSON in copies and behind relative links; folders of version 3 besides."""
    web, left = directory / "web", Left()
    for name, page in _take_pages_away(web).items():
        folder = web / "simple" / name
        version = folder / "versions" / f"index_{page['meta']['_last-serial']}_2021-05-06T070809.123456Z.html"
        version.parent.mkdir(parents=True)
        version.write_text(_html(pypi.display_name(name), page))
        (folder / "index.html").symlink_to(version)
        (web / "json" / name).parent.mkdir(exist_ok=True)
        (web / "json" / name).write_text("{}")
        (web / "pypi" / name).mkdir(parents=True)
        (web / "pypi" / name / "json").symlink_to(f"../../json/{name}")
    (web / "simple" / "index.html").write_text("<html></html>")
    (web / "pypi" / "z" / "json").unlink()
    (web / "pypi" / "z" / "json").write_text("{}")
    (web / "simple" / "Foo.Bar").mkdir()
    left.add(web / "simple" / "Foo.Bar" / "index.html", (web / "simple" / "foo-bar" / "index.html").read_bytes())
    left.add(web / "json" / "z.new", "{}")
    left.add(web / "json" / "removed-long-ago", "{}")
    left.add(web / "pypi" / "removed-long-ago" / "json", "{}")
    for path in (web / "packages").rglob("*.metadata"):
        path.unlink()
    left.add(web / "simple" / "foo-bar" / "versions" / ".index_9_2021-05-06T070809.123456Z.html.abcdefgh")
    _leave_half_written(web, left)
    _leave_state(directory, left)
    return left


def as_shadowmire(directory: Path, pypi: FakePyPI) -> Left:
    """Its root is what we have as `web`; it has JSON of all projects, links for pages, and a database of its own."""
    root, left = directory.with_name("pypi"), Left()
    (directory / "web").rename(root)
    shutil.rmtree(directory)
    (root / "last-modified").unlink()
    (root / "json").mkdir()
    serials = {}
    for name, page in _take_pages_away(root).items():
        folder = root / "simple" / name
        folder.mkdir()
        serials[name] = page["meta"]["_last-serial"]
        (folder / "index.v1_html").write_text(_html(pypi.display_name(name), page))
        (folder / "index.html").symlink_to("index.v1_html")
        (folder / "index.v1_json").write_text(json.dumps(_older_json(pypi.display_name(name), page)))
        (root / "json" / name).write_text("{}")
    (root / "simple" / "index.v1_html").write_text("<html></html>")
    (root / "simple" / "index.html").symlink_to("index.v1_html")
    root_index = {"meta": {"api-version": "1.1", "_last-serial": 9}, "projects": [{"name": name} for name in serials]}
    (root / "simple" / "index.v1_json").write_text(json.dumps(root_index))
    with closing(sqlite3.connect(root / "local.db")) as database, database:
        database.execute("CREATE TABLE local (key TEXT PRIMARY KEY, value INT NOT NULL, file_serial INT)")
        database.executemany("INSERT INTO local VALUES (?, ?, NULL)", serials.items())
    for filename in SHADOWMIRE_FILES[1:]:
        (root / filename).write_text(json.dumps(serials))
    wheel = next((root / "packages").rglob("*.whl"))
    left.add(wheel.with_name(f"{wheel.name}.tmp"))
    left.add(wheel.with_name(f"{wheel.name}.metadata.tmp"))
    left.add(root / "packages" / "aa" / "bb" / "cc" / "gone-1.0.tar.gz.tmp")
    left.add(root / "simple" / "foo-bar" / "index.v1_json.tmp")
    left.add(root / "simple" / "index.v1_html.tmp")
    left.add(root / "json" / "z.tmp")
    left.add(root / "local.json.tmp")
    # As docs/moving-in.md says.
    directory.mkdir()
    root.rename(directory / "web")
    return left


OWN = (".lock", "web/last-modified", "web/changes/index.json")
"""What each mirror has of its own: the journal of one has no lines, and another id."""


def everything(directory: Path) -> dict[str, bytes | str]:
    """Return all that is below the directory, but for the times of runs and versions, and what is only our cache."""
    found: dict[str, bytes | str] = {}
    for path in directory.rglob("*"):
        name = path.relative_to(directory).as_posix()
        if "versions" in (path.name, path.parent.name) or name in OWN:
            continue
        if path.is_symlink() and os.readlink(path).startswith("versions/index_"):
            found[name] = b"a version: " + path.read_bytes()
        elif path.is_symlink():
            found[name] = f"a link to {os.readlink(path)}"
        elif path.is_dir():
            found[name] = "a folder"
        elif not name.startswith("inventory."):
            found[name] = path.read_bytes()
    return found


def _take_pages_away(web: Path) -> dict[str, dict[str, Any]]:
    """Delete all pages, and return what they said, by normalized name."""
    pages = {path.parent.name: json.loads(path.read_text()) for path in (web / "simple").glob("*/index.v1_json")}
    shutil.rmtree(web / "simple")
    (web / "simple").mkdir()
    return pages


def _html(raw_name: str, page: dict[str, Any], *, says_version: bool = True) -> str:
    """Return a page as bandersnatch wrote it, before there was core metadata."""
    version = '    <meta name="pypi:repository-version" content="1.0">\n' if says_version else ""
    title = f"Links for {raw_name}"
    return (
        f"<!DOCTYPE html>\n<html>\n  <head>\n{version}    <title>{title}</title>\n  </head>\n"
        f"  <body>\n    <h1>{title}</h1>\n"
        + "\n".join(_links(page))
        + f"\n  </body>\n</html>\n<!--SERIAL {page['meta']['_last-serial']}-->"
    )


def _links(page: dict[str, Any]) -> Iterator[str]:
    for file in page["files"]:
        requires = file["requires-python"]
        attributes = f' data-requires-python="{escape(requires)}"' if requires else ""
        url = f"{file['url']}#sha256={file['hashes']['sha256']}"
        yield f'    <a href="{url}"{attributes}>{file["filename"]}</a><br/>'


def _older_json(raw_name: str, page: dict[str, Any]) -> dict[str, Any]:
    """Return a page of API 1.1: with the serial as text, and without what came later."""
    kept = ("core-metadata", "data-dist-info-metadata", "filename", "requires-python", "size", "upload-time", "url")
    files = [
        {key: file.get(key) for key in kept}
        | {"yanked": bool(file["yanked"]), "hashes": {"sha256": file["hashes"]["sha256"]}}
        for file in page["files"]
    ]
    meta = {"api-version": "1.1", "_last-serial": str(page["meta"]["_last-serial"])}
    return {"files": files, "meta": meta, "name": raw_name, "versions": sorted(page["versions"])}


def _leave_half_written(web: Path, left: Left) -> None:
    wheel = next((web / "packages").rglob("*.whl"))
    left.add(wheel.with_name(f".{wheel.name}.k2_x9abc"))
    left.add(web / "packages" / "aa" / "bb" / "cc" / ".gone-1.0.tar.gz.abcdefgh")
    left.add(web / "simple" / ".index.html.abcdefgh")
    left.add(web / "json" / ".z.abcdefgh")


def _leave_state(directory: Path, left: Left) -> None:
    """Leave the state of a bandersnatch that ended with `sync`."""
    serial = (directory / "state").read_text().strip()
    for name in ("state", "inventory.sqlite", "fingerprint"):
        (directory / name).unlink()
    for name, text in (("status", serial), ("generation", "5"), ("todo", "None\nFoo.Bar 12")):
        (directory / name).write_text(text)
        (directory / name).chmod(0o600)
    left.leftovers += 2  # of the three, the status is used
    (directory / "web" / "last-modified").chmod(0o600)
