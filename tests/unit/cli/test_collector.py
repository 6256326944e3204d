"""What a run with nothing new costs before it begins: the garbage collector pauses, and little is imported."""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bandersnatch.cli import collector
from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig

RUN = """
import gc, json, sys
from bandersnatch.cli import collector
collector.pause()
from bandersnatch.cli.app import main
status = main(["--quiet", "-c", sys.argv[1], "mirror"])
print(json.dumps([status, gc.isenabled(), sorted(sys.modules)]))
"""
NOT_NEEDED = {
    "bandersnatch.cli.config", "bandersnatch.cli.delete", "bandersnatch.cli.sync", "bandersnatch.cli.verify",
    "bandersnatch.filters.facts", "bandersnatch.filters.registry", "bandersnatch.http.driver",
    "bandersnatch.operations.adoption", "bandersnatch.operations.unlisted", "bandersnatch.operations.work",
    "bandersnatch.pages.render", "bandersnatch.upstream.project_list", "bandersnatch.workers.pool", "ctypes", "html",
    "html.parser", "multiprocessing", "packaging.utils", "packaging.version", "pycurl", "rich",
}  # fmt: skip


@pytest.fixture
def paused() -> Iterator[None]:
    collector.pause()
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.usefixtures("paused")
def test_collector_works_again_and_leaves_the_program_alone() -> None:
    assert not gc.isenabled()
    collector.resume()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_without_a_pause_nothing_is_resumed() -> None:
    collector.resume()
    assert gc.get_freeze_count() == 0


def test_run_with_nothing_new_imports_little(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("Foo.Bar", "1.0")  # its row of the changelog comes again, and its name would have to be normalized
    rig.run()
    status, collects, modules = run(rig.write_config())
    assert (status, collects) == (0, True)
    assert NOT_NEEDED & modules == set()


def test_names_of_what_is_not_needed_are_right(rig: Rig, pypi: FakePyPI) -> None:
    for name in NOT_NEEDED:
        __import__(name)


def run(path: Path) -> tuple[int, bool, set[str]]:
    command = [sys.executable, "-c", RUN, str(path)]
    # Without what would let the coverage be measured there, too, which imports more.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
    status, collects, modules = json.loads(finished.stdout)
    return status, collects, set(modules)
