"""Checks the documents of one project on disk: the forms of its page, and its legacy JSON. Each is read only once."""

import hashlib
from collections.abc import Mapping
from functools import cached_property

from bandersnatch.config.option_groups import PagesConfig
from bandersnatch.names import NormalizedName
from bandersnatch.pages.forms import page_names
from bandersnatch.pages.stored_page import StoredPage, html_serial, read_held_html, read_held_json
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import ALL_PAGES, HTML_PAGES, JSON_PAGE, Layout, StoredPath, json_paths, page_path


class StoredDocuments:
    """The documents of one project, as they were when they were first looked at.

    What was read stays in memory as long as this object, so it should not outlive the checks. Any method may raise a
    StorageError, if the disk refuses.
    """

    def __init__(self, storage: FilesystemStorage, config: PagesConfig, project: NormalizedName) -> None:
        self._storage, self._config, self._project = storage, config, project
        self._folder = Layout(config.hash_index).page_folder(project)
        self._read: dict[StoredPath, bytes | None] = {}

    def read(self, path: StoredPath) -> bytes | None:
        """Return the bytes of a document, or None if there is none."""
        if path not in self._read:
            self._read[path] = self._storage.read(path)
        return self._read[path]

    @cached_property
    def page(self) -> StoredPage | None:
        """What the page says, as ``read_held_page`` returns it."""
        return self._json_page or read_held_html(self, self._folder)

    def are_there(self) -> bool:
        """Whether every configured form of the page is on disk."""
        return all(self._page(name) is not None for name in page_names(self._config))

    def digest(self) -> bytes:
        """Return the digest of all that is on disk; ``HeldProject`` has that of what was published."""
        pages = {name: self._page(name) for name in ALL_PAGES}
        return digest_of({**pages, **{path: self.read(path) for path in json_paths(self._project)}})

    def are_whole(self, serial: int) -> bool:
        """Whether all configured forms of the page are complete, agree with each other, and have this serial.

        If legacy JSON is configured, it must be there too.
        """
        names = page_names(self._config)
        if self._config.legacy_json and not all(self._storage.stat(path) for path in json_paths(self._project)):
            return False
        if JSON_PAGE in names and (self._json_page is None or self._json_page.serial != serial):
            return False
        # All HTML pages of a project have the same bytes.
        bodies = {self._page(name) for name in names if name in HTML_PAGES}
        return len(bodies) <= 1 and all(body is not None and html_serial(body) == serial for body in bodies)

    @cached_property
    def _json_page(self) -> StoredPage | None:
        return read_held_json(self, self._folder)

    def _page(self, name: str) -> bytes | None:
        return self.read(page_path(self._folder, name))


def digest_of(published: Mapping[str, bytes | None]) -> bytes:
    """Return a digest of documents by name; None means that a document does not exist."""
    hasher = hashlib.blake2b(digest_size=16)  # against disk errors only, not against attackers
    for name in sorted(name for name, data in published.items() if data is not None):
        data = published[name] or b""
        # With name and length: otherwise bytes that moved from one document to the next would not show.
        hasher.update(f"{name} {len(data)} ".encode())
        hasher.update(data)
    return hasher.digest()
