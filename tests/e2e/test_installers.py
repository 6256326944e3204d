"""pip and uv install from the mirror, in fresh environments that know no other index, with hashes required."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.clients import V1_JSON, hash_lines, newest, read_json_page
from tests.e2e.conftest import MirrorRun
from tests.e2e.installers import FreshEnvironment
from tests.e2e.nginx import Asked, Site

pytestmark = pytest.mark.e2e

Fresh = Callable[[Site], FreshEnvironment]
REQUESTS_NEEDS = ("requests", "certifi", "charset-normalizer", "idna", "urllib3")


@pytest.fixture
def pins(site: Site) -> dict[str, str]:
    """Versions of everything: requests and what it needs, and older ones of the others."""
    return newest(site.index_url, *REQUESTS_NEEDS) | {"packaging": "24.2", "filelock": "3.16.1", "six": "1.16.0"}


def write_requirements(folder: Path, site: Site, pins: dict[str, str]) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(hash_lines(site.index_url, pins))
    return requirements


def test_pip_installs_with_hashes(site: Site, fresh: Fresh, pins: dict[str, str], tmp_path: Path) -> None:
    environment = fresh(site)
    requirements = write_requirements(tmp_path, site, pins)
    environment.pip("install", "--require-hashes", "--only-binary", ":all:", "-r", requirements)
    assert environment.installed() == pins
    assert environment.says("import requests; print(requests.__version__)") == pins["requests"]


def test_uv_installs_with_hashes(site: Site, fresh: Fresh, pins: dict[str, str], tmp_path: Path) -> None:
    environment = fresh(site)
    requirements = write_requirements(tmp_path, site, pins)
    environment.uv_pip("install", "--require-hashes", "--only-binary", ":all:", "-r", requirements)
    assert environment.installed() == pins
    assert environment.says("import six; print(six.__version__)") == "1.16.0"


def test_a_wrong_hash_is_refused(site: Site, fresh: Fresh, tmp_path: Path) -> None:
    lines = hash_lines(site.index_url, {"six": "1.16.0"}).splitlines()[0].split(" ")
    (tmp_path / "requirements.txt").write_text(f"{lines[0]} --hash=sha256:{'0' * 64}\n")
    with pytest.raises(AssertionError, match="DO NOT MATCH THE HASHES"):
        fresh(site).pip("install", "--require-hashes", "-r", tmp_path / "requirements.txt")


def test_pip_resolves_dependencies_from_core_metadata(site: Site, fresh: Fresh) -> None:
    environment = fresh(site)
    environment.pip("install", "--only-binary", ":all:", "requests")
    assert environment.installed() == newest(site.index_url, *REQUESTS_NEEDS)
    assert site.was_asked(lambda request: asks_for_metadata_of(request, "requests", "pip/"))


def test_uv_resolves_dependencies_from_core_metadata(site: Site, fresh: Fresh) -> None:
    environment = fresh(site)
    environment.uv_pip("install", "requests")
    assert environment.installed() == newest(site.index_url, *REQUESTS_NEEDS)
    assert site.was_asked(lambda request: asks_for_metadata_of(request, "requests", "uv/"))


def asks_for_metadata_of(request: Asked, project: str, agent: str) -> bool:
    filename = request.path.rpartition("/")[2]
    is_metadata = filename.startswith(f"{project}-") and filename.endswith(".whl.metadata")
    return is_metadata and request.agent.startswith(agent) and request.status == 200


@pytest.mark.parametrize(("agent", "install"), [("pip/", FreshEnvironment.pip), ("uv/", FreshEnvironment.uv_pip)])
def test_installers_get_json_pages(
    site: Site, fresh: Fresh, agent: str, install: Callable[[FreshEnvironment, str, str], str]
) -> None:
    install(fresh(site), "install", "six")
    assert site.was_asked(
        lambda request: (
            request.path == "/simple/six/"
            and request.agent.startswith(agent)
            and request.accept.startswith(V1_JSON)
            and request.status == 200
        )
    )


def test_options_about_the_age_of_a_release_need_json(mirror: MirrorRun, site: Site, fresh: Fresh) -> None:
    """README says so of a server that can't negotiate, such as Python's own."""
    arguments = ("install", "--exclude-newer", "2100-01-01T00:00:00Z", "six")
    environment = fresh(site)
    environment.uv_pip(*arguments)
    assert "six" in environment.installed()
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(mirror.web), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            port = server.stdout.readline().split()[5]
            html = FreshEnvironment(environment.folder, f"http://127.0.0.1:{port}/simple/")
            html.uv_pip("install", "--reinstall", "--refresh", "six")
            with pytest.raises(AssertionError, match="upload"):
                html.uv_pip(*arguments, "--reinstall", "--refresh")
        finally:
            server.terminate()


def test_pip_lists_versions(site: Site, fresh: Fresh) -> None:
    versions = {link.version for link in read_json_page(f"{site.index_url}packaging/")}
    printed = fresh(site).pip("index", "versions", "packaging")
    listed = next(line for line in printed.splitlines() if line.startswith("Available versions: "))
    assert set(listed.removeprefix("Available versions: ").split(", ")) == versions
    assert len(versions) == 3


def test_pip_builds_from_sdists_alone(site: Site, fresh: Fresh, tmp_path: Path) -> None:
    """The build environment comes from the mirror too, and from an sdist: flit-core can build itself."""
    environment = fresh(site)
    requirements = write_requirements(tmp_path, site, {"packaging": "24.2"})
    downloads = tmp_path / "downloads"
    environment.pip("download", "--no-binary", ":all:", "--require-hashes", "-r", requirements, "--dest", downloads)
    assert [path.name for path in downloads.iterdir()] == ["packaging-24.2.tar.gz"]
    environment.pip("install", "--no-binary", ":all:", "--require-hashes", "-r", requirements)
    assert environment.installed() == {"packaging": "24.2"}
    assert site.was_asked(lambda request: request.path.endswith("/flit_core-3.12.0.tar.gz"))


def test_a_pip_that_only_knows_html_installs_with_hashes(
    site: Site, fresh: Fresh, old_pip: Path, pins: dict[str, str], tmp_path: Path
) -> None:
    environment = fresh(site)
    environment.says(f"import sys; sys.path[0:0] = [{str(old_pip)!r}]; import pip; assert pip.__version__ == '22.1.2'")
    requirements = write_requirements(tmp_path, site, pins)
    script = (
        f"import sys; sys.path[0:0] = [{str(old_pip)!r}]; from pip._internal.cli.main import main; "
        f"sys.exit(main(['install', '--require-hashes', '-r', {str(requirements)!r}, '--ignore-installed', "
        f"'--no-cache-dir', '--index-url', {site.index_url!r}]))"
    )
    environment.says(script)
    assert environment.installed() == pins
    assert site.was_asked(lambda request: request.agent.startswith("pip/22.1.2") and request.path == "/simple/six/")
    assert not any(
        "json" in request.accept
        for request in site.requests()
        if request.agent.startswith("pip/22.1.2") and request.path.startswith("/simple/")
    )


@pytest.fixture(scope="session")
def old_pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the last pip that knows no JSON pages."""
    folder = tmp_path_factory.mktemp("old-pip")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--target", folder, "pip==22.1.2"], check=True, capture_output=True)
    shutil.rmtree(folder / "bin", ignore_errors=True)
    return folder


def test_pip_installs_from_a_site_with_hash_index(hashed_site: Site, fresh: Fresh, tmp_path: Path) -> None:
    environment = fresh(hashed_site)
    requirements = write_requirements(tmp_path, hashed_site, {"six": "1.16.0", "idna": "3.10"})
    environment.pip("install", "--require-hashes", "-r", requirements)
    assert environment.installed() == {"six": "1.16.0", "idna": "3.10"}


def test_uv_installs_from_a_site_with_hash_index(hashed_site: Site, fresh: Fresh, tmp_path: Path) -> None:
    environment = fresh(hashed_site)
    requirements = write_requirements(tmp_path, hashed_site, {"six": "1.16.0", "idna": "3.10"})
    environment.uv_pip("install", "--require-hashes", "-r", requirements)
    assert environment.installed() == {"six": "1.16.0", "idna": "3.10"}
