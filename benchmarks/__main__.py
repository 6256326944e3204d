"""The command line of the benchmarks."""

import argparse
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from benchmarks.dataset import Size
from benchmarks.index import load_or_build
from benchmarks.server import Address, serving

SIZES = {
    "B1": Size("B1", 2_000, 20_000, (4_096, 16_384), largest_project=5_000),
    "B2": Size("B2", 300, 3_000, (4_096, 16_384)),
    "B6": Size("B6", 20, 20, (100_000_000, 100_000_000)),
}


def seconds(text: str) -> float:
    """Read ``30ms`` or ``0.03s``."""
    return float(text[:-2]) / 1000 if text.endswith("ms") else float(text.removesuffix("s"))


def serve(arguments: argparse.Namespace) -> None:
    """Serve an index until the process is ended."""
    address = Address(arguments.port)
    size = SIZES[arguments.index].scaled(arguments.scale)
    index = load_or_build(arguments.work / f"index-{address.port}-{size.name}", address.url, size)
    mirror = arguments.work / "mirror-by-hand"
    config = arguments.work / "by-hand.conf"
    config.write_text(f"[mirror]\ndirectory = {mirror}\nmaster = {address.url}\nallow-non-https = true\nworkers = 10\n")
    with serving(index, address, arguments.latency) as server:
        print(f"{len(index.projects)} projects, {len(index.files)} files at {address.url}; log: {server.access_log}")
        print(f"rm -rf {mirror}; time python -m bandersnatch --quiet -c {config} mirror", flush=True)
        with suppress(KeyboardInterrupt):
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            signal.pause()


def main() -> int:
    """Serve, or run scenarios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="*", help="serve")
    parser.add_argument("--index", default="B1", choices=sorted(SIZES))
    parser.add_argument("--port", type=int, default=18_600)
    parser.add_argument("--latency", type=seconds, default=0.0)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "bandersnatch-benchmarks")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    serve(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
