"""What all jobs of a run have in common, and how it is made from the configuration."""

from collections.abc import Callable

from msgspec import Struct

from bandersnatch.config.config import Config
from bandersnatch.config.option_groups import PagesConfig
from bandersnatch.pages.publisher import Publisher
from bandersnatch.plan.file_plan import FileRules
from bandersnatch.plan.page_selection import PageChooser
from bandersnatch.plan.removals import RemovalPolicy
from bandersnatch.state.reservations import Reservation
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.upstream.documents import Documents
from bandersnatch.upstream.file_sources import FileSources


class JobContext(Struct, frozen=True):
    """What all jobs of a run use, in one worker.

    ``received`` is called with the size of each piece of a file that arrives. A large project is shared among the
    ``workers`` of the run, if there are several. Paths are written to ``reservation`` before they are touched; it is None
    if the job must not write anything.
    """

    documents: Documents
    storage: FilesystemStorage
    publisher: Publisher
    pages: PagesConfig
    chooser: PageChooser
    rules: FileRules
    sources: FileSources
    removals: RemovalPolicy
    reserve_bytes: int
    is_stopped: Callable[[], bool]
    received: Callable[[int], None] = lambda _: None
    workers: int = 1
    reservation: Reservation | None = None


def build_context(
    config: Config,
    removals: RemovalPolicy,
    documents: Documents,
    storage: FilesystemStorage,
    is_stopped: Callable[[], bool],
) -> JobContext:
    """Return the context of jobs for a configuration, and for the policy of the command. Digests are not checked again."""
    return JobContext(
        documents=documents,
        storage=storage,
        publisher=Publisher(storage, config.pages, documents.journal_end, is_stopped),
        pages=config.pages,
        chooser=PageChooser(documents.base_url, storage, config.filters, removals, config.pages),
        rules=FileRules(core_metadata=config.pages.core_metadata, check_digests=False),
        sources=FileSources.of(config.http),
        removals=removals,
        reserve_bytes=config.disk.reserve_bytes,
        is_stopped=is_stopped,
    )
