"""Puts the pages of a project in place: as plain files, or as links to versions of which some earlier ones are kept.

The versions are named as other bandersnatch versions name them, ``versions/index_<serial>_<time>.html``. The links are
relative, so that the mirror can be moved and copied, and appear by one rename.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from msgspec import Struct

from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import ALL_PAGES, StoredPath, page_path

VERSIONS = "versions"
_VERSION = re.compile(r"index_(\d{1,19})_(.+?)\.(html|v1_html|v1_json)", re.ASCII)
_HALF_WRITTEN = re.compile(r"\.(index_\d+_.*\.(html|v1_html|v1_json)|[0-9a-f]{32})\.part", re.ASCII)
"""As an older version named them, and as they are named where ``web/simple`` is another filesystem."""


class PageStore(Struct, frozen=True):
    """The pages of all projects; ``keep_versions`` is how many versions of each there are, and 0 stands for plain files."""

    storage: FilesystemStorage
    keep_versions: int = 0

    def write(self, folder: StoredPath, pages: Mapping[str, bytes], serial: int) -> bool:
        """Let a folder have exactly these pages, by name; return whether that changed anything."""
        stamp = f"{serial}_{datetime.now(UTC):%Y-%m-%dT%H%M%S.%fZ}"
        changed = []
        for name in ALL_PAGES:
            path, data = page_path(folder, name), pages.get(name)
            if data is None:
                changed.append(self.storage.delete(path))
            elif self.keep_versions == 0:
                changed.append(self.storage.write_bytes(path, data))
            else:
                version = f"index_{stamp}{name.removeprefix('index')}"
                changed.append(self._write_version(folder, path, version, data))
        self._prune(folder, self.keep_versions)
        return any(changed)

    def delete(self, folder: StoredPath) -> None:
        """Delete all pages of a folder, and their versions."""
        for name in ALL_PAGES:
            self.storage.delete(page_path(folder, name))
        self._prune(folder, 0)

    def paths(self, folder: StoredPath) -> list[StoredPath]:
        """Return where the pages of a folder may lie, and where their versions do."""
        versions = filter(_VERSION.fullmatch, self.storage.files(StoredPath(f"{folder}/{VERSIONS}")))
        return [page_path(folder, name) for name in ALL_PAGES] + [_version_path(folder, name) for name in versions]

    def mend_links(self, folder: StoredPath) -> None:
        """Make links relative that other bandersnatch versions made absolute, which break when the mirror is moved."""
        for name in ALL_PAGES:
            path = page_path(folder, name)
            target = self.storage.link_target(path)
            if target is not None and f"/{VERSIONS}/" in target:
                version = target.rpartition("/")[2]
                if self.storage.stat(_version_path(folder, version)) is not None:
                    self.storage.link(path, f"{VERSIONS}/{version}")

    def _write_version(self, folder: StoredPath, path: StoredPath, version: str, data: bytes) -> bool:
        target = self.storage.link_target(path)
        if target is not None and target.startswith(f"{VERSIONS}/") and self.storage.read(path) == data:
            return False
        self.storage.write_bytes(_version_path(folder, version), data)
        self.storage.link(path, f"{VERSIONS}/{version}")
        return True

    def _prune(self, folder: StoredPath, keep: int) -> None:
        """Delete all but the newest versions of each form, and what a dead run left half-written; nothing else."""
        names = list(self.storage.files(StoredPath(f"{folder}/{VERSIONS}")))
        for name in (*_surplus(names, keep), *filter(_HALF_WRITTEN.fullmatch, names)):
            self.storage.delete(_version_path(folder, name))


def _version_path(folder: StoredPath, version: str) -> StoredPath:
    return StoredPath(f"{folder}/{VERSIONS}/{version}")


def _surplus(names: list[str], keep: int) -> Iterator[str]:
    """Yield the versions that are too many, form by form."""
    found = [version for version in map(_VERSION.fullmatch, names) if version is not None]
    found.sort(key=lambda version: (int(version[1]), version[2]), reverse=True)
    for suffix in ("html", "v1_html", "v1_json"):
        yield from [version[0] for version in found if version[3] == suffix][keep:]
