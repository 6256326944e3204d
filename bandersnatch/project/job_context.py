"""What all packages of a run work with, and how it comes from the configuration."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Protocol

from msgspec import Struct

from bandersnatch.config.config import Config, PagesConfig
from bandersnatch.pages.publisher import Publisher
from bandersnatch.pages.stored_page import StoredPage
from bandersnatch.plan.file_plan import FilePlan, FileRules, FileTask
from bandersnatch.plan.page_selection import PageChooser, WantedPage
from bandersnatch.plan.removals import RemovalPolicy
from bandersnatch.project.equipment import Equipment
from bandersnatch.project.files import FileSync, SyncedFile
from bandersnatch.project.report import Outcome
from bandersnatch.state.inventory import HeldProject, Inventory
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath
from bandersnatch.upstream.expectations import Expectation
from bandersnatch.upstream.file_sources import FileSources
from bandersnatch.upstream.index import Upstream


class Prepared(Struct, frozen=True):
    """What is to be done for a project: the page that it shall have, and what its files need.

    ``etag`` is that of upstream's page, ``required_serial`` what the legacy JSON owes; ``held`` and ``record`` are what is
    here now.
    """

    wanted: WantedPage
    plan: FilePlan
    etag: str | None
    display_name: str
    required_serial: int
    held: StoredPage | None
    record: HeldProject | None
    expectation: Expectation


class SmallFiles(Protocol):
    """Whoever works on small files, many at a time."""

    def sync_together(self, tasks: Sequence[FileTask]) -> dict[str, SyncedFile]:
        """Work on files; return, by their names, those that are in place."""

    def digests(self, paths: Sequence[StoredPath]) -> list[str | None]:
        """Return the SHA-256 of stored files, or None where one can't be read."""


class JobContext(Struct, frozen=True):
    """What all packages of a run work with. ``report`` is called once for each package, from any thread.

    ``together`` works on many small files at once: ``file_sync`` itself, or helper processes. With ``take_plan`` packages
    only prepare the work: it is called in place of ``report`` where there is some.
    """

    upstream: Upstream
    storage: FilesystemStorage
    inventory: Inventory
    file_sync: FileSync
    together: SmallFiles
    publisher: Publisher
    executor: Executor
    pages: PagesConfig
    chooser: PageChooser
    rules: FileRules
    removals: RemovalPolicy
    is_stopped: Callable[[], bool]
    report: Callable[[Outcome], None]
    take_plan: Callable[[Prepared], None] | None = None


def build_context(
    config: Config,
    equipment: Equipment,
    publisher: Publisher,
    report: Callable[[Outcome], None],
    *,
    check_digests: bool,
    is_stopped: Callable[[], bool],
) -> JobContext:
    """Return what packages work with, as the configuration wants it."""
    upstream, storage, inventory = equipment.upstream, equipment.storage, publisher.inventory
    removals = RemovalPolicy.of(config.removals)
    file_sync = FileSync(
        upstream,
        storage,
        inventory,
        equipment.progress,
        is_stopped,
        config.disk.reserve_bytes,
        FileSources.of(config.http),
    )
    return JobContext(
        upstream=upstream,
        storage=storage,
        inventory=inventory,
        file_sync=file_sync,
        together=file_sync,
        publisher=publisher,
        executor=equipment.executor,
        pages=config.pages,
        chooser=PageChooser(
            upstream,
            storage,
            config.filters,
            removals,
            config.pages.hash_index,
            config.pages.legacy_json,
        ),
        rules=FileRules(core_metadata=config.pages.core_metadata, check_digests=check_digests),
        removals=removals,
        is_stopped=is_stopped,
        report=report,
    )
