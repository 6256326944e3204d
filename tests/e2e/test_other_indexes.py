"""The software that serves indexes other than PyPI is mirrored, and kept current through all that can happen there."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin

import pytest

from tests.e2e.index_servers import (
    Devpi,
    DumbPypi,
    IndexServer,
    NegotiatedTree,
    OldTree,
    Pip2Pi,
    PypiServer,
    PypiServerWithMd5,
    SimpleRepositoryServer,
    requires_python,
)
from tests.e2e.installers import FreshEnvironment, bandersnatch_command
from tests.e2e.nginx import serving
from tests.e2e.old_clients import OldClient
from tests.e2e.ports import reserved_port
from tests.support.counting_proxy import counting_proxy
from tests.support.fakepypi import FakePyPI

pytestmark = pytest.mark.e2e

INSTALLED = (PypiServer, PypiServerWithMd5, SimpleRepositoryServer, Devpi, DumbPypi, Pip2Pi)
OLD = {"bandersnatch 6.8": ("6.8.0", OldTree), "bandersnatch 8.0": ("8.0.0", NegotiatedTree)}
SETTINGS = "[mirror]\ndirectory = {directory}\nmaster = {master}\nallow-non-https = true\n{options}\n"


@dataclass(frozen=True, slots=True)
class Mirror:
    """A mirror of a server, made by the real command."""

    directory: Path
    config: Path

    def run(self, **variables: str) -> tuple[int, str]:
        """Run the command; return its status and its log."""
        command = [*bandersnatch_command(), "-c", str(self.config), "mirror"]
        environment = {**os.environ, **variables}
        finished = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env=environment
        )
        return finished.returncode, finished.stderr

    def tree(self) -> dict[str, bytes]:
        """Return everything that is served, but for the time of the last run."""
        web = self.directory / "web"
        files = {str(path.relative_to(web)): path for path in web.rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in files.items() if name != "last-modified"}

    def page(self, name: str) -> dict[str, dict[str, Any]]:
        """Return the files of a project's page, by name."""
        page = json.loads((self.directory / "web/simple" / name / "index.v1_json").read_bytes())
        return {file["filename"]: file for file in page["files"]}

    def assert_has(self, server: IndexServer, pypi: FakePyPI) -> None:
        """Assert that everything that the server publishes is here, and nothing else."""
        web = self.directory / "web"
        names = set(pypi.project_names())
        assert {path.name for path in (web / "simple").iterdir() if path.is_dir()} == names
        root = json.loads((web / "simple/index.v1_json").read_bytes())
        assert {project["name"] for project in root["projects"]} == names
        found = set()
        for name in names:
            page, ranges = self.page(name), requires_python(pypi, name)
            yanked = {file["filename"]: bool(file["yanked"]) for file in pypi.page(name)["files"]}
            assert page.keys() == ranges.keys()
            for file in pypi.files(name):
                told = page[file.filename]
                path = web / unquote(urljoin(f"simple/{name}/", told["url"]))
                found.add(path)
                assert sha256(path.read_bytes()).hexdigest() == file.sha256 == told["hashes"]["sha256"]
                assert told["size"] == file.size
                assert bool(told["yanked"]) == ("yanked" in server.tells and yanked[file.filename])
                assert (told["requires-python"] or None) == (
                    ranges[file.filename] if "requires_python" in server.tells else None
                )
        stored = {path for path in (web / "packages").rglob("*") if path.is_file() and path.suffix != ".metadata"}
        assert stored == found


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the environments of the servers are, each made when it is first needed."""
    return tmp_path_factory.mktemp("tools")


@pytest.fixture(params=[*(each.__name__ for each in INSTALLED), *OLD])
def server(request: pytest.FixtureRequest, tools: Path, tmp_path: Path) -> Iterator[IndexServer]:
    folder = tmp_path / "server"
    folder.mkdir()
    with reserved_port() as port:
        if request.param in OLD:
            clients: dict[str, OldClient] = request.getfixturevalue("old_clients")
            version, kind = OLD[request.param]
            yield kind(clients[version], folder, port)
        else:
            (software,) = [each for each in INSTALLED if each.__name__ == request.param]
            yield software(tools / software.requirements[0].partition(">")[0], folder, port)


@pytest.fixture
def mirror(server: IndexServer, tmp_path: Path) -> Mirror:
    config, directory = tmp_path / "bandersnatch.conf", tmp_path / "mirror"
    directory.mkdir()
    options = "\n".join(server.options)
    config.write_text(SETTINGS.format(directory=directory, master=server.master, options=options))
    return Mirror(directory, config)


@pytest.fixture(scope="session")
def installers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], FreshEnvironment]:
    """One environment, whose pip knows the index that is asked for, and puts things elsewhere."""
    made = FreshEnvironment.make(tmp_path_factory.mktemp("installer"), "")
    return lambda index_url: FreshEnvironment(made.folder, index_url)


class Story:
    """What happens at an index, and what its mirror does then."""

    def __init__(self, server: IndexServer, mirror: Mirror, pypi: FakePyPI) -> None:
        self.server, self.mirror, self.pypi = server, mirror, pypi

    def begin(self) -> None:
        """Have projects of each sort."""
        self.pypi.add_file("alpha", "1.0", requires_python=">=3.8")
        self.pypi.add_file("alpha", "1.0", kind="sdist")
        self.pypi.add_file("Beta.Two", "1.0")
        self.pypi.add_file("gamma", "1.0+cu126")
        for number in range(4):
            self.pypi.add_file(f"other-{number}", "1.0")

    def add(self) -> None:
        """Bring a release, a project, and a yank, if the server has such a thing."""
        self.pypi.add_file("alpha", "1.1")
        self.pypi.add_file("delta", "1.0")
        if "yanked" in self.server.tells:
            self.pypi.yank("alpha", "1.0", "broken")

    def remove(self) -> None:
        """Remove a project."""
        self.pypi.remove_project("beta-two")
        self.pypi.add_file("gamma", "1.1")  # without news, other bandersnatch versions do not write their root index

    def create_again(self) -> None:
        """Create a project of the same name."""
        self.pypi.add_file("Beta.Two", "2.0")

    def run_and_compare(self) -> None:
        """Run the mirror, which then has what the server has."""
        status, log = self.mirror.run()
        assert status == 0, log
        self.mirror.assert_has(self.server, self.pypi)

    def run_with_nothing_new(self) -> None:
        """Run the mirror, which then asks for no more than it must, and writes nothing."""
        before = self.mirror.tree()
        with counting_proxy() as proxy:
            status, log = self.mirror.run(**proxy.variables())
        assert status == 0, log
        assert self.mirror.tree() == before
        asked = sorted(path.removesuffix("/").rpartition("simple")[2].strip("/") for _, path, _ in proxy.requests)
        assert asked == sorted(["", *self.server.asked_again(self.pypi.project_names())])
        assert {status for _, _, status in proxy.requests} == {304 if self.server.has_etags else 200}

    def run_without_the_server(self) -> None:
        """Run the mirror, which then tells of the outage, and changes nothing."""
        before = self.mirror.tree()
        status, log = self.mirror.run()
        assert (status, self.mirror.tree()) == (4, before), log


def assert_pip_installs(mirror: Mirror, environment: Callable[[str], FreshEnvironment], folder: Path) -> None:
    """Assert that pip gets files of the mirror, whatever their names are."""
    target = folder / "installed"
    with serving(mirror.directory / "web", folder / "site") as site:
        wanted = ("alpha==1.0", "beta-two", "gamma==1.0+cu126")
        environment(site.index_url).pip("install", "-q", "--no-deps", "--target", target, *wanted)
    assert {path.name for path in target.iterdir()} >= {"alpha", "beta_two", "gamma"}


def test_an_index_is_mirrored_and_kept_current(
    server: IndexServer,
    mirror: Mirror,
    pypi: FakePyPI,
    tmp_path: Path,
    installers: Callable[[str], FreshEnvironment],
) -> None:
    story = Story(server, mirror, pypi)
    story.begin()
    if not isinstance(server, Devpi):  # which is filled while it runs
        server.publish(pypi)
    with server.running():
        server.publish(pypi)
        story.run_and_compare()
        assert_pip_installs(mirror, installers, tmp_path)
        for happens in (story.add, story.remove, story.create_again):
            happens()
            server.publish(pypi)
            story.run_and_compare()
        story.run_with_nothing_new()
    story.run_without_the_server()
    before = mirror.tree()
    with server.running():
        story.run_and_compare()
        assert mirror.tree() == before
