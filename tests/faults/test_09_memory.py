"""9. Memory: a file is never held as a whole, nor what is known of many projects.

Peaks with very large answers, and with many more projects: ``python -m benchmarks.memory``.
"""

import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

from bandersnatch.config.config import Config
from benchmarks.holding import hold
from benchmarks.memory import Upstream, large_file, page_of, serving, simple_upstream

FILE_BYTES = 500 * 1024**2
DATA_BYTES = 300 * 1024**2
FEW, MANY = 100, 1_500
GROWTH_BYTES = 150_000
"""For 1,400 projects more: less than one short object for each, and more than the names that a second's work leaves to be
marked as verified. What is measured differs by some 30,000 bytes."""

MEASURED = """
import sys, tracemalloc
from bandersnatch.state import inventory, inventory_rows, turns
from bandersnatch.pages import render
from bandersnatch.operations import unlisted
from bandersnatch.verify import verification
from bandersnatch.main import main
for module, name in {
    inventory: "ROWS_AT_A_TIME", turns: "ROWS_AT_A_TIME", inventory_rows: "_ROWS_AT_A_TIME",
    render: "_PROJECTS_AT_A_TIME", unlisted: "_ROWS_AT_A_TIME",
}.items():
    assert hasattr(module, name), f"{module.__name__} has no {name} any more"
    setattr(module, name, 50)
tracemalloc.start()
status = main(sys.argv[1:])
print(status, tracemalloc.get_traced_memory()[1])
"""
"""Verifies with portions so small that there are many; prints the status, and the peak of what Python has allocated."""


def limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES, DATA_BYTES))


def test_file_larger_than_the_memory_is_mirrored(tmp_path: Path) -> None:
    config = tmp_path / "bandersnatch.conf"
    with serving(partial(large_file, FILE_BYTES)) as (url, _):
        text = f"[mirror]\ndirectory = {tmp_path}/mirror\nmaster = {url}\nallow-non-https = true\nworkers = 4\n"
        config.write_text(text)
        command = [sys.executable, "-m", "bandersnatch", "--quiet", "-c", str(config), "mirror", "--init"]
        result = subprocess.run(command, preexec_fn=limit_memory, capture_output=True, text=True, timeout=100)
    assert (result.returncode, result.stderr) == (0, "")
    (stored,) = (tmp_path / "mirror/web/packages").rglob("*.tar.gz")
    assert stored.stat().st_size == FILE_BYTES


def empty_projects() -> Upstream:
    """An index whose projects have no files."""
    upstream = simple_upstream("zeros", [])
    upstream.page = lambda name: page_of(name, 1, [])
    return upstream


def peak_of_verification(folder: Path, number: int) -> int:
    """Verify a mirror of so many projects, all of whose pages are missing; return the peak of what Python has allocated."""
    folder.mkdir()
    config = folder / "bandersnatch.conf"
    with serving(empty_projects) as (url, _):
        config.write_text(f"[mirror]\ndirectory = {folder}/mirror\nmaster = {url}\nallow-non-https = true\n")
        hold(Config.load(config), (f"project-{each}" for each in range(number)), serial=1)
        command = [sys.executable, "-c", MEASURED, "--quiet", "-c", str(config), "verify", "--hash", "--delete"]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=100)
    *_, last = result.stdout.splitlines()
    status, peak = map(int, last.split())
    assert status == 6
    return peak


def test_verification_of_more_projects_takes_no_more_memory(tmp_path: Path) -> None:
    few, many = (peak_of_verification(tmp_path / f"{number}", number) for number in (FEW, MANY))
    assert many < few + GROWTH_BYTES
