"""One upstream with real packages, its mirror, and nginx before it, for all tests of a session."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.installers import FreshEnvironment, bandersnatch_command
from tests.e2e.nginx import Site, serving
from tests.e2e.old_clients import VERSIONS, OldClient
from tests.support.registry import download

REPOSITORY = Path(__file__).parents[2]

# Each line is one call of pip, which fetches one version of a project.
OLDER_WHEELS: tuple[tuple[str, ...], ...] = (
    ("requests==2.32.3", "packaging==24.2", "filelock==3.16.1", "six==1.16.0", "idna==3.10"),
    ("requests==2.31.0", "packaging==23.2", "filelock==3.13.1", "six==1.15.0"),
)
SDISTS: tuple[tuple[str, ...], ...] = (
    ("packaging==24.2", "six==1.16.0", "idna==3.10", "flit-core==3.12.0"),
    ("six==1.15.0",),
)


@dataclass(frozen=True, slots=True)
class MirrorRun:
    """A mirror, and what the run that made it wrote."""

    directory: Path
    config: Path
    output: str

    @property
    def web(self) -> Path:
        return self.directory / "web"


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of real wheels and sdists: requests, packaging, filelock, six, and what they need."""
    folder = tmp_path_factory.mktemp("distributions")
    download(folder, "requests", "packaging", "filelock", "six", with_dependencies=True)
    for requirements in OLDER_WHEELS:
        download(folder, *requirements)
    for requirements in SDISTS:
        download(folder, *requirements, sdists=True)
    return folder


@pytest.fixture(scope="session")
def upstream_url(distributions: Path) -> Iterator[str]:
    """An index of those, in a process of its own."""
    command = [sys.executable, "-m", "tests.support.fakepypi", "--port", "0", str(distributions)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def run_bandersnatch(config: Path) -> str:
    """Run the command as cron would, with no terminal; return its log."""
    command = [*bandersnatch_command(), "-c", str(config), "mirror"]
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == ""
    return finished.stderr


def make_mirror(folder: Path, upstream_url: str, *options: str) -> MirrorRun:
    """Mirror the upstream into `folder` with the real command."""
    config = folder / "bandersnatch.conf"
    (folder / "mirror").mkdir()
    lines = ["[mirror]", f"directory = {folder / 'mirror'}", f"master = {upstream_url}", "allow-non-https = true"]
    config.write_text("\n".join([*lines, *options]) + "\n")
    return MirrorRun(folder / "mirror", config, run_bandersnatch(config))


@pytest.fixture(scope="session")
def mirror(upstream_url: str, tmp_path_factory: pytest.TempPathFactory) -> MirrorRun:
    return make_mirror(tmp_path_factory.mktemp("mirror"), upstream_url)


@pytest.fixture(scope="session")
def site(mirror: MirrorRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The mirror behind nginx, as README sets it up."""
    with serving(mirror.web, tmp_path_factory.mktemp("site") / "nginx") as running:
        yield running


@pytest.fixture(scope="session")
def hashed_site(upstream_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Another mirror, with hash-index and json, behind nginx with README's lines for that."""
    hashed = make_mirror(tmp_path_factory.mktemp("hashed-mirror"), upstream_url, "hash-index = true", "json = true")
    with serving(hashed.web, tmp_path_factory.mktemp("hashed-site") / "nginx", hash_index=True) as running:
        yield running


@pytest.fixture(scope="session")
def old_clients(tmp_path_factory: pytest.TempPathFactory) -> dict[str, OldClient]:
    """Other versions of bandersnatch, by version."""
    folder = tmp_path_factory.mktemp("old-clients")
    return {version: OldClient.install(version, folder) for version in VERSIONS}


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[Site], FreshEnvironment]:
    """Make an environment whose installers only know the given site."""
    numbers = count()
    return lambda site: FreshEnvironment.make(tmp_path / f"fresh{next(numbers)}", site.index_url)
