"""What all scenarios do: make and serve an index, run a client against it, check and record the result."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.check import Expected, WrongMirrorError
from benchmarks.clients import Client, Wishes
from benchmarks.dataset import Size
from benchmarks.forms import Form
from benchmarks.index import Index, build_twin, load_or_build
from benchmarks.measure import Request, Usage, count_kinds, read_requests, run
from benchmarks.results import Result
from benchmarks.server import Server, serving, url_of

LOG_SETTLES_SECONDS = 0.2
"""The server may write its log after the client has its answer."""
DISCARDED = "discarded"


@dataclass(frozen=True)
class Settings:
    """What the command line says."""

    work: Path
    runs: int
    port: int
    scale: float
    latency_seconds: float | None


@dataclass
class Bench:
    """One session of measuring; collects ``results``."""

    settings: Settings
    clients: Sequence[Client]
    results: list[Result] = field(default_factory=list)

    def who(self, *keys: str) -> list[Client]:
        """Return those of the clients that take part and are among the keys, in the order of the keys."""
        return [client for key in keys for client in self.clients if client.key == key]

    def index(self, size: Size) -> Index:
        """Return the index of that size, made where it is not there yet."""
        scaled = size.scaled(self.settings.scale)
        folder = index_folder(self.settings, scaled)
        if not folder.exists():
            print(f"making the index {scaled.name}: {scaled.projects:,} projects, {scaled.files:,} files", flush=True)
        return load_or_build(folder, url_of(self.settings.port), scaled)

    def index_over_tls(self, size: Size) -> Index:
        """Return that index as it is served over TLS; it is made anew each time, which takes a second or two."""
        plain = self.index(size)
        size = replace(plain.size, name=f"{plain.size.name}-tls")
        return build_twin(plain, index_folder(self.settings, size), url_of(self.settings.port, is_secure=True), size)

    def index_in_form(self, size: Size, form: Form) -> Index:
        """Return that index as other software has it; it is made anew each time."""
        plain = self.index(size)
        size = replace(plain.size, name=f"{plain.size.name}-{form.name}")
        return build_twin(plain, index_folder(self.settings, size), url_of(self.settings.port), size, form)

    def serving(self, index: Index, latency_seconds: float = 0) -> AbstractContextManager[Server]:
        """Serve an index, each answer so much later."""
        return serving(index, self.latency(latency_seconds))

    def latency(self, usual_seconds: float) -> float:
        """Return how much later answers come: what the command line says, or what is usual in the scenario."""
        wanted = self.settings.latency_seconds
        return usual_seconds if wanted is None else wanted

    def tree(self, index: Index, client: Client) -> Path:
        """Return the folder in which a client mirrors an index."""
        return self.settings.work / "trees" / f"{index.size.name}-{client.key}"

    def empty_tree(self, index: Index, client: Client) -> Path:
        """Return that folder with nothing in it."""
        tree = self.tree(index, client)
        remove(tree)
        tree.mkdir(parents=True)
        return tree

    def synced_trees(self, case: str, server: Server, expected: Expected, *keys: str) -> list[tuple[Client, Path]]:
        """Return clients with their mirrors of the index, made by runs that are not measured where there is none yet.

        A client that does not come so far is recorded as wrong, and left out.
        """
        trees = []
        for client in self.who(*keys):
            tree = self.tree(server.index, client)
            if not _marker(tree).exists():
                self.empty_tree(server.index, client)
                usage, requests = self.attempt(client, server, tree)
                if problem := self._problem_of(client, usage, tree, expected):
                    self.record(f"{case} (first sync)", client.name, usage, requests, problem)
                    continue
            trees.append((client, tree))
        return trees

    def attempt(
        self,
        client: Client,
        server: Server,
        tree: Path,
        wishes: Wishes | None = None,
        is_enough: Callable[[], bool] | None = None,
    ) -> tuple[Usage, list[Request]]:
        """Run a client; return what it took and what it asked for."""
        _marker(tree).unlink(missing_ok=True)
        command = client.command(tree, server.index, wishes or Wishes())
        os.sync()
        os.truncate(server.access_log, 0)
        environment = {**command.environment, **server.environment}
        usage = run(list(command.arguments), environment, _log(tree), is_enough)
        time.sleep(LOG_SETTLES_SECONDS)
        with server.access_log.open() as lines:
            return usage, read_requests(lines)

    def sync(
        self,
        case: str,
        client: Client,
        server: Server,
        tree: Path,
        expected: Expected,
        wishes: Wishes | None = None,
        facts: Callable[[Sequence[Request]], Mapping[str, float]] | None = None,
    ) -> None:
        """Run a client, check what it did, and record it."""
        usage, requests = self.attempt(client, server, tree, wishes)
        problem = self._problem_of(client, usage, tree, expected)
        self.record(case, client.name, usage, requests, problem, facts(requests) if facts else {})

    def _problem_of(self, client: Client, usage: Usage, tree: Path, expected: Expected) -> str | None:
        """Return what is wrong after a run, or mark the mirror as right."""
        if usage.status:
            print(f"{client.name}: see {_log(tree)}")
            return f"exit status {usage.status}"
        try:
            client.check(tree, expected)
        except WrongMirrorError as error:
            return str(error)
        except (OSError, ValueError, KeyError) as error:
            return f"can't be read: {type(error).__name__}"
        _marker(tree).touch()
        return None

    def record(
        self,
        case: str,
        client: str,
        usage: Usage,
        requests: Sequence[Request] = (),
        problem: str | None = None,
        facts: Mapping[str, float] | None = None,
    ) -> None:
        """Record a run, and tell of it."""
        body_bytes = sum(request.body_bytes for request in requests)
        result = Result(case, client, usage, count_kinds(requests), body_bytes, problem, facts or {})
        self.results.append(result)
        told = f"{usage.wall_seconds:.2f} s wall, {usage.cpu_seconds:.2f} s CPU, {usage.peak_bytes / 1e6:.0f} MB"
        wrong = f"  WRONG: {problem}" if problem else ""
        print(f"{case:20} {client:20} {told}, {len(requests):,} requests{wrong}", flush=True)


def index_folder(settings: Settings, size: Size) -> Path:
    """Return where an index is kept."""
    return settings.work / f"index-{settings.port}-{size.name}"


def remove(tree: Path) -> None:
    """Put a mirror away until the session ends.

    ext4 steps over the inodes of files that were deleted in the last minute one by one, so a run that makes many files soon
    after others were deleted takes up to twice as long.
    """
    _marker(tree).unlink(missing_ok=True)
    if tree.exists():
        discarded = tree.parent / DISCARDED
        discarded.mkdir(exist_ok=True)
        tree.rename(discarded / f"{tree.name}-{time.monotonic_ns()}")


def _marker(tree: Path) -> Path:
    """Return the file that says that a mirror is up to date and was checked."""
    return tree.with_name(f"{tree.name}.synced")


def _log(tree: Path) -> Path:
    return tree.with_name(f"{tree.name}.log")
