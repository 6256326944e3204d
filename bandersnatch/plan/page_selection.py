"""Which page a project gets in the mirror: upstream's, shaped by the option ``deleted`` and by the filters.

Files that the mirror keeps after upstream deleted them are added first, so filters apply to them too. A verification
leaves it to the next run to filter what we hold: there, filters only keep new files out.
"""

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.config.option_groups import PagesConfig
from bandersnatch.errors import MalformedResponseError
from bandersnatch.filters.facts import ProjectDocument, ProjectFacts
from bandersnatch.filters.filters import Filters
from bandersnatch.filters.selection import Selection
from bandersnatch.filters.verdict import Verdict
from bandersnatch.model import DistributionFile, ProjectPage
from bandersnatch.pages.stored_page import read_held_project
from bandersnatch.plan.held_files import with_held_files
from bandersnatch.plan.kept_files import with_kept_files
from bandersnatch.plan.removals import RemovalPolicy
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import Layout, StoredPath, file_path, metadata_path
from bandersnatch.upstream.legacy_json import LegacyJson, without_files


class WantedPage(Struct, frozen=True):
    """The page, and what was learned while making it.

    ``filtered_out`` are the paths of files that filters drop; ``legacy_json`` is set if it will be published.
    ``exceeds_filters`` says that the page has held files that the filters would drop.
    """

    page: ProjectPage
    filtered_out: frozenset[StoredPath] = frozenset()
    legacy_json: LegacyJson | None = None
    exceeds_filters: bool = False


class PageChooser(Struct, frozen=True):
    """Makes the mirror's pages out of upstream's. Thread-safe.

    With ``keeps_held`` filters drop nothing that we hold; then ``is_excluded`` says that name filters drop the project.
    """

    index_url: str
    storage: FilesystemStorage
    filters: Filters
    removals: RemovalPolicy
    pages: PagesConfig
    keeps_held: bool = False
    is_excluded: bool = False

    @property
    def needs_json(self) -> bool:
        """Whether the choice needs the legacy JSON: filters read it, or shape it for publication."""
        shapes = self.filters.shape_pages or self.is_excluded
        return shapes and (self.pages.legacy_json or self.filters.needs_json)

    def choose(self, page: ProjectPage, fetched: LegacyJson | None) -> WantedPage | Verdict:
        """Return the wanted page, or the verdict of the filter that drops the whole project.

        ``fetched`` is the legacy JSON, where it is needed.
        """
        if not self.filters.shape_pages and not self.is_excluded:
            return WantedPage(self._with_kept_files(page))
        needs_tree = fetched is not None and self.filters.needs_json
        document = ProjectDocument.parse(fetched.body if fetched is not None and needs_tree else None)
        verdict = self.filters.metadata_of(ProjectFacts(page, document))
        if not verdict.keeps and not self.keeps_held:
            return verdict
        whole = self._with_kept_files(page)
        selection = Selection(self.filters, whole, document)
        takes_new = verdict.keeps and not self.is_excluded
        kept = self._with_held_files(selection, takes_new=takes_new) if self.keeps_held else selection.page
        kept_names = {file.filename for file in kept.files}
        dropped = {file.filename: file_path(file) for file in whole.files if file.filename not in kept_names}
        filtered_out = frozenset(path for each in dropped.values() for path in (each, metadata_path(each)))
        published = without_files(fetched, dropped.keys()) if fetched is not None and self.pages.legacy_json else None
        return WantedPage(kept, filtered_out, published, not takes_new or kept != selection.page)

    def _with_kept_files(self, page: ProjectPage) -> ProjectPage:
        if not self.removals.keeps_on_pages:
            return page
        for folder in self._folders(page):
            if held := read_held_project(self.storage, folder, page.name, self.index_url):
                return with_kept_files(page, self._without_wrong_names(held, page))
        return page

    def _without_wrong_names(self, held: ProjectPage, page: ProjectPage) -> ProjectPage:
        """Return the held page without files that are missing here, and that upstream has under other names.

        Upstream did not delete such a file: its name in our page is wrong, for example because the disk flipped a bit.
        """
        names = {file.sha256: file.filename for file in page.files if file.sha256 is not None}
        doubtful = [file for file in held.files if names.get(file.sha256 or "", file.filename) != file.filename]
        wrong = {file.filename for file in doubtful if not self._is_here(file)}
        return replace(held, files=tuple(f for f in held.files if f.filename not in wrong)) if wrong else held

    def _is_here(self, file: DistributionFile) -> bool:
        try:
            return self.storage.stat(file_path(file)) is not None
        except MalformedResponseError:  # its name does not match its URL
            return False

    def _with_held_files(self, selection: Selection, *, takes_new: bool) -> ProjectPage:
        folders = self._folders(selection.upstream_page)
        return with_held_files(selection, self.storage, folders, self.index_url, takes_new=takes_new)

    def _folders(self, page: ProjectPage) -> tuple[StoredPath, StoredPath]:
        layout = Layout(self.pages.hash_index)
        return layout.page_folder(page.name), layout.other_page_folder(page.name)
