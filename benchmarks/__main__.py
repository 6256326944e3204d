"""Measures bandersnatch beside others, against a made-up index on this machine. See benchmarks/README.md."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.bench import DISCARDED, Bench, Settings
from benchmarks.clients import Client, Curl, Ours, Peer, Wishes, write_config
from benchmarks.machine import describe, touch_free_memory
from benchmarks.plot import draw_growth
from benchmarks.report import render
from benchmarks.results import Results, Session, load, over_time, save
from benchmarks.scenarios import ORDER, SCENARIOS
from benchmarks.scenarios.first_sync import LARGE_FILES, SLOW_LINE, SMALL_FILES
from benchmarks.scenarios.whole_index import WHOLE
from benchmarks.server import REPOSITORY

BY_HAND = {size.name: size for size in (SMALL_FILES, SLOW_LINE, LARGE_FILES, WHOLE)}
CLIENTS = ("ours", "peer", "curl")
FILESYSTEM_FORGETS_SECONDS = 70


def seconds(text: str) -> float:
    """Read a duration: ``30ms``, ``0.03s``."""
    return float(text[:-2]) / 1000 if text.endswith("ms") else float(text.removesuffix("s"))


def client_keys(text: str) -> list[str]:
    """Read ``ours,curl``."""
    keys = text.split(",")
    if unknown := set(keys) - set(CLIENTS):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(CLIENTS)}")
    return keys


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument(
        "what",
        nargs="*",
        metavar="SCENARIO",
        help=f"{', '.join(SCENARIOS)} (default: all); 'report': tables of earlier runs; 'serve': an index to try by hand",
    )
    made.add_argument("--runs", type=int, default=3, help="how often each client runs (default: 3)")
    made.add_argument(
        "--only", type=client_keys, default=list(CLIENTS), help="clients, by commas (default: ours,peer,curl)"
    )
    made.add_argument(
        "--latency", type=seconds, help="how much later each answer comes, such as 30ms (default: 30ms in B2)"
    )
    made.add_argument("--write", action="store_true", help="write benchmarks/RESULTS.md and the plot")
    made.add_argument("--keep", action="store_true", help="use the mirrors that the last session left (for B3, B4, B5)")
    made.add_argument(
        "--scale", type=float, default=1, help="make the indexes smaller, to try the suite out; no results"
    )
    made.add_argument(
        "--source", type=Path, default=REPOSITORY, help="the tree of our bandersnatch (default: this one)"
    )
    made.add_argument("--peer", default="8.0.0", metavar="VERSION", help="the registry's bandersnatch (default: 8.0.0)")
    made.add_argument("--port", type=int, default=18_600, help="where the index is served; the next port is taken, too")
    made.add_argument("--index", choices=sorted(BY_HAND), default="B1", help="what 'serve' serves")
    work = Path(tempfile.gettempdir()) / "bandersnatch-benchmarks"
    made.add_argument(
        "--work", type=Path, default=work, help="the folder for indexes and mirrors (default: %(default)s)"
    )
    return made


def main() -> int:
    """Measure, and say whether every target is met; or serve, or tell of earlier runs."""
    arguments = parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that servers and clients are ended, too
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    settings = Settings(work, arguments.runs, arguments.port, arguments.scale, arguments.latency)
    if arguments.what == ["serve"]:
        return serve(settings, arguments.index)
    store = work / ("results.json" if arguments.scale == 1 else "results-small.json")
    sessions = load(store)
    if arguments.what != ["report"]:
        chosen = arguments.what or list(SCENARIOS)
        if unknown := [name for name in chosen if name not in SCENARIOS]:
            parser().error(f"{', '.join(unknown)}: no such scenario")
        source: Path = arguments.source.resolve()
        environments = work / "environments"
        known: list[Client] = [Ours(source, environments), Peer(arguments.peer, environments), Curl()]
        clients = [client for client in known if client.key in arguments.only]
        if not arguments.keep and (work / "trees").exists():
            delete_and_wait(work / "trees")
        (work / "trees").mkdir(exist_ok=True)
        if arguments.scale == 1:
            touch_free_memory()
        measure(settings, clients, [name for name in ORDER if name in chosen], sessions, store)
    text = render(sessions, describe(work))
    print(f"\n{text}")
    if arguments.write:
        if arguments.scale != 1:
            parser().error("--write: not with --scale")
        folder = REPOSITORY / "benchmarks"
        (folder / "RESULTS.md").write_text(text, "utf-8")
        if "B10" in sessions:
            draw_growth(Results(sessions["B10"].results), folder / "growth.png")
    shutil.rmtree(work / "trees" / DISCARDED, ignore_errors=True)  # takes minutes, and so comes last
    return 0


def delete_and_wait(trees: Path) -> None:
    """Delete the mirrors of the last session, and wait until the filesystem has forgotten them (see ``bench.remove``)."""
    shutil.rmtree(trees, ignore_errors=True)
    os.sync()
    print("deleted the mirrors of the last session; waiting a minute, until that slows nothing down", flush=True)
    time.sleep(FILESYSTEM_FORGETS_SECONDS)


def measure(
    settings: Settings, clients: list[Client], names: list[str], sessions: dict[str, Session], store: Path
) -> None:
    """Run the scenarios, and keep the results of each, with the versions that it had, as soon as it is through."""
    for name in names:
        print(f"\n{name}: {SCENARIOS[name].title}", flush=True)
        bench = Bench(settings, clients)
        before = versions_of(clients)
        SCENARIOS[name].run(bench)
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
        versions = over_time(before, versions_of(clients))
        sessions[name] = Session(name, now, versions, tuple(bench.results))
        save(store, sessions)


def versions_of(clients: list[Client]) -> dict[str, str]:
    """Return the versions that the clients have now: a tree may move on while it is measured."""
    return {client.name: client.version() for client in clients}


def serve(settings: Settings, name: str) -> int:
    """Serve an index until the process is ended."""
    bench = Bench(settings, [])
    index = bench.index(BY_HAND[name])
    mirror = settings.work / "by-hand"
    config = write_config(mirror, index, Wishes())
    with suppress(KeyboardInterrupt), bench.serving(index) as server:
        print(f"{len(index.projects):,} projects, {len(index.files):,} files at {index.url}/simple/")
        print(f"requests: {server.access_log}")
        print(f"rm -rf {mirror}; time python -m bandersnatch -c {config} mirror", flush=True)
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
