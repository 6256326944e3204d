"""Measures the peak memory of runs against very large answers, and of verifications: ``python -m benchmarks.memory``.

The upstream is made up and runs in a process of its own. So this process stays small, which matters: the kernel counts what
a process was before its ``exec`` into the peak that it tells of it.
"""

import hashlib
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

from bandersnatch.config.config import Config
from benchmarks.dataset import INDEX_PROJECTS, listed_name
from benchmarks.handler import PlainHandler
from benchmarks.holding import hold
from benchmarks.rpc import NO_CHANGES, changes_of, listing, row, value

LIMIT_MB = 400
LARGE_FILE_BYTES = 3 * 1024**3
PIECE = bytes(1024 * 1024)
PAGE_FILES = 20_000
CHANGELOG_ROWS = 50_000
ENOUGH_PAGES = 200
VERIFIED_PROJECTS = (200, 2_000, 20_000)
GROWTH_MB = 12
"""What the largest of the verified mirrors may take more than the smallest: the inventory is read in portions, and the last
of these mirrors fills one."""


@dataclass
class Upstream:
    """What the made-up index answers: to the calls of a method one after another, the last one for ever; pages by name."""

    rpc: dict[str, list[bytes]]
    page: Callable[[str], bytes]
    send_file: Callable[[BaseHTTPRequestHandler], None]
    pages_sent: int = 0
    enough: Event | None = None


def file_entry(filename: str, size: int, sha256: str) -> dict[str, object]:
    """Return a file as a page lists it, at a path of its own."""
    place = hashlib.blake2b(filename.encode(), digest_size=32).hexdigest()
    return {
        "filename": filename,
        "url": f"/packages/{place[:2]}/{place[2:4]}/{place[4:]}/{filename}",
        "hashes": {"sha256": sha256},
        "size": size,
        "requires-python": ">=3.8",
        "upload-time": "2026-01-01T00:00:00.123456Z",
        "yanked": False,
        "core-metadata": False,
        "data-dist-info-metadata": False,
        "provenance": None,
    }


def page_of(name: str, serial: int, files: list[dict[str, object]]) -> bytes:
    """Return a project's page."""
    meta = {"api-version": "1.4", "_last-serial": serial}
    status = {"status": "active"}
    page = {"meta": meta, "name": name, "project-status": status, "versions": ["1.0"], "files": files}
    return json.dumps(page).encode()


def handler_of(upstream: Upstream) -> type[BaseHTTPRequestHandler]:
    """Return the request handler class of an upstream."""

    class Handler(PlainHandler):
        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["Content-Length"]))
            found = re.search(rb"<methodName>(.+)</methodName>", request)
            assert found is not None, request
            answers = upstream.rpc[found[1].decode()]
            self.answer(answers.pop(0) if len(answers) > 1 else answers[0], "text/xml")

        def do_GET(self) -> None:
            if self.path.startswith("/packages/"):
                return upstream.send_file(self)
            upstream.pages_sent += 1
            if upstream.pages_sent == ENOUGH_PAGES and upstream.enough is not None:
                upstream.enough.set()
            self.answer(upstream.page(self.path.split("/")[2]), "application/vnd.pypi.simple.v1+json")
            return None

    return Handler


def serve(make: Callable[[], Upstream], url: "Connection[str, str]", enough: Event) -> None:
    """Make an upstream, send its URL, and serve it on loopback until the process is ended."""
    upstream = make()
    upstream.enough = enough
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_of(upstream)) as server:
        server.daemon_threads = True
        url.send(f"http://127.0.0.1:{server.server_port}")
        server.serve_forever()


@contextmanager
def serving(make: Callable[[], Upstream]) -> Iterator[tuple[str, Event]]:
    """Serve an upstream from another process; yield its URL, and what tells that it has sent a fair number of pages."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    enough = context.Event()
    server = context.Process(target=serve, args=(make, theirs, enough), daemon=True)
    server.start()
    yield ours.recv(), enough
    server.terminate()
    server.join()


def send_zeros(handler: BaseHTTPRequestHandler) -> None:
    """Send a file of zeros, as large as its name says: ``zeros-<bytes>-....tar.gz``."""
    size = int(handler.path.rpartition("/")[2].split("-")[1])
    handler.send_response(200)
    handler.send_header("Content-Length", str(size))
    handler.end_headers()
    for _ in range(size // len(PIECE)):
        handler.wfile.write(PIECE)
    handler.wfile.write(PIECE[: size % len(PIECE)])


def sha256_of_zeros(size: int) -> str:
    """Return the digest of so many zeros."""
    hasher = hashlib.sha256()
    for _ in range(size // len(PIECE)):
        hasher.update(PIECE)
    hasher.update(PIECE[: size % len(PIECE)])
    return hasher.hexdigest()


@dataclass(frozen=True)
class Case:
    """One measurement: ``prepare`` makes what earlier runs left, given the configuration; ``is_plan_only`` ends the run when
    it is under way.
    """

    name: str
    upstream: Callable[[], Upstream]
    is_plan_only: bool = False
    prepare: Callable[[Path], None] | None = None
    command: tuple[str, ...] = ("mirror",)


def peak_of_run(case: Case, folder: Path) -> tuple[int, float, int]:
    """Run the command and return its peak memory in MB, its seconds and its status.

    Where only the plan is measured, the run is ended by SIGTERM when it has a fair number of pages.
    """
    (folder / "mirror").mkdir(parents=True)
    with serving(case.upstream) as (url, enough):
        config = folder / "bandersnatch.conf"
        config.write_text(f"[mirror]\ndirectory = {folder}/mirror\nmaster = {url}\nallow-non-https = true\n")
        if case.prepare is not None:
            preparation = multiprocessing.get_context("spawn").Process(target=case.prepare, args=(config,))
            preparation.start()
            preparation.join()
        begin = time.monotonic()
        command = [sys.executable, "-m", "bandersnatch", "--quiet", "-c", str(config), *case.command]
        environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
        if case.is_plan_only:
            enough.wait(300)
            process.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_maxrss // 1024, time.monotonic() - begin, process.returncode


def simple_upstream(
    project: str, files: list[dict[str, object]], extra: dict[str, list[bytes]] | None = None
) -> Upstream:
    """Return an upstream of one project at serial 1."""
    rpc = {
        "changelog_last_serial": [value("<int>1</int>")],
        "list_packages_with_serial": [listing([(project, 1)])],
        "changelog_since_serial": [NO_CHANGES],
    }
    return Upstream(rpc | (extra or {}), lambda name: page_of(name, 1, files), send_zeros)


def large_page() -> Upstream:
    """A page with 20,000 files."""
    digest = sha256_of_zeros(10)
    names = (f"zeros-10-{number}.tar.gz" for number in range(PAGE_FILES))
    return simple_upstream("zeros", [file_entry(name, 10, digest) for name in names])


def large_file(size: int = LARGE_FILE_BYTES) -> Upstream:
    """One file of that size, by default 3 GB."""
    name = f"zeros-{size}-1.0.tar.gz"
    return simple_upstream("zeros", [file_entry(name, size, sha256_of_zeros(size))])


def long_changelog() -> Upstream:
    """50,000 changes since the last run, of as many projects."""
    rows = "".join(row(f"project-{number}", number + 2) for number in range(CHANGELOG_ROWS - 1))
    upstream = simple_upstream("zeros", [], {"changelog_since_serial": [changes_of(rows), NO_CHANGES]})
    upstream.page = lambda name: page_of(name, 10**6, [])
    return upstream


def large_index() -> Upstream:
    """An index of 736,000 projects."""
    serials = [(listed_name(number), number + 1) for number in range(INDEX_PROJECTS)]
    upstream = simple_upstream("zeros", [], {"list_packages_with_serial": [listing(serials)]})
    upstream.rpc["changelog_last_serial"] = [value(f"<int>{INDEX_PROJECTS}</int>")]
    upstream.page = lambda name: page_of(name, 10**6, [])
    return upstream


def hold_everything(config: Path) -> None:
    """Make the records of a mirror that holds 736,000 projects and is one change behind."""
    hold(Config.load(config), map(listed_name, range(INDEX_PROJECTS)), serial=1)


def one_change() -> Upstream:
    """One change since the last run."""
    upstream = simple_upstream("zeros", [], {"changelog_since_serial": [changes_of(row("zeros", 2)), NO_CHANGES]})
    upstream.page = lambda name: page_of(name, 2, [])
    return upstream


def small_projects(number: int) -> Upstream:
    """An index of so many projects, each of which has one small file."""
    digest = sha256_of_zeros(10)
    names = [f"zeros-10-{each}" for each in range(number)]
    upstream = simple_upstream("zeros", [], {"list_packages_with_serial": [listing([(name, 1) for name in names])]})
    upstream.page = lambda name: page_of(name, 1, [file_entry(f"{name}-1.0.tar.gz", 10, digest)])
    return upstream


def mirror_first(config: Path) -> None:
    """Make the mirror that is verified then."""
    subprocess.run([sys.executable, "-m", "bandersnatch", "--quiet", "-c", str(config), "mirror"], check=True)


def verification_of(number: int) -> Case:
    """Return the case of a mirror of so many projects: all files are read, and those that no page lists are looked for."""
    name = f"verify --delete, {number:,} projects"
    command = ("verify", "--delete")
    return Case(name, partial(small_projects, number), prepare=mirror_first, command=command)


def main() -> int:
    """Measure all, print a table, and return 1 where a limit is passed."""
    verifications = [verification_of(number) for number in VERIFIED_PROJECTS]
    cases = [
        Case("a page with 20,000 files, first sync", large_page),
        Case("a file of 3 GB", large_file),
        Case("50,000 changed projects, planned and begun", long_changelog, is_plan_only=True),
        Case("an index of 736,000 projects, planned and begun", large_index, is_plan_only=True),
        Case("736,000 projects held, one change, root index written", one_change, prepare=hold_everything),
        *verifications,
    ]
    failed = False
    peaks: dict[str, int] = {}
    print(f"| case | peak memory (limit {LIMIT_MB} MB) | wall |\n| --- | --- | --- |")
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="bandersnatch-memory-") as folder:
            megabytes, seconds, status = peak_of_run(case, Path(folder))
        expected = 128 + signal.SIGTERM if case.is_plan_only else 0
        failed |= megabytes > LIMIT_MB or status != expected
        peaks[case.name] = megabytes
        wrong = "" if status == expected else f" status {status}!"
        print(f"| {case.name} | {megabytes} MB | {seconds:.1f} s |{wrong}", flush=True)
    growth = peaks[verifications[-1].name] - peaks[verifications[0].name]
    print(f"\nA verification of {VERIFIED_PROJECTS[-1]:,} projects takes {growth} MB more (limit {GROWTH_MB} MB).")
    return int(failed or growth > GROWTH_MB)


if __name__ == "__main__":
    sys.exit(main())
