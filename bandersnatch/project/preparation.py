"""Finds out what work a project needs: which page to publish, and what to do with its files.

It fetches the page from upstream, and the legacy JSON if filters need it. It changes nothing, except that ``sweep`` deletes
what earlier runs left.
"""

import logging
from functools import partial
from itertools import islice

from msgspec.structs import replace

from bandersnatch.checked_page import MOST_TOLD
from bandersnatch.errors import MalformedResponseError, NotFoundError, ProjectNotFoundError, UpstreamError
from bandersnatch.filters.verdict import Verdict
from bandersnatch.http.entity_tags import entity_tag
from bandersnatch.http.request import InThread, Steps
from bandersnatch.model import DistributionFile, ProjectPage, StoredFile
from bandersnatch.pages.stored_page import StoredPage, read_held_page
from bandersnatch.plan.file_plan import FilePlan, FileWork, Holdings, plan_files, wanted_paths
from bandersnatch.plan.page_checks import check_page, is_of_quarantine
from bandersnatch.plan.removals import files_in_question
from bandersnatch.plan.stale_page_check import RequiredAge, doubt_about_unchanged
from bandersnatch.project.hash_rules import accepted, with_held_facts
from bandersnatch.project.job import Job
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.local_check import LocalCheck
from bandersnatch.project.prepared import Prepared
from bandersnatch.project.report import NONE_REFUSED, Gone, Outcome, RefusedFiles, Settled, Shrinks
from bandersnatch.project.taken_paths import TakenPaths
from bandersnatch.state.inventory import HeldProject
from bandersnatch.storage.layout import PACKAGES, Layout, StoredPath, file_path
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.documents import FetchedPage
from bandersnatch.upstream.legacy_json import fetch_legacy_json

logger = logging.getLogger(__name__)


class Preparation:
    """The preparation of one project. If there is no other work, ``record`` is its new entry for the inventory."""

    def __init__(self, job: Job, context: JobContext) -> None:
        self._job, self._context, self._record, self._unsettled = job, context, job.record, job.unsettled
        self.record: HeldProject | None = None
        self._project, self._entry = job.project, job.entry
        self._held: StoredPage | None = None
        # A project that is not on upstream's list has serial 0, and the spelling of its name comes from the inventory.
        is_unlisted = job.record is not None and job.entry.serial == 0
        self._display_name = job.record.display_name if job.record and is_unlisted else job.entry.display_name

    def _outcome_without_page(self) -> Outcome | None:
        """Return the outcome if it does not depend on upstream's page."""
        if self._was_never_held():
            return Settled(self._project, self._entry.serial, changed=False)
        if self._entry.expectation is Expectation.EXCLUDED:
            return Gone(self._project, self._context.chooser.filters.project(self._project, self._display_name))
        return None

    def _inspect_held(self) -> str | None:
        """Read the held page; return the ETag for a conditional request, or None if the whole page is needed."""
        documents = self._context.publisher.stored_documents(self._project)
        # The page may be in the folder that was used before `hash-index` was changed.
        other_folder = Layout(self._context.pages.hash_index).other_page_folder(self._project)
        self._held = documents.page or read_held_page(self._context.storage, other_folder)
        is_known = self._record is not None and not self._unsettled and self._local_check.seems_whole(documents)
        return entity_tag(self._record.etag) if self._record is not None and is_known else None

    def prepare(self) -> Steps[Prepared | Outcome]:
        """Fetch the page; return the work, or the outcome if there is none.

        Raises:
            UpstreamError: the page could not be fetched, is stale, or is suspicious.
            StorageError: the disk refused.
        """
        if (outcome := self._outcome_without_page()) is not None:
            return outcome
        answer = yield from self._fetch_page(self._inspect_held())
        if isinstance(answer, FetchedPage) and answer.page is None and not (yield from self._has_right_digests()):
            answer = yield from self._fetch_page(None)  # to repair a file, the whole page is needed
        if not isinstance(answer, FetchedPage):
            return answer
        if answer.page is None:
            return self._settle_unchanged(answer.serial)
        if answer.page.is_quarantined and self._record is None:
            return self._settle_quarantined(answer.serial)
        # Serial 0: the held page comes from another index (`forget_serials`), whose files may have other digests.
        is_of_this_index = self._record is not None and self._record.serial > 0
        whole = replace(self._placeable(answer.page), serial=answer.serial)
        page, refused = self._accepted(whole, is_of_this_index=is_of_this_index)
        held_digests = (yield from self._held_digests(page)) if is_of_this_index else {}
        check_page(page, held_digests, self._entry.expectation)
        required_serial = self._required_json_serial(page)
        chooser, legacy_json = self._context.chooser, None
        if chooser.needs_json:
            legacy_json = yield from fetch_legacy_json(self._context.documents, page.name, required_serial)
        wanted = chooser.choose(page, legacy_json)
        if isinstance(wanted, Verdict):
            never_here = Settled(self._project, page.serial or 0, changed=False, excluded_by=wanted)
            return Gone(self._project, wanted) if self._record or self._unsettled else never_here
        plan = self._plan(wanted.page)
        # The page has files that the filters would drop. Without an ETag, the next run fetches it again and drops them.
        etag = None if wanted.exceeds_filters else answer.etag
        return Prepared(
            wanted, plan, etag, self._display_name, required_serial, self._held, self._record, self._entry.expectation,
            refused, whole.names - page.names if refused != NONE_REFUSED else frozenset(),
        )  # fmt: skip

    def touched(self, prepared: Prepared) -> set[StoredPath]:
        """Return all paths that the work will touch, and may leave half-done if it is killed."""
        return {*prepared.plan.touched, Layout(self._context.pages.hash_index).page_folder(self._project)}

    def shrinks(self, prepared: Prepared) -> Shrinks | None:
        """Return the files that the new page would remove, if the job does not allow removals; else None."""
        dropped = dropped_files(prepared)
        if not dropped or self._job.may_remove:
            return None
        filtered = len(prepared.wanted.filtered_out.intersection(dropped))
        return Shrinks(self._project, dropped, filtered, prepared)

    def sweep(self, prepared: Prepared) -> None:
        """Delete what earlier runs left half-written, except the files that are fetched now: these may be resumed."""
        fetched = {task.path for task in prepared.plan.tasks if task.work is not FileWork.KEEP}
        self._context.storage.sweep(self._unsettled - fetched)

    def _was_never_held(self) -> bool:
        """Whether the changelog says that the project was removed, and this mirror never had any of it."""
        is_removed = self._entry.expectation is Expectation.REMOVED and self._entry.serial > 0
        return is_removed and self._record is None and not self._unsettled

    @property
    def _local_check(self) -> LocalCheck:
        return LocalCheck(self._context, self._job, self._record, self._held)

    def _fetch_page(self, etag: str | None) -> Steps[FetchedPage | Outcome]:
        """Fetch the page, and check that it is as new as it must be; return the outcome instead if no work is left.

        Raises:
            ProjectNotFoundError: there is no page, although the changelog does not say that the project was removed.
            StaleMetadataError: the page is older than it must be.
        """
        expectation, record = self._entry.expectation, self._record
        unchanged = Settled(self._project, record.serial if record else self._entry.serial, changed=False)
        try:
            fetched = yield from self._context.documents.page(self._project, etag)
            if etag is not None and fetched.page is None and (doubt := self._doubt_about(fetched, etag)):
                logger.warning(
                    "%s: 304 Not Modified, but %s; the page is fetched without a condition", self._project, doubt
                )
                fetched = yield from self._context.documents.page(self._project, None)
        except NotFoundError as error:
            if expectation is Expectation.REMOVED:
                return Gone(self._project)
            if expectation is Expectation.ROLES:
                return unchanged
            raise ProjectNotFoundError(self._project, error.url) from error
        serial = fetched.serial if fetched.serial is not None else 0
        if fetched.page is None and fetched.serial is None and record is not None:
            serial = record.serial  # a static server sends no serial with its 304; the page is the held one
        required = RequiredAge(self._project, self._entry, self._job.is_last_attempt, self._job.is_resync)
        if required.is_from_before_removal(serial):
            return Gone(self._project)
        held_serial = yield from self._confirmed_held_serial()
        return fetched if required.is_met(serial, held_serial, fetched.serial) else unchanged

    def _accepted(self, page: ProjectPage, *, is_of_this_index: bool) -> tuple[ProjectPage, RefusedFiles]:
        """Return the page with what is known of its files from the held page, and without those that may not be here."""
        if self._held is None:
            return accepted(page, self._context.pages, ())
        published = self._held.digests if is_of_this_index else ()
        # Without files here, a name alone does not say that upstream's file is still the one that was here.
        names_count = is_of_this_index and self._context.pages.release_files
        return accepted(with_held_facts(page, self._held, names_count=names_count), self._context.pages, published)

    def _doubt_about(self, unchanged: FetchedPage, etag: str) -> str | None:
        """Return why a 304 can't be about the held page, or None if it can."""
        held_serial = self._record.serial if self._record is not None else 0
        # A page that is newer than the root index is recorded with the index's serial (`borne_out`).
        if self._held is not None and held_serial > 0:
            held_serial = max(held_serial, self._held.serial)
        return doubt_about_unchanged(unchanged, etag, self._entry, held_serial)

    def _placeable(self, page: ProjectPage) -> ProjectPage:
        """Return the page without the files whose URL gives no safe path below ``web/packages``, or one that another
        project's file has; these are logged.

        Raises:
            UpstreamError: that is all files of the page.
        """
        if not (self._context.pages.release_files or self._context.pages.root_uri):
            return page  # its links go to upstream, so no file needs a path here
        files: list[DistributionFile] = []
        errors: dict[str, UpstreamError] = {}
        for file in page.files:
            try:
                file_path(file)
                files.append(file)
            except MalformedResponseError as error:
                errors[file.filename] = error
        if taken := TakenPaths(self._job, self._held, self._context).of(replace(page, files=tuple(files))):
            files = [file for file in files if file.filename not in taken]
            errors |= taken
        if not errors:
            return page
        if not files:
            raise next(iter(errors.values()))
        for reason in islice(errors.values(), MOST_TOLD):
            logger.warning("%s: %s; the file is left out", self._project, reason)
        if len(errors) > MOST_TOLD:
            logger.warning("%s: %d more files are left out", self._project, len(errors) - MOST_TOLD)
        return replace(page, files=tuple(files), left_out=(*page.left_out, *errors))

    def _confirmed_held_serial(self) -> Steps[int]:
        """Return the recorded serial, or 0 if upstream's journal does not reach it."""
        # A serial that the journal does not reach is wrong, and would make every page of upstream look stale.
        serial = self._record.serial if self._record is not None else 0
        return serial if (yield from self._context.documents.reaches(serial)) else 0

    def _settle_quarantined(self, serial: int | None) -> Outcome:
        """Return the outcome of a quarantined project that is not held: it is left out.

        When it leaves quarantine, the journal says so; the root index does not list it meanwhile.
        """
        if self._unsettled:
            return Gone(self._project)
        return Settled(self._project, serial or 0, changed=False, is_quarantined=True)

    def _settle_unchanged(self, serial: int | None) -> Settled:
        assert self._record is not None, "only a conditional request is answered with 304"
        reached = max(self._record.serial, self._context.documents.journal_end.borne_out(serial or 0))
        self.record = replace(self._record, display_name=self._display_name, serial=reached)
        return Settled(self._project, reached, changed=False)

    def _plan(self, page: ProjectPage) -> FilePlan:
        context = self._context
        wanted = wanted_paths(page if context.pages.release_files else replace(page, files=()), context.rules)
        # An earlier job did not finish these, so their content must be checked even if their size is right.
        suspects = frozenset(path for path in self._unsettled if path.startswith(f"{PACKAGES}/"))
        held = self._held.sha256_by_path if self._held is not None else {}
        if not context.pages.release_files:
            # Such pages link to files that were never here. Only those on disk, from an earlier configuration, can go.
            held = {path: digest for path, digest in held.items() if context.storage.stat(path) is not None}
        plan = plan_files(wanted, Holdings(self._stored, held, suspects), context.rules)
        if self._job.wrong:  # what is there is to be replaced
            plan = replace(plan, tasks=tuple(replace(task, is_new=False) for task in plan.tasks))
        return plan

    def _stored(self, path: StoredPath) -> StoredFile | None:
        return None if path in self._job.wrong else self._context.storage.stat(path)

    def _held_digests(self, page: ProjectPage) -> Steps[dict[str, str]]:
        """Return the held page's digests, corrected where the stored file has the new page's digest."""
        digests = self._held.digests if self._held is not None else {}
        for file in page.files:
            checksum = file.checksum
            if checksum is None and not self._context.pages.release_files:
                digests.pop(file.filename, None)  # such a page only links to upstream's file, whatever that is now
            if checksum is not None and digests.get(file.filename, file.sha256) != file.sha256:
                path = file_path(file)
                stored = self._context.storage.stat(path)
                has_size = stored is not None and file.size in (stored.size, None)
                if has_size and (yield InThread(partial(self._digest, path, checksum.algorithm))) == checksum.digest:
                    del digests[file.filename]
        return digests

    def _has_right_digests(self) -> Steps[bool]:
        """Whether all files of an unchanged page have the right digests; true if digests are not to be checked."""
        expected = self._local_check.expected_digests()
        if not expected:
            return True
        is_right: bool = yield InThread(partial(self._local_check.are_right, expected))
        return is_right

    def _digest(self, path: StoredPath, algorithm: str) -> str:
        return self._context.storage.digest(path, algorithm, self._context.is_stopped)

    def _required_json_serial(self, page: ProjectPage) -> int:
        """Return the least serial that the legacy JSON must have: that of the change, or of the page if none is known."""
        if self._context.documents.journal_end.own_serial is not None:
            return 0  # upstream's documents have no serials
        match self._entry.expectation:
            case Expectation.CONTENT | Expectation.REMOVALS | Expectation.QUARANTINES:
                return self._entry.serial
            case Expectation.LISTED if not self._job.is_last_attempt:
                return page.serial or 0
            case _:
                return 0


def dropped_files(prepared: Prepared) -> tuple[StoredPath, ...]:
    """Return the files that only the held page lists, if their removal must wait until removals are allowed."""
    listed = {file.path for file in prepared.held.files} if prepared.held is not None else set[StoredPath]()
    is_quarantined = is_of_quarantine(prepared.wanted.page, prepared.expectation)
    return files_in_question(prepared.plan.deletions - prepared.plan.moved, listed, is_quarantined=is_quarantined)
