"""What tests share: a fake PyPI on loopback, a mirror of it in a temporary directory, and the parts that work on either."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bandersnatch.http.conversation import Conversation
from bandersnatch.http.transfer import Transfer
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.upstream.index import Upstream
from tests.support.builders import make_conversation, make_transfer
from tests.support.fakepypi import FakePyPI, Status
from tests.support.rig import HURRIED, IN_PROCESSES, Rig


@pytest.fixture(autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the records that runs leave outside of their directories apart from those of the machine, and of other tests."""
    home = tmp_path_factory.mktemp("state")
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    return home


HERE = Path(__file__).parent
SLOW_FOLDERS = {"faults", "sync", "operations", "verify"}
"""Whole runs, many of them: `tox -e slow` has them, and `tox -e py` those of them that are marked ``quick``."""
SLOW_MODULES = {
    "test_changelog_faults",
    "test_claims",
    "test_commands_as_configured",
    "test_link",
    "test_memory",
    "test_mirror_folder",
    "test_own_projects",
    "test_pool",
    "test_refresh",
    "test_requirement_files",
    "test_run_plan_without_xmlrpc",
    "test_shortcomings",
    "test_signals",
    "test_takeover_changes",
}
LONG_FOR_FEW_LINES = {"test_changelog_faults", "test_shortcomings", "test_verify_extent", "test_verify_filters"}
"""Modules of tests/unit without which the floor of coverage holds, too: `tox -e measured` leaves them to `tox -e slow`."""
STORIES_FOR_MANY_LINES = {
    "test_followed_chain",
    "test_indexes_in_trouble",
    "test_kinds_of_indexes",
    "test_other_hashes",
    "test_other_indexes",
    "test_files_elsewhere",
    "test_shared_tree",
    "test_vendor_indexes",
}
"""Modules of tests/sync that alone reach what indexes of other kinds, or several of them, need."""
SLOW_VARIANTS = {"in processes", "by the index", "without XML-RPC"}


def pytest_configure() -> None:
    """Let warnings be errors in the commands that quick tests start, as they are in all tests themselves.

    Slow ones may run with coverage, and those of tests/e2e start pip and others: what these warn of is theirs.
    """
    if os.environ.get("BANDERSNATCH_QUICK_TESTS"):
        kinds = ("DeprecationWarning", "PendingDeprecationWarning", "ResourceWarning")
        os.environ["PYTHONWARNINGS"] = ",".join(f"error::{kind}" for kind in kinds)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even read a module without a quick test, where only these are run: a third of them have none."""
    is_module = collection_path.suffix == ".py" and collection_path.stem.startswith("test_")
    if not is_module or config.getoption("markexpr") != "not slow and not e2e":
        return None
    has_none = "e2e" in collection_path.parts or (
        is_slow(collection_path) and "pytest.mark.quick" not in collection_path.read_text("utf-8")
    )
    return True if has_none else None


def is_slow(module: Path) -> bool:
    """Whether the tests of a module are slow, but for those that are marked ``quick``."""
    return module.stem in SLOW_MODULES or not SLOW_FOLDERS.isdisjoint(module.relative_to(HERE).parts)


def reaches_many_lines(module: Path) -> bool:
    """Whether coverage needs the slow tests of a module."""
    return module.stem in STORIES_FOR_MANY_LINES or ("unit" in module.parts and module.stem not in LONG_FOR_FEW_LINES)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long; of a story that is told in several ways, the first one is quick.

    Those that reach many lines are marked as measured too, but not in the ways that are never quick.
    """
    for item in items:
        variants = item.callspec.id if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ""
        is_variant = any(variant in variants for variant in SLOW_VARIANTS)
        if is_variant or (is_slow(item.path) and item.get_closest_marker("quick") is None):
            item.add_marker(pytest.mark.slow)
            if not is_variant and reaches_many_lines(item.path):
                item.add_marker(pytest.mark.measured)


@pytest.fixture
def pypi() -> Iterator[FakePyPI]:
    with FakePyPI() as fake:
        yield fake


@pytest.fixture
def transfer() -> Iterator[Transfer]:
    with closing(make_transfer(attempts=3)) as transfer:
        yield transfer


@pytest.fixture
def rig(pypi: FakePyPI, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A mirror of the fake PyPI. Where its runs are meant to have worker processes, these must have asked for something."""
    rig = Rig(pypi, tmp_path)
    yield rig
    if rig.has_meant_processes and request.node.get_closest_marker("without_processes") is None:
        assert pypi.pages_for_others > 0, (
            "no process of a worker has asked for a page: the test would pass without them, too"
        )


@pytest.fixture(params=[HURRIED, IN_PROCESSES], ids=["in one thread", "in processes"])
def in_processes_or_not(rig: Rig, request: pytest.FixtureRequest) -> None:
    """Let runs have one thread, and worker processes."""
    rig.tuning = request.param
    rig.has_meant_processes = request.param is IN_PROCESSES


WAYS = {"by the journal": "auto", "by the index": "simple", "without XML-RPC": "auto"}


@pytest.fixture(params=WAYS)
def way(rig: Rig, pypi: FakePyPI, request: pytest.FixtureRequest) -> str:
    """Let runs learn what has changed in each of the ways that there are; of all, the same must come."""
    rig.options["api-method"] = WAYS[request.param]
    if request.param == "without XML-RPC":
        pypi.fault("rpc:*", Status(404), times=None)
    return str(request.param)


@pytest.fixture
def storage(tmp_path: Path) -> FilesystemStorage:
    """The directory of a mirror, which is made by the first write."""
    return FilesystemStorage(tmp_path / "mirror")


@pytest.fixture
def conversation() -> Iterator[Conversation]:
    """Tries three times, without waiting."""
    with closing(make_conversation(attempts=3)) as conversation:
        yield conversation


@pytest.fixture
def upstream(pypi: FakePyPI) -> Iterator[Upstream]:
    """The fake PyPI as a run sees it, which tries once."""
    with closing(make_conversation()) as conversation:
        yield Upstream(conversation, pypi.url)


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take all proxies out of the environment."""
    for name in ("SOCKS5_PROXY", "SOCKS4_PROXY", "SOCKS_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
