"""5. Killed at any point: one plain run repairs it, and no reader sees anything wrong in between.

A sample of the kills and of the failing operations by default; all of them, 200 kills in each series, with
``BANDERSNATCH_ALL_FAULTS=1`` in the environment, as ``tox -e kills`` has it.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from bandersnatch.errors import StorageError
from bandersnatch.operations.tuning import Tuning
from tests.faults.failing_storage import FailingStorage
from tests.support.fakepypi import Call, FakePyPI
from tests.support.rig import Rig, start_on_one_core

ALL = bool(os.environ.get("BANDERSNATCH_ALL_FAULTS"))
KILLS, KILLS_IN_PROCESSES = (200, 200) if ALL else (21, 6)
EVERY_WHICH_OPERATION = 1 if ALL else 5
KINDS = ("first", "news", "removals", "news", "removals", "resync")
KINDS_IN_PROCESSES = ("first", "resync")
FIRST_IN_PROCESSES = {"first": "/simple/project-*"}
"""Pages are asked for by workers, which a busy machine may not have started at any moment before."""
PROJECTS, PROJECTS_IN_PROCESSES = 200, Tuning().projects_for_processes + 20


def build_world(pypi: FakePyPI, projects: int) -> None:
    for number in range(projects):
        pypi.add_file(f"project-{number}", "1.0")
        if number % 4 == 0:
            pypi.add_file(f"project-{number}", "1.0", kind="sdist", size=20_000)
        if number % 20 == 0:
            pypi.add_file(f"project-{number}", "2.0", size=2_000_000, metadata_in_wheel=False)


def tell_news(pypi: FakePyPI, chance: random.Random, *, removals: bool) -> None:
    """Change a third of the world, by additions, and by removals too where that is asked for."""
    for number in chance.sample(range(PROJECTS), PROJECTS // 3):
        name = f"project-{number}"
        kind = chance.choice(["add", "remove file", "remove", "quarantine"] if removals else ["add", "add", "yank"])
        files = pypi.files(name) if name in pypi.project_names() else []
        if kind == "add" or not files:
            pypi.add_file(name, f"3.{pypi.serial}")
        elif kind == "yank":
            pypi.yank(name, files[0].version, "news")
        elif kind == "remove file":
            pypi.remove_file(name, files[0].filename)
        elif kind == "remove":
            pypi.remove_project(name)
        else:
            pypi.quarantine_release(name, files[0].version)


def assert_pages_are_true(web: Path) -> None:
    """Assert that each page is whole, and each file that it lists is there, whole."""
    for page in (web / "simple").glob("*/index.v1_json"):
        for file in json.loads(page.read_bytes())["files"]:
            stored = page.parent / file["url"]
            assert stored.is_file(), f"{page}: {file['url']} is listed and missing"
            assert hashlib.sha256(stored.read_bytes()).hexdigest() == file["hashes"]["sha256"], f"{stored}: not whole"
            if file["core-metadata"]:
                metadata = Path(f"{stored}.metadata").read_bytes()
                assert hashlib.sha256(metadata).hexdigest() == file["core-metadata"]["sha256"]
    for page in (web / "simple").glob("*/index.html"):
        assert b"</html>" in page.read_bytes()


def rig_with(pypi: FakePyPI, folder: Path, projects: int) -> Rig:
    rig = Rig(pypi, folder)
    rig.options["max-removals"] = "100%"
    if projects != PROJECTS_IN_PROCESSES:
        rig.start = start_on_one_core
    return rig


class Killer:
    """Kills runs at random moments between a first request and their end, and learns how long each kind of run takes."""

    def __init__(self, chance: random.Random, first_request: Mapping[str, str]) -> None:
        self._chance, self._first_request = chance, first_request
        self._seconds = {"first": 0.8, "news": 0.3, "removals": 0.3, "resync": 0.5}
        self.kills: Counter[str] = Counter()
        self.with_processes = 0
        """How many of the killed runs had processes of their own at that moment; they are left to end by themselves."""

    def run(self, rig: Rig, pypi: FakePyPI, kind: str) -> bool:
        """Start a run and kill it; return False where it came to its end before."""
        begun = threading.Event()
        pypi.fault(self._first_request.get(kind, "*"), Call(begun.set), times=None)
        moment = self._chance.random() * self._seconds[kind]
        with rig.start_command("mirror") as process:
            assert begun.wait(30)
            threading.Event().wait(moment)  # a point of time, not a condition: any will do
            has_workers = bool(children_of(process.pid))
            process.kill()
            process.communicate()
        pypi.clear_faults()
        is_killed = process.returncode == -signal.SIGKILL
        self._seconds[kind] = self._seconds[kind] * 1.1 if is_killed else max(moment, 0.05)
        self.kills[kind] += is_killed
        self.with_processes += is_killed and has_workers
        return is_killed


def children_of(pid: int) -> list[str]:
    """Return the processes that a process has started; none where it has ended."""
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []


def finished_files(web: Path) -> set[str]:
    return {f"/{path.relative_to(web)}" for path in (web / "packages").rglob("*") if path.suffix in (".whl", ".gz")}


@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("loses_inventory", [False, True], ids=["with its inventory", "inventory lost"])
@pytest.mark.parametrize(
    ("projects", "kinds", "kills"),
    [(PROJECTS, KINDS, KILLS), (PROJECTS_IN_PROCESSES, KINDS_IN_PROCESSES, KILLS_IN_PROCESSES)],
    ids=["in one thread", "in processes"],
)
def test_killed_runs_are_mended_by_one_plain_run(
    pypi: FakePyPI, tmp_path: Path, projects: int, kinds: Sequence[str], kills: int, *, loses_inventory: bool
) -> None:
    chance = random.Random(20261123)
    killer = Killer(chance, FIRST_IN_PROCESSES if projects == PROJECTS_IN_PROCESSES else {})
    build_world(pypi, projects)
    rig = rig_with(pypi, tmp_path, projects)
    for turn in range(20 * kills):
        kind = kinds[turn % len(kinds)]
        if kind == "first":
            shutil.rmtree(rig.directory, ignore_errors=True)  # hundreds of them would fill a small disk
            rig = rig_with(pypi, tmp_path / str(turn), projects)
            rig.folder.mkdir()
        elif kind == "resync":
            rig.resync()
        else:
            tell_news(pypi, chance, removals=kind == "removals")
        if not killer.run(rig, pypi, kind):
            continue
        assert_pages_are_true(rig.web)
        finished = finished_files(rig.web)
        pypi.clear_requests()
        if loses_inventory:
            for path in rig.directory.glob("inventory.sqlite*"):
                path.unlink()
        result = rig.command("--quiet", "mirror")
        assert (result.returncode, result.stderr) == (0, "")
        rig.assert_matches()
        assert not finished & {request.path for request in pypi.file_requests()}
        if killer.kills.total() == kills:
            break
    print(f"killed: {dict(killer.kills)}, with worker processes under way: {killer.with_processes}")
    assert killer.kills.total() == kills
    assert killer.with_processes >= kills // 4 if projects == PROJECTS_IN_PROCESSES else killer.with_processes == 0
    assert min(killer.kills[kind] for kind in kinds) >= kills // 20


def test_folders_of_a_deletion_that_was_cut_short_go_too(pypi: FakePyPI, tmp_path: Path) -> None:
    rig = Rig(pypi, tmp_path)
    file = pypi.add_file("foo", "1.0")
    pypi.add_file("foo", "2.0")
    rig.run()
    pypi.remove_release("foo", "1.0")
    left = rig.web / file.url_path.lstrip("/")
    left.unlink()
    Path(f"{left}.metadata").unlink()
    left.parent.rmdir()  # and here a run was killed, before it came to the two folders above
    rig.run()
    rig.assert_matches()


def test_storage_that_fails_at_any_operation_loses_nothing(pypi: FakePyPI, tmp_path: Path) -> None:
    pypi.add_file("foo", "1.0", metadata_in_wheel=False)
    pypi.add_file("bar", "1.0", kind="sdist")
    pypi.add_file("baz", "1.0")
    stories: dict[str, Callable[[], None]] = {
        "first": lambda: None,
        "news": lambda: tell_small_news(pypi),
        "removals": lambda: tell_small_removals(pypi),
    }
    tried = 0
    rig = Rig(pypi, tmp_path / "before")
    rig.folder.mkdir()
    for story, happens in stories.items():
        happens()
        for fails_from in range(1, 1000, EVERY_WHICH_OPERATION):
            broken = copy_of(rig, tmp_path / f"{story}-{fails_from}")
            if not fails_once(broken, fails_from):
                break
            assert_pages_are_true(broken.web)
            broken.make_storage = Rig(pypi, tmp_path).make_storage
            assert broken.run().failures == []
            broken.assert_matches()
            tried += 1
        rig.run()
        rig.assert_matches()
    print(f"broken runs: {tried}")
    assert tried >= 60 // EVERY_WHICH_OPERATION


def tell_small_news(pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.1")
    pypi.yank("bar", "1.0")
    pypi.add_file("new", "1.0")


def tell_small_removals(pypi: FakePyPI) -> None:
    pypi.remove_release("foo", "1.0")
    pypi.remove_project("bar")


def copy_of(rig: Rig, folder: Path) -> Rig:
    folder.mkdir()
    if rig.directory.exists():
        shutil.copytree(rig.directory, folder / "mirror")
    return Rig(rig.pypi, folder)


def fails_once(rig: Rig, fails_from: int) -> bool:
    """Run on a disk that goes bad; return whether that was met at all."""
    storages: list[FailingStorage] = []

    def make(root: Path) -> FailingStorage:
        storages.append(FailingStorage(root, fails_from))
        return storages[-1]

    rig.make_storage = make
    try:
        rig.run(workers="2")
    except StorageError:
        assert storages[0].has_failed
        return True
    assert not storages[0].has_failed
    return False
