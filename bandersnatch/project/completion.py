"""The end of the work on one project, whose files are all in place: its page is published, and that is its outcome."""

from collections.abc import Mapping

from bandersnatch.config.config import PagesConfig
from bandersnatch.filters.filters import Filters
from bandersnatch.pages.publisher import Publication
from bandersnatch.plan.file_plan import FileWork
from bandersnatch.project.files import SyncedFile
from bandersnatch.project.job_context import JobContext, Prepared
from bandersnatch.project.report import Settled
from bandersnatch.storage.layout import file_path, is_metadata


def complete(prepared: Prepared, synced: Mapping[str, SyncedFile], context: JobContext) -> Settled:
    """Publish a project's page; ``synced`` has, by name, what was done for each file that needed work.

    Raises:
        UpstreamError: the legacy JSON could not be fetched, or is older than required.
        StorageError: the disk refused.
    """
    page, plan, held = prepared.wanted.page, prepared.plan, prepared.held
    held_paths = frozenset(held.paths) if held is not None else frozenset()
    deletions = context.removals.deletions(plan.deletions, held_paths, prepared.wanted.filtered_out)
    filtered, added = selected_otherwise(prepared, context.chooser.filters, context.pages)
    fetched = [task for task in plan.tasks if synced[task.file.filename].was_fetched]
    lost_metadata = {name for name, file in synced.items() if not file.has_metadata}
    changed = context.publisher.publish(
        Publication(
            page=page,
            display_name=prepared.display_name,
            etag=prepared.etag,
            required_serial=prepared.required_serial,
            held=held,
            deletions=deletions,
            fetched={task.path for task in fetched},
            lost_metadata=lost_metadata,
            legacy_json=prepared.wanted.legacy_json,
        )
    )
    return Settled(
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
    )


def selected_otherwise(prepared: Prepared, filters: Filters, pages: PagesConfig) -> tuple[int, int]:
    """Return how many files that are held filters drop, and how many they keep that a held page of this serial lacks."""
    held, page = prepared.held, prepared.wanted.page
    if held is None or not filters.shape_pages or not pages.release_files:
        return 0, 0
    paths = held.paths
    dropped = sum(not is_metadata(path) for path in prepared.plan.deletions & paths & prepared.wanted.filtered_out)
    is_same = held.serial == page.serial
    return dropped, sum(file_path(file) not in paths for file in page.files) if is_same else 0
