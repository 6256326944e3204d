"""A mirror of the fake PyPI under test: its configuration, its runs, and what is on its disk."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from msgspec.structs import replace

from bandersnatch.config.config import Config
from bandersnatch.http.conversation import Conversation
from bandersnatch.http.retry_policy import RetryPolicy
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.operations.mirror import Mirror
from bandersnatch.operations.run_resources import RunResources
from bandersnatch.operations.tuning import Tuning
from bandersnatch.plan.removals import RemovalPolicy
from bandersnatch.progress import SilentProgress
from bandersnatch.project.report import Report
from bandersnatch.stop import StopFlag
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.upstream.index import Upstream
from tests.support.command_line import call
from tests.support.fakepypi import FakePyPI
from tests.support.mirror_check import assert_mirror_matches

IMPATIENT = RetryPolicy(attempts=2, backoff_seconds=0)
HURRIED = Tuning(
    new_projects_for_processes=sys.maxsize, stale_delays_seconds=(0.0, 0.0), checkpoint_seconds=0.0, unwind_seconds=5.0
)
"""With one worker, in a thread, unless the todo list is very long."""
IN_PROCESSES = replace(HURRIED, projects_for_processes=1)
"""With workers in processes of their own, however short the todo list is."""
WITH_UNDERSCORES = ("root_uri", "digest_name", "keep_index_versions")


def start_on_one_core(command: Sequence[str]) -> "subprocess.Popen[str]":
    """Start a command that has one core, and therefore one worker, in a thread."""
    (core, *_) = os.sched_getaffinity(0)
    return start_process(["taskset", "--cpu-list", str(core), *command])


class Rig:
    """One mirror directory and the index that it follows."""

    def __init__(self, pypi: FakePyPI, folder: Path) -> None:
        self.pypi, self.folder = pypi, folder
        self.directory = folder / "mirror"
        self.web = self.directory / "web"
        self.make_storage: Callable[[Path], FilesystemStorage] = FilesystemStorage
        self.start: Callable[[Sequence[str]], subprocess.Popen[str]] = start_process
        """How a command is started; see ``refusing_kernel.py``."""
        self.tuning = HURRIED
        self.has_meant_processes = False
        """Whether a run was meant to have workers in processes: then pages must have been asked for by others than us."""
        self.options: dict[str, str] = {"timeout": "5", "workers": "4"}
        self.filters = ""
        """The sections of the configuration that are about filters."""

    def write_config(self, **options: str) -> Path:
        """Make the mirror's directory, and write a configuration.

        Underscores in names of options stand for dashes, but in the three that have them.
        """
        values = {"directory": str(self.directory), "master": self.pypi.url, "allow-non-https": "true"}
        values |= self.options
        values |= {k if k in WITH_UNDERSCORES else k.replace("_", "-"): v for k, v in options.items()}
        self.directory.mkdir(exist_ok=True)  # an empty directory is a new mirror
        path = self.folder / "bandersnatch.conf"
        mirror = "".join(f"{name} = {value}\n" for name, value in values.items())
        path.write_text(f"[mirror]\n{mirror}{self.filters}")
        return path

    def run(
        self,
        *,
        stop: StopFlag | None = None,
        tuning: Tuning | None = None,
        policy: RetryPolicy = IMPATIENT,
        allow_removals: bool = False,
        **options: str,
    ) -> Report:
        """Run the mirror in this process, without its waits."""
        self.has_meant_processes |= (tuning or self.tuning).projects_for_processes == 1
        config = Config.load(self.write_config(**options))
        with self.resources(config, stop or StopFlag(), policy) as resources:
            removals = RemovalPolicy.of(config.removals, allows_all=allow_removals)
            return Mirror(config, resources, removals, tuning or self.tuning).run()

    def resources(
        self, config: Config, stop: StopFlag | None = None, policy: RetryPolicy = IMPATIENT
    ) -> AbstractContextManager[RunResources]:
        """What a run works with, for commands that are run in this process."""
        return resources(config, self.make_storage(config.directory), stop or StopFlag(), policy)

    def start_command(self, *arguments: str, **options: str) -> "subprocess.Popen[str]":
        """Start ``bandersnatch -c FILE ...`` as a user does."""
        self.write_config(**options)
        return self.start_again(*arguments)

    def start_again(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start ``bandersnatch`` with the configuration that is there already."""
        return self.start(
            [sys.executable, "-m", "bandersnatch", "-c", str(self.folder / "bandersnatch.conf"), *arguments]
        )

    def command(self, *arguments: str, **options: str) -> "subprocess.CompletedProcess[str]":
        """Run ``bandersnatch -c FILE ...`` to its end."""
        self.write_config(**options)
        return self.command_again(*arguments)

    def command_again(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run ``bandersnatch`` to its end with the configuration that is there already."""
        with self.start_again(*arguments) as process:
            # A busy machine is slow; each test has a limit of its own.
            stdout, stderr = process.communicate(timeout=600)
            return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def call(self, *arguments: str, **options: str) -> "subprocess.CompletedProcess[str]":
        """Do what ``bandersnatch -c FILE ...`` does in this process, where nothing depends on its having one of its own."""
        self.write_config(**options)
        return self.call_again(*arguments)

    def call_again(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Do that with the configuration that is there already."""
        return call("-c", str(self.folder / "bandersnatch.conf"), *arguments)

    def command_on_terminal(self, *arguments: str, columns: int = 100) -> tuple[int, str]:
        """Run ``bandersnatch -c FILE ...`` to its end on a terminal; return its status, and all that was shown."""
        command = [sys.executable, "-m", "bandersnatch", "-c", str(self.write_config()), *arguments]
        ours, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
        with subprocess.Popen(command, stderr=theirs, stdout=theirs, env=environment) as process:
            os.close(theirs)
            shown = b"".join(read_terminal(ours)).decode()
        return process.returncode, shown

    def assert_same_tree(self, before: dict[str, tuple[int, ...]]) -> None:
        """Assert that nothing in the mirror's directory was written since ``stamps`` was called."""
        assert self.stamps() == before

    def stamps(self) -> dict[str, tuple[int, ...]]:
        """Return size, inode and times of everything in the mirror's directory: whoever writes there changes them."""
        found: dict[str, tuple[int, ...]] = {}
        for path in [self.directory, *self.directory.rglob("*")]:
            stat = path.lstat()
            found[str(path)] = (stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns)
        return found

    def assert_matches(self, *, times: bool = True) -> None:
        """Assert that the mirror is what upstream publishes."""
        assert_mirror_matches(self.pypi, self.directory, times=times)

    def resync(self) -> None:
        """Do what the README says for a full resync: delete the state files."""
        for name in ("state", "todo"):
            (self.directory / name).unlink(missing_ok=True)

    def tree(self) -> dict[str, bytes]:
        """Return all files below ``web``, by path, but for the one that says when the last run began, and the journal.

        Each mirror has a static journal of its own.
        """
        files = {str(path.relative_to(self.web)): path for path in self.web.rglob("*") if path.is_file()}
        own = [path for path in files if path == "last-modified" or path.startswith("changes/")]
        return {path: files[path].read_bytes() for path in files if path not in own}

    def mtimes(self) -> dict[str, int]:
        """Return when each page was written, in nanoseconds."""
        return {str(p.relative_to(self.web)): p.stat().st_mtime_ns for p in (self.web / "simple").rglob("index.*")}


@contextmanager
def resources(
    config: Config, storage: FilesystemStorage, stop: StopFlag, policy: RetryPolicy
) -> Iterator[RunResources]:
    """What a run works with."""
    with closing(Conversation(config.http, RunLimits(policy), stop.wait)) as conversation:
        yield RunResources(Upstream.configured(config.http, conversation), storage, SilentProgress(), stop)


def run_in_processes(path: Path) -> Report:
    """Run the mirror of a configuration with workers in processes, for a process of its own."""
    config = Config.load(path)
    with resources(config, FilesystemStorage(config.directory), StopFlag(), IMPATIENT) as equipped:
        return Mirror(config, equipped, RemovalPolicy.of(config.removals), IN_PROCESSES).run()


def start_process(command: Sequence[str]) -> "subprocess.Popen[str]":
    """Start a command as it is."""
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def read_terminal(descriptor: int) -> Iterator[bytes]:
    """Yield what is shown, until the other side is closed."""
    while True:
        try:
            data = os.read(descriptor, 65536)
        except OSError:  # how Linux tells the end of a terminal
            data = b""
        if not data:
            os.close(descriptor)
            return
        yield data
