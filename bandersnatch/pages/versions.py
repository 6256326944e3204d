"""Puts a project's pages in place: as plain files, or as links to versions, of which some older ones are kept.

Versions are named as in other bandersnatch versions, ``versions/index_<serial>_<time>.html``. The links are relative,
so that the mirror can be moved and copied, and each is replaced by one rename.
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
"""Names of temporary files from an older version, and those used if ``web/simple`` is another filesystem."""


class PageStore(Struct, frozen=True):
    """The pages of all projects; ``keep_versions`` is how many versions of each are kept (0: pages are plain files)."""

    storage: FilesystemStorage
    keep_versions: int = 0

    def write(self, folder: StoredPath, pages: Mapping[str, bytes], serial: int) -> bool:
        """Make a folder have exactly these pages, by name; return whether anything changed."""
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
        """Return all possible paths of a folder's pages, and those of their versions."""
        versions = filter(_VERSION.fullmatch, self.storage.files(StoredPath(f"{folder}/{VERSIONS}")))
        return [page_path(folder, name) for name in ALL_PAGES] + [_version_path(folder, name) for name in versions]

    def mend_links(self, folder: StoredPath) -> None:
        """Make absolute links of other bandersnatch versions relative, so that they survive a move of the mirror."""
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
        # The version first, so that the link never points to nothing.
        self.storage.write_bytes(_version_path(folder, version), data)
        self.storage.link(path, f"{VERSIONS}/{version}")
        return True

    def _prune(self, folder: StoredPath, keep: int) -> None:
        """Delete all but the newest versions of each form, and temporary files of killed runs; nothing else."""
        names = list(self.storage.files(StoredPath(f"{folder}/{VERSIONS}")))
        for name in (*_surplus(names, keep), *filter(_HALF_WRITTEN.fullmatch, names)):
            self.storage.delete(_version_path(folder, name))


def _version_path(folder: StoredPath, version: str) -> StoredPath:
    return StoredPath(f"{folder}/{VERSIONS}/{version}")


def _surplus(names: list[str], keep: int) -> Iterator[str]:
    """Yield the versions beyond the newest ``keep`` of each form."""
    found = [version for version in map(_VERSION.fullmatch, names) if version is not None]
    found.sort(key=lambda version: (int(version[1]), version[2]), reverse=True)
    for suffix in ("html", "v1_html", "v1_json"):
        yield from [version[0] for version in found if version[3] == suffix][keep:]
