"""Puts a project's pages in place, when all files that they list are there."""

from collections.abc import Callable, Set

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.config.option_groups import PagesConfig
from bandersnatch.model import DistributionFile, ProjectPage
from bandersnatch.names import NormalizedName, parse_project_name
from bandersnatch.pages.render import as_written_before, published_page, render_project
from bandersnatch.pages.stored_documents import StoredDocuments, digest_of
from bandersnatch.pages.stored_page import StoredPage
from bandersnatch.pages.versions import PageStore
from bandersnatch.state.inventory import HeldProject
from bandersnatch.state.strangers import strangers_of
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import (
    ALL_PAGES,
    Layout,
    StoredPath,
    file_path,
    json_paths,
    page_path,
)
from bandersnatch.upstream.journal_end import JournalEnd
from bandersnatch.upstream.legacy_json import LegacyJson


class Publication(Struct, frozen=True):
    """A project's page whose files are all in place.

    ``lost_metadata`` names the files whose core metadata upstream promises but does not have; ``fetched`` the paths that
    were written just now; ``legacy_json`` is there where the mirror has such documents.
    """

    page: ProjectPage
    display_name: str
    etag: str | None
    held: StoredPage | None
    fetched: Set[StoredPath]
    lost_metadata: Set[str]
    legacy_json: LegacyJson | None = None


class Publisher(Struct, frozen=True):
    """Writes what a web server shows of a project. Thread-safe; one call per project at a time.

    Without ``notes_etags`` the next request for each page that is published is not conditional.
    """

    storage: FilesystemStorage
    config: PagesConfig
    journal_end: JournalEnd
    is_stopped: Callable[[], bool]
    notes_etags: bool = True

    def publish(self, publication: Publication) -> tuple[bool, HeldProject]:
        """Publish a page; return whether anything on disk changed, and what is to be recorded.

        Raises:
            StorageError: the disk refused.
        """
        unchanged = self._at_held_serial(publication)
        if unchanged is not publication and not self.differing_pages(unchanged, old_ones_too=True):
            publication = unchanged
        page = self._as_held(publication)
        project = page.name
        legacy_json, pages = self._render(publication, page)
        layout = Layout(self.config.hash_index)
        changed = [self._write_or_delete(path, legacy_json) for path in json_paths(project)]
        changed.append(self._pages.write(layout.page_folder(project), pages, page.serial or 0))
        # Pages from the time before hash-index was changed.
        if self.storage.is_folder(other := layout.other_page_folder(project)):
            self._pages.delete(other)
        if self.config.cleanup:
            self._clean_up(project, publication.display_name)
        # With anything missing, the next request must not be conditional: upstream, or we, may have mended that by then.
        is_complete = not publication.lost_metadata and not page.left_out
        etag = publication.etag if self.notes_etags and is_complete else None
        size_bytes = sum(file.size or 0 for file in page.files)
        record = HeldProject(
            project,
            publication.display_name,
            self.journal_end.borne_out(page.serial or 0),
            etag,
            len(page.files),
            size_bytes,
            digest_of({**pages, **dict.fromkeys(json_paths(project), legacy_json)}),
            strangers_of(project, map(file_path, page.files)) if self.config.release_files else (),
            page.is_quarantined,
        )
        return any(changed), record

    def differing_pages(self, publication: Publication, *, old_ones_too: bool = False) -> list[StoredPath]:
        """Return the pages, and the legacy JSON, that ``publish`` would write or delete.

        Pages that differ only because older code wrote less are left out, unless ``old_ones_too``.
        """
        publication = self._at_held_serial(publication)
        legacy_json, pages = self._render(publication, self._as_held(publication))
        project = publication.page.name
        folder = Layout(self.config.hash_index).page_folder(project)
        wanted = dict.fromkeys(json_paths(project), legacy_json)
        wanted |= {page_path(folder, name): pages.get(name) for name in ALL_PAGES}
        differing = []
        for path, data in wanted.items():
            stored = self.storage.read(path)
            is_old = data is not None and stored == as_written_before(data) and not old_ones_too
            if stored != data and not is_old:
                differing.append(path)
        return differing

    def _at_held_serial(self, publication: Publication) -> Publication:
        """Return the publication with the held page's serial, if upstream tells none and only a change gives a new one."""
        held = publication.held
        if self.journal_end.own_serial is None or held is None or not held.serial:
            return publication
        return replace(publication, page=replace(publication.page, serial=held.serial))

    def stored_documents(self, project: NormalizedName) -> StoredDocuments:
        """Return the project's documents on disk, which are read when they are looked at."""
        return StoredDocuments(self.storage, self.config, project)

    def _render(self, publication: Publication, page: ProjectPage) -> tuple[bytes | None, dict[str, bytes]]:
        """Return the legacy JSON, or None where there shall be none, and the pages by their names."""
        published = publication.legacy_json if self.config.legacy_json else None
        legacy_json = published.body if published is not None else None
        return legacy_json, render_project(published_page(page, self.config, self._digests(publication)), self.config)

    def _write_or_delete(self, path: StoredPath, data: bytes | None) -> bool:
        return self.storage.delete(path) if data is None else self.storage.write_bytes(path, data)

    @property
    def _pages(self) -> PageStore:
        return PageStore(self.storage, self.config.keep_versions)

    def _clean_up(self, project: NormalizedName, display_name: str) -> None:
        """Delete pages under the project's display name, as bandersnatch 3 and older wrote them."""
        for hash_index in (False, True):
            layout = Layout(hash_index)
            folder = layout.display_name_folder(display_name)
            is_its_name = display_name != project and parse_project_name(display_name) == project
            if is_its_name and not self.storage.is_same(folder, layout.page_folder(project)):
                self._pages.delete(folder)

    def _as_held(self, publication: Publication) -> ProjectPage:
        """Return the page without lost core metadata, and with the sizes on disk that upstream does not give."""
        page, lost = publication.page, publication.lost_metadata
        if not lost and all(file.size is not None for file in page.files):
            return page
        files = (
            replace(
                file,
                core_metadata_sha256=None if file.filename in lost else file.core_metadata_sha256,
                size=file.size if file.size is not None else self._stored_size(file),
            )
            for file in page.files
        )
        return replace(page, files=tuple(files))

    def _stored_size(self, file: DistributionFile) -> int | None:
        stored = self.storage.stat(file_path(file)) if self.config.release_files else None
        return stored.size if stored is not None else None

    def _digests(self, publication: Publication) -> dict[str, str]:
        """Return the configured digest of each file for which upstream does not give it, from the held page or computed."""
        name = self.config.digest_name
        if name == "sha256":
            return {}
        known = {file.path: file.hashes for file in publication.held.files} if publication.held else {}
        digests = {}
        for file in publication.page.files:
            path = file_path(file)
            old = known.get(path, {})
            if name in file.hashes:
                continue
            is_same = path not in publication.fetched and old.get("sha256") == file.sha256 and name in old
            digests[file.filename] = old[name] if is_same else self.storage.digest(path, name, self.is_stopped)
        return digests
