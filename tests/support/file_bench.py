"""All that the work on one file needs, on a bench where tests can look at it."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from bandersnatch.config.config import Config
from bandersnatch.plan.file_plan import FileTask, FileWork
from bandersnatch.plan.removals import RemovalPolicy
from bandersnatch.project.file_receiver import RESUME_MIN_BYTES
from bandersnatch.project.files import ProjectFiles, SyncedFile
from bandersnatch.project.job_context import JobContext, build_context
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath, file_path
from bandersnatch.upstream.index import Upstream
from tests.support.builders import make_conversation, named
from tests.support.fakepypi import FakePyPI, UploadedFile


@dataclass
class ReceivedBytes:
    """A progress that only counts bytes."""

    pieces: list[int] = field(default_factory=list)

    def start(self, projects: int) -> None: ...
    def project_done(self) -> None: ...
    def stop(self) -> None: ...

    def received(self, size_bytes: int) -> None:
        self.pieces.append(size_bytes)


@dataclass
class Syncing:
    """Works on one file at a time, over an engine of its own."""

    upstream: Upstream
    context: JobContext
    partials: dict[StoredPath, str] = field(default_factory=dict)
    """The ETags of half-written files, as the inventory keeps them from one run to the next."""

    def sync(self, task: FileTask) -> SyncedFile:
        """Do the work of a task, or raise its error."""
        files = ProjectFiles(named("sample"), self.context, self.partials)
        try:
            return self.upstream.finish(files.sync([task]))[task.file.filename]
        finally:
            self.partials = dict(files.partials)


@dataclass
class Bench:
    """All that a file sync works with, and what the tests look at."""

    pypi: FakePyPI
    sync: Syncing
    storage: FilesystemStorage
    progress: ReceivedBytes

    def task(
        self,
        uploaded: UploadedFile,
        work: FileWork = FileWork.FETCH,
        *,
        wants_metadata: bool = False,
    ) -> FileTask:
        """Return the task for an uploaded file, as its page describes it."""
        project = named(uploaded.filename.partition("-")[0])
        page = self.sync.upstream.project_page(project, None).page
        assert page is not None
        file = next(each for each in page.files if each.filename == uploaded.filename)
        self.pypi.clear_requests()
        return FileTask(file, file_path(file), work, wants_metadata)

    def stored(self) -> dict[str, bytes]:
        """Return all files below ``web``, temporary ones too, by name."""
        return {path.name: path.read_bytes() for path in (self.storage.root / "web").rglob("*") if path.is_file()}


def make_bench(pypi: FakePyPI, folder: Path, is_stopped: Callable[[], bool], reserve: int = 0) -> Iterator[Bench]:
    folder.mkdir(exist_ok=True)
    storage = FilesystemStorage(folder)
    progress = ReceivedBytes()
    path = folder.parent / "bandersnatch.conf"
    path.write_text(f"[mirror]\ndirectory = {folder}\nmaster = {pypi.url}\nallow-non-https = true\n")
    config = Config.load(path)
    with closing(make_conversation()) as conversation:
        upstream = Upstream(conversation, pypi.url)
        context = build_context(config, RemovalPolicy.of(config.removals), upstream.documents, storage, is_stopped)
        yield Bench(
            pypi,
            Syncing(upstream, replace(context, reserve_bytes=reserve, received=progress.received)),
            storage,
            progress,
        )


def large(pypi: FakePyPI) -> UploadedFile:
    """Upload a file large enough to be resumed."""
    return pypi.add_file("sample", "1.0", kind="sdist", size=RESUME_MIN_BYTES + 300_000)
