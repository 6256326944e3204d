"""pip, uv, Poetry and pdm install from ``bandersnatch serve``; and the site answers as nginx with README's lines does."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients import HTML, V1_HTML, V1_JSON, get, hash_lines, read_html_page, read_json_page
from tests.e2e.conftest import MirrorRun, make_mirror, run_bandersnatch
from tests.e2e.installers import FreshEnvironment, bandersnatch_command, cut_off_environment
from tests.e2e.nginx import Site, serving
from tests.e2e.old_clients import OldClient

pytestmark = pytest.mark.e2e

PINS = {"packaging": "24.2", "filelock": "3.16.1", "six": "1.16.0"}
INSTALLERS = {"poetry": "poetry>=2.1", "pdm": "pdm[locked]>=2.22"}
"""pdm with the versions that its makers tested: it does not work with the newest ones of what it needs."""


@dataclass(frozen=True, slots=True)
class Served:
    """A mirror that ``bandersnatch serve`` serves, and its log."""

    url: str
    log: Path

    @property
    def index_url(self) -> str:
        return f"{self.url}/simple/"


@contextmanager
def served(config: Path, log: Path) -> Iterator[Served]:
    """Serve the mirror of a configuration, on a free port, as a user does."""
    command = [*bandersnatch_command(), "-c", str(config), "serve", "--port", "0", "--debug"]
    with log.open("w") as stderr, subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr) as process:
        try:
            yield Served(url_in(log, process), log)
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()


def url_in(log: Path, process: "subprocess.Popen[bytes]") -> str:
    """Return the URL that the first line of the log names, as soon as it is there."""
    while (found := re.search(r" at (http://\S+)/simple/ ", log.read_text())) is None:
        assert process.poll() is None, log.read_text()
    return found[1]


@pytest.fixture(scope="module", params=["", "hash-index"])
def mirrored(request: pytest.FixtureRequest, upstream_url: str, tmp_path_factory: pytest.TempPathFactory) -> MirrorRun:
    if not request.param:
        mirror: MirrorRun = request.getfixturevalue("mirror")
        return mirror
    return make_mirror(tmp_path_factory.mktemp("hashed"), upstream_url, "hash-index = true", "json = true")


@pytest.fixture(scope="module")
def site(mirrored: MirrorRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(mirrored.config, tmp_path_factory.mktemp("served") / "log") as site:
        yield site


@pytest.fixture
def requirements(site: Served, tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text(hash_lines(site.index_url, PINS))
    return path


@pytest.mark.parametrize(("agent", "install"), [("pip/", FreshEnvironment.pip), ("uv/", FreshEnvironment.uv_pip)])
def test_pip_and_uv_install_with_hashes(
    site: Served, requirements: Path, tmp_path: Path, agent: str, install: Callable[..., str]
) -> None:
    environment = FreshEnvironment.make(tmp_path / "fresh", site.index_url)
    install(environment, "install", "--require-hashes", "--only-binary", ":all:", "-r", requirements)
    assert environment.installed() == PINS
    assert re.search(rf" GET /simple/six/: 200, \d+ bytes \({agent}", site.log.read_text())


def test_uv_resolves_dependencies_from_core_metadata(site: Served, tmp_path: Path) -> None:
    environment = FreshEnvironment.make(tmp_path / "fresh", site.index_url)
    environment.uv_pip("install", "requests")
    assert {"requests", "urllib3", "idna"} <= set(environment.installed())
    assert re.search(r" GET /packages/\S+/requests-\S+\.whl\.metadata: 200, \d+ bytes \(uv/", site.log.read_text())


@pytest.fixture(scope="session", params=INSTALLERS)
def installer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Poetry and pdm, each from the package registry in an environment of its own."""
    import uv

    environment = tmp_path_factory.mktemp(request.param) / "venv"
    for arguments in (
        ["venv", "--quiet", str(environment)],
        ["pip", "install", "--quiet", "--python", str(environment / "bin/python"), INSTALLERS[request.param]],
    ):
        subprocess.run([uv.find_uv_bin(), *arguments], check=True)
    return environment / "bin" / str(request.param)


PROJECT = """\
[project]
name = "consumer"
version = "1"
requires-python = ">=3.11"
dependencies = ["packaging==24.2", "filelock==3.16.1", "six==1.16.0"]

[tool.poetry]
package-mode = false

[[tool.poetry.source]]
name = "mirror"
url = "{url}"
priority = "primary"

[tool.pdm]
distribution = false

[[tool.pdm.source]]
name = "pypi"
url = "{url}"
"""


def test_poetry_and_pdm_lock_and_install(site: Served, installer: Path, tmp_path: Path) -> None:
    environment = FreshEnvironment.make(tmp_path / "fresh", site.index_url)
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(PROJECT.format(url=site.index_url))
    variables = cut_off_environment(tmp_path) | {"VIRTUAL_ENV": str(environment.folder / "venv"), "NO_COLOR": "1"}
    for command in ("lock", "install"):
        finished = subprocess.run(
            [str(installer), command, "-v"], cwd=project, env=variables, capture_output=True, text=True, timeout=100
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
    assert environment.installed() == PINS
    locked = (project / f"{installer.name}.lock").read_text()
    hashes = {link.sha256 for link in read_json_page(f"{site.index_url}six/") if link.version == "1.16.0"}
    assert hashes & set(re.findall(r"sha256:([0-9a-f]{64})", locked))


@pytest.mark.parametrize("mirrored", [""], indirect=True)
@pytest.mark.parametrize("accept", [None, "*/*", HTML, V1_HTML, V1_JSON, f"{V1_JSON}, {V1_HTML};q=0.1, {HTML};q=0.01"])
@pytest.mark.parametrize("path", ["/simple/", "/simple/six/", "/simple/six", "/simple/no-such/", "/state"])
def test_answers_are_those_of_nginx(
    site: Served, request: pytest.FixtureRequest, path: str, accept: str | None
) -> None:
    nginx: Site = request.getfixturevalue("site_of_nginx")
    ours, theirs = get(f"{site.url}{path}", accept), get(f"{nginx.url}{path}", accept)
    assert ours.status == theirs.status
    if ours.status == 200:
        assert ours.body == theirs.body
        for name in ("Content-Type", "Content-Length", "Cache-Control"):
            assert ours.headers[name] == theirs.headers[name]
    assert ours.headers["Location"] == theirs.headers["Location"]


@pytest.fixture(scope="module")
def site_of_nginx(mirror: MirrorRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(mirror.web, tmp_path_factory.mktemp("site") / "nginx") as running:
        yield running


def test_html_and_json_list_the_same_files_and_all_can_be_fetched(site: Served) -> None:
    for name in ("six", "packaging", "requests"):
        links = read_json_page(f"{site.index_url}{name}/")
        assert (
            read_html_page(f"{site.index_url}{name}/") == read_html_page(f"{site.index_url}{name}/", V1_HTML) == links
        )
        assert [get(link.url).status for link in links] == [200] * len(links)


def test_another_mirror_follows_it(mirrored: MirrorRun, site: Served, tmp_path: Path) -> None:
    second = make_mirror(tmp_path, site.url)
    assert " 0 failed, " in second.output.splitlines()[-1]
    copied = {path.relative_to(second.web): path.read_bytes() for path in second.web.glob("packages/**/*.*")}
    assert copied == {
        path.relative_to(mirrored.web): path.read_bytes() for path in mirrored.web.glob("packages/**/*.*")
    }
    assert ": 0 updated, 0 removed, 0 failed, 0 files, " in run_bandersnatch(second.config).splitlines()[-1]


def test_bandersnatch_8_follows_a_served_mirror(
    upstream_url: str, old_clients: dict[str, OldClient], tmp_path: Path
) -> None:
    (tmp_path / "ours").mkdir()
    ours = make_mirror(tmp_path / "ours", upstream_url, "json = true")
    client = old_clients["8.0.0"]
    with served(ours.config, tmp_path / "log") as site:
        directory = client.mirror(tmp_path / "theirs", site.url, "json = true\n")
        assert client.run(tmp_path / "theirs" / "bandersnatch.conf").status == 0
    theirs = directory / "web"
    kept = {path.relative_to(ours.web): path.read_bytes() for path in (ours.web / "packages").rglob("*.*")}
    assert {path: (theirs / path).read_bytes() for path in kept if path.suffix != ".metadata"} == {
        path: body for path, body in kept.items() if path.suffix != ".metadata"
    }
    assert (directory / "status").read_text() == (ours.directory / "state").read_text().strip()
    for folder in (ours.web / "simple").iterdir():
        if folder.is_dir():
            pages = [
                json.loads((web / "simple" / folder.name / "index.v1_json").read_bytes()) for web in (ours.web, theirs)
            ]
            assert int(pages[1]["meta"]["_last-serial"]) == pages[0]["meta"]["_last-serial"]
            assert told_of_files(pages[0]) == told_of_files(pages[1])


def told_of_files(page: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return what a page tells of each file, as far as both programs know of it."""
    fields = ("filename", "size", "upload-time", "requires-python", "yanked")
    return sorted((file["hashes"]["sha256"], *(str(file.get(field)) for field in fields)) for file in page["files"])
