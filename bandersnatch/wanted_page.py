"""Which page of a project the mirror shall have: upstream's, as the option ``deleted`` and the filters shape it.

Files that the mirror keeps on after upstream has deleted them are added first; so filters drop those too.
"""

from msgspec import Struct

from bandersnatch.filters.facts import ProjectDocument, ProjectFacts
from bandersnatch.filters.filters import Filters
from bandersnatch.filters.selection import Selection
from bandersnatch.filters.verdict import Verdict
from bandersnatch.held_page import read_held_project
from bandersnatch.layout import Layout, StoredPath, file_path, metadata_path
from bandersnatch.legacy_json import LegacyJson, fetch_legacy_json, without_files
from bandersnatch.model import ProjectPage
from bandersnatch.options import DeletedPolicy
from bandersnatch.retention import with_kept_files
from bandersnatch.storage import FilesystemStorage
from bandersnatch.upstream import Upstream


class WantedPage(Struct, frozen=True):
    """The page, and what was learned on the way to it.

    ``filtered_out`` are the paths of the files that filters drop; ``legacy_json`` is there where it will be published.
    """

    page: ProjectPage
    filtered_out: frozenset[StoredPath] = frozenset()
    legacy_json: LegacyJson | None = None


class PageChooser(Struct, frozen=True):
    """Makes wanted pages out of upstream's. Thread-safe."""

    upstream: Upstream
    storage: FilesystemStorage
    filters: Filters
    deleted: DeletedPolicy
    hash_index: bool
    publishes_json: bool

    def choose(self, page: ProjectPage, required_serial: int) -> WantedPage | Verdict:
        """Return the wanted page, or the verdict of the filter that drops the whole project.

        ``required_serial`` is what the legacy JSON owes, where it must be asked for.

        Raises:
            UpstreamError: the legacy JSON could not be fetched, or is older than required.
        """
        if not self.filters.shape_pages:
            return WantedPage(self._with_kept_files(page))
        is_fetched = self.publishes_json or self.filters.needs_json
        fetched = fetch_legacy_json(self.upstream, page.name, required_serial) if is_fetched else None
        needs_tree = fetched is not None and self.filters.needs_json
        document = ProjectDocument.parse(fetched.body if fetched is not None and needs_tree else None)
        verdict = self.filters.metadata_of(ProjectFacts(page, document))
        if not verdict.keeps:
            return verdict
        whole = self._with_kept_files(page)
        kept = Selection(self.filters, whole, document).page
        kept_names = {file.filename for file in kept.files}
        dropped = {file.filename: file_path(file) for file in whole.files if file.filename not in kept_names}
        filtered_out = frozenset(path for each in dropped.values() for path in (each, metadata_path(each)))
        published = without_files(fetched, dropped.keys()) if fetched is not None and self.publishes_json else None
        return WantedPage(kept, filtered_out, published)

    def _with_kept_files(self, page: ProjectPage) -> ProjectPage:
        if self.deleted is not DeletedPolicy.KEEP:
            return page
        layout = Layout(self.hash_index)
        for folder in (layout.page_folder(page.name), layout.other_page_folder(page.name)):
            if held := read_held_project(self.storage, folder, page.name, self.upstream.url):
                return with_kept_files(page, held)
        return page
