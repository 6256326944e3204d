"""The last part of the work on a project: with all files in place, its page is published and its outcome made."""

from collections.abc import Mapping
from functools import partial

from msgspec.structs import replace

from bandersnatch.config.option_groups import PagesConfig
from bandersnatch.filters.filters import Filters
from bandersnatch.http.request import InThread, Steps
from bandersnatch.model import DistributionFile, ProjectPage
from bandersnatch.pages.publisher import Publication
from bandersnatch.plan.file_plan import FileWork
from bandersnatch.project.files import SyncedFile
from bandersnatch.project.job import Result
from bandersnatch.project.job_context import JobContext
from bandersnatch.project.prepared import Prepared
from bandersnatch.project.report import Settled
from bandersnatch.state.inventory import HeldProject
from bandersnatch.storage.layout import file_path, is_metadata
from bandersnatch.upstream.legacy_json import LegacyJson, fetch_legacy_json, without_files


def complete(prepared: Prepared, synced: Mapping[str, SyncedFile], context: JobContext) -> Steps[Result]:
    """Publish a project's page; ``synced`` has, by file name, what was done for each file that needed work.

    Raises:
        UpstreamError: the legacy JSON could not be fetched, or is older than required.
        StorageError: the disk refused.
    """
    page, plan, held = with_sha256(prepared.wanted.page, synced), prepared.plan, prepared.held
    held_paths = frozenset(held.paths) if held is not None else frozenset()
    deletions = context.removals.deletions(plan.deletions, held_paths, prepared.wanted.filtered_out | plan.moved)
    filtered, added = count_filter_changes(prepared, context.chooser.filters, context.pages)
    fetched = [task for task in plan.tasks if synced[task.file.filename].was_fetched]
    lost_metadata = {name for name, file in synced.items() if not file.has_metadata}
    publication = Publication(
        page=page,
        display_name=prepared.display_name,
        etag=prepared.etag,
        held=held,
        fetched={task.path for task in fetched},
        lost_metadata=lost_metadata,
        legacy_json=(yield from published_json(prepared, context)),
    )
    changed, record = yield from _publish(publication, context)
    outcome = Settled(
        project=page.name,
        serial=page.serial or 0,
        changed=changed or any(task.work is FileWork.FETCH for task in plan.tasks),
        files=len(fetched),
        size_bytes=sum(file.size_bytes for file in synced.values()),
        deleted_files=sum(not is_metadata(path) for path in deletions),
        is_quarantined=page.is_quarantined,
        filtered_files=filtered,
        added_files=added,
        is_incomplete=bool(lost_metadata or page.left_out),
        refused=prepared.refused,
    )
    return Result(outcome, record, deletions)


def with_sha256(page: ProjectPage, synced: Mapping[str, SyncedFile]) -> ProjectPage:
    """Return the page with each SHA-256 that upstream does not tell, now that the files are here and checked."""
    if all(file.sha256 is not None and not file.has_unhashed_metadata for file in page.files):
        return page
    return replace(page, files=tuple(_with_own_digests(file, synced.get(file.filename)) for file in page.files))


def _with_own_digests(file: DistributionFile, synced: SyncedFile | None) -> DistributionFile:
    if synced is None:
        return file
    if file.sha256 is None:
        file = replace(file, own_sha256=synced.sha256)
    return replace(file, core_metadata_sha256=synced.metadata_sha256) if file.has_unhashed_metadata else file


def published_json(prepared: Prepared, context: JobContext) -> Steps[LegacyJson | None]:
    """Return the legacy JSON that belongs to the page, or None if the mirror publishes none.

    Raises:
        UpstreamError: it could not be fetched, or is older than required.
    """
    if not context.pages.legacy_json:
        return None
    document = prepared.wanted.legacy_json
    if document is None:
        name, required = prepared.wanted.page.name, prepared.required_serial
        document = yield from fetch_legacy_json(context.documents, name, required)
    return without_files(document, prepared.refused_names)


def _publish(publication: Publication, context: JobContext) -> Steps[tuple[bool, HeldProject]]:
    publish = partial(context.publisher.publish, publication)
    if context.pages.digest_name == "sha256":
        return publish()  # the digests are known, so it only writes a few small files
    # Other digests than SHA-256 are computed here: each new file is read and hashed once more.
    published: tuple[bool, HeldProject] = yield InThread(publish)
    return published


def count_filter_changes(prepared: Prepared, filters: Filters, pages: PagesConfig) -> tuple[int, int]:
    """Return how many held files the filters drop, and how many files they add to a page of the same serial."""
    held, page = prepared.held, prepared.wanted.page
    if held is None or not filters.shape_pages or not pages.release_files:
        return 0, 0
    paths = held.paths
    dropped = sum(not is_metadata(path) for path in prepared.plan.deletions & paths & prepared.wanted.filtered_out)
    is_same = held.serial == page.serial
    return dropped, sum(file_path(file) not in paths for file in page.files) if is_same else 0
