"""The made-up index as a folder that nginx serves: made once, kept, changed and put back.

``www/`` is what is served, ``journal`` what XML-RPC answers from, ``serials.map`` the serial header of each page.
All times follow from serials, so that an index which was changed and put back has the ETags that it had before.
"""

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import pages
from benchmarks.archives import Archive
from benchmarks.dataset import File, Project, Size, listed_name, make_projects, serial_of, upload
from benchmarks.forms import JOURNAL, Form

FORMAT = 4
"""To be raised whenever the same size makes other files; older folders are then made again."""
JSON_PAGE, HTML_PAGE = "index.v1_json", "index.html"


@dataclass(frozen=True)
class Index:
    """An index on disk, at the URL that its pages name."""

    folder: Path
    url: str
    size: Size
    projects: tuple[Project, ...]
    form: Form = JOURNAL

    @property
    def is_secure(self) -> bool:
        """Whether it is to be served over TLS."""
        return self.url.startswith("https:")

    @property
    def www(self) -> Path:
        """What the web server shows."""
        return self.folder / "www"

    @property
    def files(self) -> list[File]:
        """All files of all projects."""
        return [file for project in self.projects for file in project.files]

    def put_back(self) -> None:
        """Undo ``upload``, also of a process that died."""
        marker = self.folder / "changed"
        if marker.exists():
            names = set(marker.read_text().split())
            self._publish(project for project in self.projects if project.name in names)
            self._record(self.projects)
            marker.unlink()

    def upload(self, share: float, rounds: int) -> tuple[Project, ...]:
        """Add a file to that share of all projects, so many times after another; return all projects as they are then."""
        now = upload(self.projects, share, rounds, self.size, self._keep)
        changed = [project for project, before in zip(now, self.projects, strict=True) if project != before]
        (self.folder / "changed").write_text("".join(f"{project.name}\n" for project in changed))
        self._publish(changed)
        self._record(now)
        return now

    def _keep(self, file: File, archive: Archive) -> None:
        target = self.www / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(archive.content)
        if archive.core_metadata is not None and self.size.has_legacy:
            Path(f"{target}.metadata").write_bytes(archive.core_metadata)

    def _publish(self, projects: Iterable[Project]) -> None:
        for project in projects:
            simple, legacy = self.www / "simple" / project.name, self.www / "pypi" / project.name
            page = pages.project_json if self.form.has_serials else pages.plain_json
            self._write(simple / JSON_PAGE, [page(project, self.url)], project.serial)
            if self.size.has_legacy:
                self._write(simple / HTML_PAGE, [pages.project_html(project, self.url)], project.serial)
                self._write(legacy / "json", [pages.legacy_json(project, self.url)], project.serial)

    def _record(self, projects: Sequence[Project]) -> None:
        """Write all that tells of all projects."""
        last = max(project.serial for project in projects)
        listed = [(listed_name(number), serial_of(number)) for number in range(self.size.listed)]
        serials = sorted(listed + [(project.name, project.serial) for project in projects])
        lines = [f"{project.name} {project.serial};\n" for project in projects]
        if self.form.has_serials:
            self._write(self.folder / "serials.map", [f"default {last};\n".encode(), *map(str.encode, lines)], last)
            self._write(self.www / "simple" / JSON_PAGE, pages.root_json(serials, last), last)
        else:
            self._write(self.folder / "serials.map", [b'default "";\n'], last)
            told = last if self.form.has_whole_serial else None
            self._write(self.www / "simple" / JSON_PAGE, [pages.names_json((name for name, _ in serials), told)], last)
        if self.size.has_legacy:
            self._write(self.www / "simple" / HTML_PAGE, pages.root_html(name for name, _ in serials), last)
        named = listed + [(project.display_name, project.serial) for project in projects]
        named.sort(key=lambda pair: (len(pair[0]), pair[0]))  # PyPI's list is in this order
        journal = (f"{name} {serial}\n" for name, serial in named)
        self._write(self.folder / "journal", map(str.encode, journal), last)

    def _write(self, path: Path, pieces: Iterable[bytes], serial: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as written:
            written.writelines(pieces)
        os.utime(path, (1_700_000_000 + serial, 1_700_000_000 + serial))


def build(folder: Path, url: str, size: Size) -> Index:
    """Make an index in a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    empty = Index(folder, url, size, ())
    index = Index(folder, url, size, tuple(make_projects(size, empty._keep)))  # noqa: SLF001 - of the same class
    index._publish(index.projects)  # noqa: SLF001
    index._record(index.projects)  # noqa: SLF001
    record = {**_key(url, size), "projects": [asdict(project) for project in index.projects]}
    (folder / "manifest.json").write_text(json.dumps(record))
    os.sync()
    return index


def build_twin(index: Index, folder: Path, url: str, size: Size, form: Form = JOURNAL) -> Index:
    """Make an index in a new folder with the files of one that is there; its pages have another URL, or another form."""
    shutil.rmtree(folder, ignore_errors=True)
    twin = Index(folder, url, size, index.projects, form)
    twin._publish(twin.projects)  # noqa: SLF001
    twin._record(twin.projects)  # noqa: SLF001
    (twin.www / "packages").symlink_to(index.www / "packages")
    return twin


def load_or_build(folder: Path, url: str, size: Size) -> Index:
    """Return the index of that size, from disk where it was made before."""
    try:
        record = json.loads((folder / "manifest.json").read_text())
    except FileNotFoundError:
        return build(folder, url, size)
    made = record.pop("projects")
    if record != json.loads(json.dumps(_key(url, size))):
        return build(folder, url, size)
    projects = tuple(
        Project(each["name"], each["serial"], tuple(File(**file) for file in each["files"])) for each in made
    )
    index = Index(folder, url, size, projects)
    index.put_back()
    return index


def _key(url: str, size: Size) -> dict[str, object]:
    return {"format": FORMAT, "url": url, "size": asdict(size)}
