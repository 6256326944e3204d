"""bandersnatch 8.0 and this client select the same files; for filters that do not, see `test_filters_that_differ`."""

import re
from pathlib import Path

import pytest

from tests.e2e.installers import bandersnatch_command
from tests.e2e.old_clients import OldClient, OldRun, write_config
from tests.fakepypi import FakePyPI

pytestmark = pytest.mark.e2e

VERSION = "8.0.0"


def plugins(*names: str) -> str:
    return "[plugins]\nenabled =\n" + "".join(f"    {name}\n" for name in names)


ALLOW = "[allowlist]\npackages =\n    alpha>=1.1\n    Beta  # a comment\n    django==4.0\n"
BLOCK = "[blocklist]\npackages =\n    alpha\n    beta==1.0\n    django>=4\n"
LATEST = "[latest_release]\nkeep = 1\n"
REQUIREMENTS = "[allowlist]\nrequirements_path = {folder}\nrequirements =\n    *.txt\n"
PYTHONS = "[version_range_release_file_metadata]\nrelease_file.requires_python =\n    3.9\n    2.7\n"

SAME = {
    "no filters": "",
    "allowlist_project": plugins("allowlist_project") + ALLOW,
    "blocklist_project": plugins("blocklist_project") + BLOCK,
    "both lists of projects": plugins("allowlist_project", "blocklist_project") + ALLOW + BLOCK,
    "regex_project": plugins("regex_project") + "[filter_regex]\npackages =\n    .+-nightly$\n    A\n",
    "regex_project and case": plugins("regex_project") + "[filter_regex]\npackages = alpha\n",
    "project_requirements": plugins("project_requirements") + REQUIREMENTS,
    "project_requirements and allowlist_project": plugins("project_requirements", "allowlist_project")
    + REQUIREMENTS
    + "packages =\n    beta\n    gamma-nightly\n",
    "project_requirements_pinned": plugins("project_requirements", "project_requirements_pinned") + REQUIREMENTS,
    "pinned and others": plugins("project_requirements", "project_requirements_pinned", "regex_release")
    + REQUIREMENTS
    + "[filter_regex]\nreleases = 1\n",
    "allowlist_release": plugins("allowlist_release") + ALLOW,
    "allowlist_release and allowlist_project": plugins("allowlist_project", "allowlist_release") + ALLOW,
    "blocklist_release": plugins("blocklist_release") + BLOCK,
    "both lists of releases": plugins("allowlist_release", "blocklist_release") + ALLOW + BLOCK,
    "prerelease_release": plugins("prerelease_release"),
    "prerelease_release of one project": plugins("prerelease_release") + "[filter_prerelease]\npackages = beta\n",
    "regex_release": plugins("regex_release") + "[filter_regex]\nreleases =\n    .*rc\n    2\n",
    "latest_release": plugins("latest_release", "blocklist_project") + LATEST + "[blocklist]\npackages = timezone\n",
    "latest_release by time": plugins("latest_release") + LATEST + "sort_by = time\n",
    "latest_release keeps more than there are": plugins("latest_release") + "[latest_release]\nkeep = 99\n",
    "latest_release off": plugins("latest_release") + "[latest_release]\nkeep = 0\n",
    "exclude_platform windows": plugins("exclude_platform") + "[blocklist]\nplatforms = windows\n",
    "exclude_platform linux": plugins("exclude_platform") + "[blocklist]\nplatforms = linux\n",
    "exclude_platform macos": plugins("exclude_platform") + "[blocklist]\nplatforms = macos freebsd\n",
    "exclude_platform py3.9": plugins("exclude_platform") + "[blocklist]\nplatforms = py3.9\n",
    "exclude_platform single": plugins("exclude_platform")
    + "[blocklist]\nplatforms =\n    win_amd64\n    manylinux2014_x86_64\n",
    "regex_project_metadata": plugins("regex_project_metadata") + "[regex_project_metadata]\nany:info.name = [a-g]\n",
    "regex_project_metadata none": plugins("regex_project_metadata")
    + "[regex_project_metadata]\nnone:info.name = [a-g]\nnot-null:info.summary = .*\n",
    "regex_project_metadata not-null": plugins("regex_project_metadata")
    + "[regex_project_metadata]\nnot-null:info.keywords = x\n",
    "regex_project_metadata match-null": plugins("regex_project_metadata")
    + "[regex_project_metadata]\nmatch-null:info.keywords = x\n",
    "regex_release_file_metadata": plugins("regex_release_file_metadata")
    + "[regex_release_file_metadata]\nany:release_file.packagetype =\n    sdist\n",
    "version_range_release_file_metadata": plugins("version_range_release_file_metadata") + PYTHONS,
    "version_range not-null": plugins("version_range_release_file_metadata")
    + "[version_range_release_file_metadata]\nmatch-null:release_file.requires_python = 3.9\n",
    "size_project_metadata": plugins("size_project_metadata") + "[size_project_metadata]\nmax_package_size = 20K\n",
    "size_project_metadata and allowlist": plugins("size_project_metadata")
    + "[size_project_metadata]\nmax_package_size = 1\n[allowlist]\npackages = alpha\n",
    "versions_count_project_metadata": plugins("versions_count_project_metadata")
    + "[versions_count_project_metadata]\nmin_versions = 2\nmax_versions = 3\n",
    "many": plugins("blocklist_project", "exclude_platform", "regex_release", "prerelease_release")
    + BLOCK
    + "platforms = windows\n[filter_regex]\nreleases = 2004\n",
}


@pytest.fixture(scope="module")
def client(old_clients: dict[str, OldClient]) -> OldClient:
    return old_clients[VERSION]


def fill(pypi: FakePyPI) -> None:
    for version in ("1.0", "1.1", "2.0"):
        pypi.add_file("Alpha", version, kind="sdist")
        for tag, platform in (
            ("py3", "any"),
            ("cp39", "win_amd64"),
            ("cp39", "manylinux2014_x86_64"),
            ("cp310", "macosx_11_0_arm64"),
        ):
            pypi.add_file("Alpha", version, python_tag=tag, platform_tag=platform)
    for version in ("0.9", "1.0rc1", "1.0"):
        pypi.add_file("beta", version, python_tag="py2.py3")
    for version in ("1.0", "1.1", "1.2", "2.0a1", "2.0a2"):
        pypi.add_file("gamma-nightly", version)
    pypi.add_file("Django", "1.11", python_tag="py2.py3", requires_python=">=2.7")
    pypi.add_file("Django", "3.2", requires_python=">=3.6", size=10_000)
    pypi.add_file("Django", "4.0", requires_python=">=3.10", size=10_000)
    for version in ("2004d", "2005k"):
        pypi.add_file("timezone", version, kind="sdist")
    pypi.add_file("timezone", "2024.1", kind="sdist")


def selected(directory: Path) -> dict[str, set[str]]:
    """Return the files on the page of each project; those on disk must be the same."""
    pages = {
        page.parent.name: set(re.findall(r">([^<]+)</a>", page.read_text()))
        for page in (directory / "web" / "simple").glob("*/index.html")
    }
    on_disk = {p.name for p in (directory / "web/packages").rglob("*") if p.is_file() and p.suffix != ".metadata"}
    assert on_disk == set().union(*pages.values())
    return pages


def run_both(client: OldClient, pypi: FakePyPI, tmp_path: Path, sections: str) -> tuple[OldRun, OldRun]:
    import subprocess

    (tmp_path / "requirements.txt").write_text("alpha<2\nbeta==1.0rc1  # why\ndjango\n")
    sections = sections.replace("{folder}", str(tmp_path))
    old = client.run(write_config(tmp_path / "old", pypi.url, sections))
    command = [*bandersnatch_command(), "-c", str(write_config(tmp_path / "new", pypi.url, sections)), "mirror"]
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return old, OldRun(finished.returncode, finished.stderr)


@pytest.mark.parametrize("name", SAME)
def test_both_clients_select_the_same_files(pypi: FakePyPI, tmp_path: Path, client: OldClient, name: str) -> None:
    fill(pypi)
    old, new = run_both(client, pypi, tmp_path, SAME[name])
    assert (old.status, new.status) == (0, 0), new.log
    assert (tmp_path / "old/mirror/status").exists(), old.log
    assert selected(tmp_path / "new/mirror") == selected(tmp_path / "old/mirror")
