"""``Package``: brings one project up to its serial.

Its work is cut into tasks for one pool. A task never waits for another: the one that has read the page hands the files to
the pool and ends, and whichever task completes the last file publishes the page. So a project with 5,000 files keeps every
worker busy, and no number of workers can deadlock.
"""

import threading
from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from bandersnatch.changes import Owed
from bandersnatch.errors import (
    InterruptedRunError,
    MirrorError,
    NotFoundError,
    ProjectNotFoundError,
    StaleMetadataError,
)
from bandersnatch.file_plan import FilePlan, FileTask, FileWork, plan_files, wanted_paths
from bandersnatch.file_sync import SyncedFile
from bandersnatch.filters.verdict import Verdict
from bandersnatch.held_page import HeldPage, read_held_page
from bandersnatch.inventory import HeldProject
from bandersnatch.layout import PACKAGES, Layout, StoredPath, file_path, is_metadata
from bandersnatch.model import ProjectPage
from bandersnatch.options import DeletedPolicy
from bandersnatch.order import Order
from bandersnatch.page_rules import check_page
from bandersnatch.publisher import Publication
from bandersnatch.report import Failure, Gone, Outcome, Settled, Shrinks
from bandersnatch.soundness import Soundness
from bandersnatch.upstream import FetchedPage
from bandersnatch.wanted_page import WantedPage
from bandersnatch.workshop import PlannedWork, Workshop

FILES_TOGETHER = 32
"""So many small files make one task: enough to save threads their switches, few enough for all workers to have some."""


class Package:
    """The work on one project, from its page to its outcome."""

    def __init__(self, order: Order, workshop: Workshop) -> None:
        self._order, self._shop = order, workshop
        self._project, self._entry = order.project, order.entry
        self._display_name = order.entry.display_name
        self._guard = threading.Lock()
        self._is_reported = False
        self._held: HeldPage | None = None
        self._left = 0
        self._error: Exception | None = None
        self._synced: dict[str, SyncedFile] = {}

    def start(self) -> None:
        """Hand the first task to the pool; the outcome is reported when all is done."""
        self._submit(self._begin)

    def _submit(self, task: Callable[[], None]) -> None:
        try:
            self._shop.executor.submit(self._guarded, task)
        except RuntimeError as error:  # the pool was shut down: the run is being stopped
            self._report(Failure(self._project, InterruptedRunError() if self._shop.is_stopped() else error))

    def _guarded(self, task: Callable[[], None]) -> None:
        """Run a task; the pool's boundary, where every error, one of our own bugs too, becomes an outcome."""
        try:
            if self._shop.is_stopped():
                raise InterruptedRunError
            task()
        except Exception as error:  # noqa: BLE001 - without an outcome the run would wait for ever
            self._report(Failure(self._project, error))

    def _report(self, outcome: Outcome) -> None:
        with self._guard:
            is_first, self._is_reported = not self._is_reported, True
        if is_first:
            self._shop.report(outcome)

    def _begin(self) -> None:
        record = self._shop.inventory.get(self._project)
        if record is not None and self._entry.serial == 0:  # upstream's list does not have it, nor its spelling
            self._display_name = record.display_name
        unsettled = self._shop.inventory.unsettled(self._project)
        if self._was_never_held(record, unsettled):
            return self._report(Settled(self._project, self._entry.serial, changed=False))
        if self._entry.owed is Owed.EXCLUDED:
            return self._report(
                Gone(self._project, self._shop.chooser.filters.project(self._project, self._display_name))
            )
        self._held = self._read_held_page()
        soundness = Soundness(self._shop, self._order, record, self._held)
        answer = self._fetch_page(record, record.etag if record and not unsettled and soundness.seems_whole() else None)
        if isinstance(answer, FetchedPage) and answer.page is None and not soundness.has_right_digests():
            answer = self._fetch_page(record, None)  # the whole page says how to mend that
        if not isinstance(answer, FetchedPage):
            return self._report(answer)
        if answer.page is None:
            assert record is not None, "only a conditional request is answered with 304"
            return self._report(self._settle_unchanged(record, answer.serial))
        page = replace(answer.page, serial=answer.serial)
        is_of_this_index = record is not None and record.serial > 0
        check_page(page, self._held_digests(page) if is_of_this_index else {}, self._entry.owed)
        wanted = self._shop.chooser.choose(page, self._required_json_serial(page))
        if isinstance(wanted, Verdict):
            never_here = Settled(self._project, page.serial or 0, changed=False, excluded_by=wanted)
            return self._report(Gone(self._project, wanted) if record or unsettled else never_here)
        plan = self._plan(wanted.page, unsettled)
        if self._shop.take_plan is not None:
            return self._shop.take_plan(PlannedWork(wanted, answer.etag, plan, self._held, record))
        if not self._order.may_remove and (dropped := self._dropped_files(plan)):
            return self._report(Shrinks(self._project, dropped))
        fetched = {task.path for task in plan.tasks if task.work is not FileWork.KEEP}
        self._shop.storage.sweep(unsettled - fetched)
        return self._begin_files(wanted, plan, answer.etag)

    def _begin_files(self, wanted: WantedPage, plan: FilePlan, etag: str | None) -> None:
        """Note what will be touched, and hand each file's work to the pool."""
        shop = self._shop
        page_folder = Layout(shop.pages.hash_index).page_folder(self._project)
        shop.inventory.note_unsettled(self._project, {*plan.touched, page_folder})
        if not plan.tasks:
            return self._publish(wanted, plan, etag)
        self._left = len(plan.tasks)
        publish = partial(self._publish, wanted, plan, etag)
        small = [task for task in plan.tasks if shop.file_sync.is_small(task)]
        for task in plan.tasks:
            if not shop.file_sync.is_small(task):
                self._submit_file(task, publish)
        *batches, last = [small[begin : begin + FILES_TOGETHER] for begin in range(0, len(small) or 1, FILES_TOGETHER)]
        for batch in batches:
            self._submit(partial(self._sync_together, batch, publish))
        # Most projects have no more than this; a task of its own would cost two switches of threads.
        return self._sync_together(last, publish) if last else None

    def _was_never_held(self, record: HeldProject | None, unsettled: set[StoredPath]) -> bool:
        """Whether the project was removed, as the changelog says, before this mirror got anything of it."""
        is_removed = self._entry.owed is Owed.REMOVED and self._entry.serial > 0
        return is_removed and record is None and not unsettled

    def _read_held_page(self) -> HeldPage | None:
        """Return what is held, also from where it lay before ``hash-index`` was changed."""
        layout, storage = Layout(self._shop.pages.hash_index), self._shop.storage
        held = read_held_page(storage, layout.page_folder(self._project))
        return held or read_held_page(storage, layout.other_page_folder(self._project))

    def _fetch_page(self, record: HeldProject | None, etag: str | None) -> FetchedPage | Outcome:
        """Fetch the page, and judge whether it is the one that is owed; where it settles the matter, return the outcome.

        Raises:
            ProjectNotFoundError: there is no page, although nothing said that the project was removed.
            StaleMetadataError: the page is older than it must be.
        """
        entry, owed = self._entry, self._entry.owed
        unchanged = Settled(self._project, record.serial if record else entry.serial, changed=False)
        try:
            fetched = self._shop.upstream.project_page(self._project, etag)
        except NotFoundError as error:
            if owed is Owed.REMOVED:
                return Gone(self._project)
            if owed is Owed.ROLES:
                return unchanged
            raise ProjectNotFoundError(self._project, error.url) from error
        required = 0 if owed is Owed.ROLES else entry.serial
        serial = fetched.serial if fetched.serial is not None else 0
        if fetched.page is None and fetched.serial is None and record is not None:
            serial = record.serial  # a static server tells no serial with its 304, and the page is the one that is held
        if owed is Owed.REMOVED and serial < required:
            return Gone(self._project)  # a cache has the page from before the removal, of which the changelog is sure
        if record is not None and serial < record.serial:
            if owed is Owed.ROLES:
                return unchanged
            raise StaleMetadataError(self._project, max(required, record.serial), fetched.serial)
        if serial < required and not (owed is Owed.LISTED and self._order.is_last_attempt):
            raise StaleMetadataError(self._project, required, fetched.serial)
        return fetched

    def _settle_unchanged(self, record: HeldProject, serial: int | None) -> Settled:
        reached = max(record.serial, serial or 0)
        self._shop.inventory.put(replace(record, display_name=self._display_name, serial=reached))
        return Settled(self._project, reached, changed=False)

    def _plan(self, page: ProjectPage, unsettled: set[StoredPath]) -> FilePlan:
        shop = self._shop
        wanted = wanted_paths(page if shop.pages.release_files else replace(page, files=()), shop.rules)
        stored = {path: None if path in self._order.wrong else shop.storage.stat(path) for path in wanted}
        suspects = frozenset(path for path in unsettled if path.startswith(f"{PACKAGES}/"))
        held = self._held_paths()
        if not shop.pages.release_files:  # what such pages link to was never here, but for files of before
            held = frozenset(path for path in held if shop.storage.stat(path) is not None)
        return plan_files(wanted, stored, held, suspects, shop.rules)

    def _held_paths(self) -> frozenset[StoredPath]:
        return frozenset(self._held.paths) if self._held is not None else frozenset()

    def _held_digests(self, page: ProjectPage) -> dict[str, str]:
        """Return the digests that the held page tells, without those that the files themselves belie: then it is damaged."""
        digests = self._held.digests if self._held is not None else {}
        for file in page.files:
            if digests.get(file.filename, file.sha256) != file.sha256:
                path = file_path(file)
                stored = self._shop.storage.stat(path)
                if stored is not None and stored.size == file.size and self._digest(path) == file.sha256:
                    digests[file.filename] = file.sha256
        return digests

    def _digest(self, path: StoredPath) -> str:
        return self._shop.storage.digest(path, "sha256", self._shop.is_stopped)

    def _dropped_files(self, plan: FilePlan) -> tuple[StoredPath, ...]:
        """Return the distribution files that the held page lists and the new one would not."""
        listed = {file.path for file in self._held.files} if self._held is not None else set()
        return tuple(sorted(plan.deletions & listed))

    def _submit_file(self, task: FileTask, publish: Callable[[], None]) -> None:
        self._submit(partial(self._sync_file, task, publish))

    def _sync_file(self, task: FileTask, publish: Callable[[], None]) -> None:
        """Work on one file."""
        error: Exception | None = None
        try:
            self._check_disk()
            self._synced[task.file.filename] = self._shop.file_sync.sync(task)
        except Exception as caught:  # noqa: BLE001 - it is raised when the project's last file has ended
            error = caught
        self._end_files(1, error, publish)

    def _sync_together(self, tasks: Sequence[FileTask], publish: Callable[[], None]) -> None:
        """Work on many small files at once; each that does not come so easily is worked on by itself, later."""
        try:
            self._check_disk()
            synced = self._shop.together.sync_together(tasks)
        except Exception as caught:  # noqa: BLE001 - it is raised when the project's last file has ended
            return self._end_files(len(tasks), caught, publish)
        self._synced |= synced
        for task in tasks:
            if task.file.filename not in synced:
                self._submit_file(task, publish)
        return self._end_files(len(synced), None, publish)

    def _check_disk(self) -> None:
        if isinstance(self._error, MirrorError) and self._error.stops_run:
            raise self._error  # nothing can be written any more

    def _end_files(self, number: int, error: Exception | None, publish: Callable[[], None]) -> None:
        """Count files as worked on; whoever ends last publishes the page, or raises the project's first error."""
        with self._guard:
            self._error = self._error or error
            self._left -= number
            is_last = number > 0 and self._left == 0
        if is_last:
            if self._error is not None:
                raise self._error
            publish()

    def _required_json_serial(self, page: ProjectPage) -> int:
        """Return the serial that the legacy JSON owes: that of the change, or that of the page where none is known."""
        match self._entry.owed:
            case Owed.CONTENT | Owed.REMOVALS:
                return self._entry.serial
            case Owed.LISTED if not self._order.is_last_attempt:
                return page.serial or 0
            case _:
                return 0

    def _publish(self, wanted: WantedPage, plan: FilePlan, etag: str | None) -> None:
        page, synced = wanted.page, self._synced
        # What was never on a page, or what a filter drops, is not what upstream deleted, and goes in any case.
        keeps_bytes = self._shop.deleted is not DeletedPolicy.REMOVE
        deletions = plan.deletions - (self._held_paths() - wanted.filtered_out) if keeps_bytes else plan.deletions
        fetched = [task for task in plan.tasks if synced[task.file.filename].was_fetched]
        publication = Publication(
            page=page,
            display_name=self._display_name,
            etag=etag,
            required_serial=self._required_json_serial(page),
            held=self._held,
            deletions=deletions,
            fetched={task.path for task in fetched},
            lost_metadata={name for name, file in synced.items() if not file.has_metadata},
            legacy_json=wanted.legacy_json,
        )
        changed = self._shop.publisher.publish(publication)
        self._report(
            Settled(
                project=self._project,
                serial=page.serial or 0,
                changed=changed or any(task.work is FileWork.FETCH for task in plan.tasks),
                files=len(fetched),
                size_bytes=sum(file.size_bytes for file in synced.values()),
                deleted_files=sum(not is_metadata(path) for path in deletions),
            )
        )
